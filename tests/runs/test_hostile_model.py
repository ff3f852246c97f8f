"""A run folder that somebody else filled: to read it may fail, but nothing in it may run."""

import os
import pickle
from pathlib import Path

import pytest

from tests.conftest import edit_json
from tests.shell import fvc


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.marker,)


@pytest.fixture
def run(copied_run: Path, tmp_path: Path) -> Path:
    """A finished run with code in its pickles, and a number in its ``model.json`` that is none."""
    for name in ("model.joblib", "scaler.joblib", "model.skops"):
        (copied_run / name).write_bytes(pickle.dumps(Payload(tmp_path / "ran")))
    edit_json(copied_run / "model.json", intercept="__import__('os').abort()")
    return copied_run


def test_the_payload_would_run(run: Path, tmp_path: Path) -> None:
    pickle.loads((run / "model.joblib").read_bytes())
    assert (tmp_path / "ran").is_dir()


@pytest.mark.parametrize("command", ["predict", "export", "report", "verify", "explain", "compare"])
def test_no_command_runs_it(run: Path, tmp_path: Path, command: str) -> None:
    (tmp_path / "x.mp4").write_text("x")
    more = {"predict": [str(tmp_path / "x.mp4")], "export": ["--to", "skops"]}.get(command, [])
    done = fvc(command, run, *more)
    assert not (tmp_path / "ran").exists()
    if command in ("predict", "export"):
        assert (done.returncode, "model.json: Expected float, got str - at $.intercept" in done.stderr) == (2, True)
