"""Finished runs and sweeps by the real command line, and what MLflow holds of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import ROOT, run_py, write_tables
from tests.sweep.conftest import FAST
from tests.sweep.sabotage import sitecustomize as broken

if TYPE_CHECKING:
    from mlflow.entities import Run

SPY = f"{ROOT / 'tests' / 'tracking' / 'spy'}{os.pathsep}{ROOT}"
SABOTAGE = f"{ROOT / 'tests' / 'sweep' / 'sabotage'}{os.pathsep}{ROOT}"
EXPERIMENT = "fvc-exp"


@pytest.fixture(autouse=True)
def no_other_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine's user has configured is not for tests."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def needs_mlflow() -> None:
    """Skip without MLflow; where CI=true tests with real parts must not be skipped."""
    try:
        import mlflow  # noqa: F401 - only whether it is there
    except ModuleNotFoundError:
        if os.environ.get("CI") == "true":
            pytest.fail("mlflow is not installed: pip install 'fvc-exp[tracking]'")
        pytest.skip("mlflow is not installed: pip install 'fvc-exp[tracking]'")


@pytest.fixture(scope="session")
def ended_sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep that nobody may change, of three members: done, failed and killed."""
    folder = tmp_path_factory.mktemp("ended")
    write_tables(folder)
    grid = ("hydra/launcher=local", f"C=1,{broken.RAISE},{broken.KILL}", "sweep.name=mine", "cv.n_repeats=2")
    done = run_py(*sweep_arguments(folder, *grid), env={**os.environ, "PYTHONPATH": SABOTAGE})
    assert done.returncode == 1, done.stderr
    return folder / "out" / "sweeps" / "mine"


@pytest.fixture
def sweep(ended_sweep: Path, tmp_path: Path) -> Path:
    """A copy of that sweep in an outputs folder of its own."""
    return Path(shutil.copytree(ended_sweep, tmp_path / "outputs" / "sweeps" / "mine"))


def sweep_arguments(tables: Path, *more: str) -> list[str]:
    return ["-m", "data=fvc", f"data.root={tables}", f"outputs={tables / 'out'}", FAST, *more]


def fvc_track(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """The real command, at work in a process of its own."""
    command = [sys.executable, "-m", "fvc_exp.cli", "track", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def runs_of(uri: str, experiment: str = EXPERIMENT) -> list[Run]:
    """All runs of an experiment that were not deleted."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    return list(client.search_runs([found.experiment_id], max_results=1000))


def family(runs: list[Run]) -> tuple[Run, list[Run]]:
    """The one parent, and its children."""
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if run is not parent]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    return parent, children


Check = Callable[[str], bool]
