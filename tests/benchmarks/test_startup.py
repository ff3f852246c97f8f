"""The benchmark of the start-up runs, and its parts add up."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.startup import ROOT, write_data


@pytest.mark.slow
@pytest.mark.parametrize(("way", "parts"), [("run.py", {"load", "split", "fits", "audit"}), ("member", {"fits"})])
def test_every_part_is_measured(way: str, parts: set[str], tmp_path: Path) -> None:
    write_data(tmp_path)
    command = [sys.executable, "-m", "tests.benchmarks.startup", "--child", str(tmp_path), way]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    warm = json.loads(done.stdout)["warm"]
    assert parts | {"artifacts"} <= {name for name, seconds in warm.items() if seconds > 0}
    outside = {"run without imports", "total"}
    assert sum(seconds for name, seconds in warm.items() if name not in outside) == pytest.approx(warm["total"])
