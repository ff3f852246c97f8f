"""Finished runs and sweeps by the real command line, and what MLflow holds of them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fvc_exp.config.schema import Tracker
from fvc_exp.config.validate import require_tracker
from fvc_exp.errors import MissingExtraError
from tests.conftest import skip_or_fail, write_tables
from tests.shell import ROOT, run_py
from tests.sweeps.conftest import sweep_arguments

SPY = f"{ROOT / 'tests' / 'tracking' / 'spy'}{os.pathsep}{ROOT}"
EXPERIMENT = "fvc-exp"


@pytest.fixture(autouse=True)
def no_other_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine's user has configured is not for tests."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)


def skip_without_mlflow(*, fail_in_ci: bool) -> None:
    """The default tests need no MLflow; the slow ones and those of the browser fail without it where CI=true."""
    try:
        require_tracker(Tracker.mlflow)
    except MissingExtraError as error:
        (skip_or_fail if fail_in_ci else pytest.skip)(str(error))


@pytest.fixture(scope="session")
def mlflow_is_there() -> None:
    """For fixtures that outlive a test: they are made before ``needs_mlflow`` is asked."""
    skip_without_mlflow(fail_in_ci=False)


@pytest.fixture
def needs_mlflow(request: pytest.FixtureRequest) -> None:
    """Skip without MLflow."""
    skip_without_mlflow(fail_in_ci=request.node.get_closest_marker("slow") is not None)


@pytest.fixture(scope="session")
def ended_sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep that nobody may change, of three members, one of which failed: there are not so many groups."""
    folder = tmp_path_factory.mktemp("ended")
    write_tables(folder)
    done = run_py(*sweep_arguments(folder, "cv.n_splits=3,4,50", "cv.n_repeats=2", "sweep.name=mine", "plots=false"))
    assert done.returncode == 1, done.stderr
    return folder / "out" / "sweeps" / "mine"


@pytest.fixture
def sweep(ended_sweep: Path, tmp_path: Path) -> Path:
    """A copy of that sweep in an outputs folder of its own."""
    return Path(shutil.copytree(ended_sweep, tmp_path / "outputs" / "sweeps" / "mine"))


def fvc_track(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """The real command, at work in a process of its own."""
    command = [sys.executable, "-m", "fvc_exp", "track", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def track_twice_at_once(*arguments: object) -> list[dict[str, Any]]:
    """What two commands that start together print as JSON."""
    importers = [fvc_track(*arguments, "--json") for _ in range(2)]
    outputs = [importer.communicate() for importer in importers]
    assert [importer.returncode for importer in importers] == [0, 0], outputs
    return [json.loads(printed) for printed, _ in outputs]


def runs_of(uri: str, experiment: str = EXPERIMENT) -> list[Any]:
    """All runs of an experiment that were not deleted."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    return list(client.search_runs([found.experiment_id], max_results=1000))


def family(runs: list[Any]) -> tuple[Any, list[Any]]:
    """The one parent, and its children."""
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if run is not parent]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    return parent, children
