import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fvc_exp.runs.artifacts import results
from fvc_exp.training.experiment import RunResult
from tests.conftest import edit_json, run, signal_dataset
from tests.report.folders import make_config


@pytest.fixture(scope="module")
def result() -> RunResult:
    return run(make_config("audit.permutations=0", "C=0.2"), signal_dataset(n_groups=60))


@pytest.fixture(scope="module")
def drawn_files(result: RunResult) -> tuple[pl.DataFrame, dict[str, Any]]:
    """What its predictions.parquet and results.json hold."""
    return result.predictions(), results(result)


@pytest.fixture
def copied_run(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of a finished run with its tables, named relative to where it was started."""
    shutil.copytree(finished_run.parent, tmp_path, dirs_exist_ok=True)
    edit_json(tmp_path / "run" / "provenance.json", working_folder=str(tmp_path))
    return tmp_path / "run"


@pytest.fixture
def axes() -> Axes:
    return Figure().add_subplot()
