import tempfile
from pathlib import Path

import pytest

from fvc_exp.cli import smoke
from tests.shell import fvc


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "t").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "t"))
    return tmp_path


@pytest.mark.slow
def test_everything_works_once(temporary: Path) -> None:
    done = fvc("doctor", "--run", cwd=temporary)
    assert done.returncode == 0, done.stdout
    *_, fifth, last = done.stdout.splitlines()
    assert (fifth[:18], last) == ("ok      two jobs: ", "OK")
    assert [path.name for path in temporary.rglob("*")] == ["t"]


def test_a_failed_step_is_shown(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke, "STEPS", {"training": "run C=-1", "report": "report run"})
    done = fvc("doctor", "--run", cwd=temporary)
    assert done.returncode == 1
    assert "problem training: exit code 1 of fvc run C=-1\nerror: C=-1.0 is not allowed" in done.stdout
    assert "report:" not in done.stdout
    assert [path.name for path in temporary.rglob("*")] == ["t"]
