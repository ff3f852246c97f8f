"""SIGKILL at random moments, then the same command again: equal files, and nothing left behind."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from tests.conftest import write_tables
from tests.shell import ROOT, succeeded

KILLS = int(os.environ.get("FVC_KILLS", "17"))  # of each of the six
ROWS = ("data=fvc", "data.root=.", "plots=false", "audit.permutations=0", "audit.price=false")
VIDEOS = ("stage=features", "data.demo.events=6", "data.demo.uploads=1", "video.workers=1")
RUN_FILES = ("results.json", "metrics.json", "model.json", "model.joblib", "predictions.parquet", "coefficients.csv")
SWEEP = tuple(f"outputs/sweeps/s/runs/*/{name}" for name in RUN_FILES)
# What is typed first, what is killed, and the files that must be equal.
ACTIVITIES: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "run": ((), ("run", *ROWS, "hydra.run.dir=mine"), tuple(f"mine/{name}" for name in RUN_FILES)),
    "stages": ((), ("run", *VIDEOS), ("outputs/demo/*/features_stage2.parquet", "outputs/demo/*/videos/*")),
    "grid": ((), ("run", "-m", *ROWS, "C=0.1,1", "sweep.name=s", "hydra/launcher=basic"), SWEEP),
    "sweep": ((), ("run", "-m", *ROWS, "C=0.1,1", "sweep.name=s", "hydra/launcher=local"), SWEEP),
    "track": (("run", *ROWS, "hydra.run.dir=mine"), ("track", "mine", "--uri", "sqlite:///m.db"), ("mine/model.json",)),
    "report": (("run", *ROWS, "hydra.run.dir=mine"), ("report", "mine"), ("mine/report.html", "mine/MODEL_CARD.md")),
}  # fmt: skip


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fvc_exp", *words]
    place = {"cwd": folder, "env": {**os.environ, "PYTHONPATH": str(ROOT)}}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True, **place)


def finish(folder: Path, *words: str) -> float:
    """The seconds that the command takes."""
    before, process = time.monotonic(), start(folder, *words)
    _, errors = process.communicate()
    succeeded(subprocess.CompletedProcess(words, process.returncode, "", errors))
    return time.monotonic() - before


def contents(folder: Path, patterns: tuple[str, ...]) -> dict[str, object]:
    paths = sorted(path for pattern in patterns for path in folder.glob(pattern))
    return {str(path.relative_to(folder)): content(path) for path in paths}


def content(path: Path) -> object:
    """The bytes of a file; of a table of videos its rows without the time at which the videos were made."""
    is_table = path.name.startswith("features_")
    return pl.read_parquet(path).drop("file_mtime_ns").to_dicts() if is_table else path.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("activity", ACTIVITIES)
def test_killed_at_any_moment_and_given_again(tmp_path: Path, activity: str) -> None:
    first, words, patterns = ACTIVITIES[activity]
    folder, chance = tmp_path / "work", random.Random(activity)
    folder.mkdir()
    write_tables(folder)
    if first:
        finish(folder, *first)
    prepared = tmp_path / "prepared"
    subprocess.run(["cp", "-a", str(folder), str(prepared)], check=True)
    seconds, expected = finish(folder, *words), contents(folder, patterns)
    assert len(expected) >= len(patterns) > 0
    folder.rename(tmp_path / "reference")
    prepared.rename(folder)  # each starts from what the killed ones before left
    for _ in range(KILLS):
        process = start(folder, *words)
        time.sleep(chance.uniform(0.1, 1.0) * seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    finish(folder, *words)
    found = contents(folder, patterns)
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []
    assert list(folder.rglob("*.fvc-tmp")) == []
