import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.conftest import ROOT
from tests.stages.videos import make_videos, run_stage

TABLES = {
    "augment": "augmented",
    "features": "features_stage2",
    "scale": "scaled_metadata",
    "scaled_features": "features_stage4",
}
# Parts of two rows, so that some rows are on disk and some only in memory when the process kills itself.
SCRIPT = """
import os, signal
from pathlib import Path
from fvc_exp.stages import table_store
from tests.stages.videos import run_stage

def die(done, total):
    if done >= {deadly}:
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    table_store._ROWS_IN_A_PART = 2
    run_stage({stage!r}, Path({root!r}), die)
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_videos(tmp_path_factory.mktemp("undisturbed") / "data", 6)
    for stage in ("scale", "features", "scaled_features", "augment"):
        run_stage(stage, root)
    return root


def files(root: Path, folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / folder).iterdir()}


@pytest.mark.parametrize(
    ("stage", "deadly"),
    [
        ("features", 5),
        ("scale", 4),
        pytest.param("augment", 13, marks=pytest.mark.slow),
        pytest.param("scaled_features", 5, marks=pytest.mark.slow),
    ],
)
def test_a_killed_stage_goes_on_to_the_same_table(undisturbed: Path, tmp_path: Path, stage: str, deadly: int) -> None:
    root = tmp_path / "data"
    # The copy keeps the times of the files, by which rows are recognised.
    outputs = [] if stage == "scaled_features" else ["scaled", "scaled_metadata.parquet"]
    shutil.copytree(undisturbed, root, ignore=shutil.ignore_patterns("augmented*", "features_*", *outputs))
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(stage=stage, root=str(root), deadly=deadly))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    killed = subprocess.run([sys.executable, script], env=environment, check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    table = root / f"{TABLES[stage]}.parquet"
    assert not table.exists()
    assert list(table.with_suffix(".parts").iterdir())
    summary = run_stage(stage, root)
    assert summary.is_complete
    assert summary.skipped >= 2, "rows from before the kill were kept"
    assert_frame_equal(pl.read_parquet(table), pl.read_parquet(undisturbed / table.name), check_exact=True)
    assert not table.with_suffix(".parts").exists()
    for folder in {"augment": ["augmented"], "scale": ["scaled"]}.get(stage, []):
        assert files(root, folder) == files(undisturbed, folder)
