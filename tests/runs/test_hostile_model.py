"""A run folder that somebody else filled: reading it may fail, but nothing in it may run."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import skops.io

from fvc_exp.errors import ArtifactError
from fvc_exp.runs.load import read_pipeline
from tests.conftest import ROOT


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.marker,)


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of a finished run whose model files were replaced by ones with code in them."""
    shutil.copytree(finished_run, tmp_path / "run")
    marker = tmp_path / "ran"
    for name in ("model.joblib", "scaler.joblib"):
        (tmp_path / "run" / name).write_bytes(pickle.dumps(Payload(marker)))
    skops.io.dump({"steps": [Payload(marker)]}, tmp_path / "run" / "model.skops")
    return tmp_path / "run"


def test_the_payload_would_run(run: Path, tmp_path: Path) -> None:
    pickle.loads((run / "model.joblib").read_bytes())
    assert (tmp_path / "ran").is_dir()


def test_a_pipeline_with_code_in_it_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="refused, it holds types that no model of ours has"):
        read_pipeline(run / "model.skops")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("command", ["predict", "report", "verify", "explain", "compare"])
def test_no_command_runs_it(run: Path, tmp_path: Path, command: str) -> None:
    video = tmp_path / "x.mp4"
    video.write_text("x")
    arguments = [command, str(run), *([str(video)] if command == "predict" else [])]
    done = subprocess.run(
        [sys.executable, "-m", "fvc_exp.cli", *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert not (tmp_path / "ran").exists()
    assert "Traceback" not in done.stderr
    if command == "predict":
        assert (done.returncode, "refused" in done.stderr) == (2, True)
