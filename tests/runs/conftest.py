from typing import Any

import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fvc_exp.runs.artifacts import results
from fvc_exp.training.experiment import RunResult
from tests.conftest import run, signal_dataset
from tests.report.folders import make_config


@pytest.fixture(scope="module")
def result() -> RunResult:
    return run(make_config("audit.permutations=0", "C=0.2"), signal_dataset(n_groups=60))


@pytest.fixture(scope="module")
def drawn_files(result: RunResult) -> tuple[pl.DataFrame, dict[str, Any]]:
    """What its predictions.parquet and results.json hold."""
    return result.predictions(), results(result)


@pytest.fixture
def axes() -> Axes:
    return Figure().add_subplot()
