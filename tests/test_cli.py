from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fvc_exp.cli import app
from tests.conftest import ROOT
from tests.test_imports import HEAVY, loaded_by

SWEEP_COMMANDS = ["status", "retry", "collect", "leaderboard"]


@pytest.mark.parametrize("name", SWEEP_COMMANDS)
def test_a_folder_that_is_no_sweep_is_one_line(tmp_path: Path, name: str) -> None:
    done = CliRunner().invoke(app, [name, str(tmp_path / "nothing")])
    assert done.exit_code == 2
    assert done.stderr == f"error: {tmp_path / 'nothing'}: is no sweep: it holds no plan.json\n"
    assert done.stdout == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", SWEEP_COMMANDS)
def test_help_says_what_the_exit_code_means(name: str) -> None:
    done = CliRunner().invoke(app, [name, "--help"])
    assert done.exit_code == 0
    assert "Exit code" in done.stdout


def test_start_up_is_light() -> None:
    assert not loaded_by("import fvc_exp.cli") & set(HEAVY)


def test_the_installed_command() -> None:
    command = Path(sys.executable).parent / "fvc"
    done = subprocess.run([command, "--help"], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "leaderboard" in done.stdout
