"""Runs and sweeps that import themselves at their end, by the real command line; and all that works without MLflow."""

import json
import os
import sys
from pathlib import Path

import pytest

from fvc_exp.config.canonical import run_id
from fvc_exp.io.files import read_json, write_json
from fvc_exp.sweeps.plan import _member_id
from tests.conftest import Compose
from tests.shell import fvc, run_py, run_py_process, succeeded
from tests.sweeps.conftest import sweep_arguments
from tests.tracking.conftest import SPY, family, runs_of

INSTALL = "pip install 'fvc-exp[tracking]', in a checkout pip install -e '.[tracking]'"


def run_arguments(tables: Path, *more: str) -> list[str]:
    return sweep_arguments(tables, "plots=false", *more)[1:]


@pytest.mark.slow
@pytest.mark.usefixtures("needs_mlflow")
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")
def test_the_driver_of_a_sweep_imports_it_and_no_job_loads_mlflow(tables: Path, tmp_path: Path) -> None:
    (spy := tmp_path / "spy").mkdir()
    environment = {**os.environ, "PYTHONPATH": SPY, "SPY": str(spy)}
    command = sweep_arguments(tables, "C=0.1", "plots=false", "hydra/launcher=local", "tracking=mlflow")
    done = succeeded(run_py_process(*command, env=environment))
    assert "mlflow: 1 imported, 0 already there; experiment 'fvc-exp'" in done.stderr
    noted = [path.read_text() for path in spy.iterdir()]
    assert noted.count("job spares it") == 1
    assert noted.count("driver loads it") == 1
    assert "job loads it" not in noted
    parent, children = family(runs_of(f"sqlite:///{tables}/out/mlflow/mlflow.db"))
    assert [parent.info.status, *(each.info.status for each in children)] == ["FINISHED"] * 2


@pytest.mark.usefixtures("needs_mlflow")
def test_a_store_that_fails_costs_no_result(tables: Path, tmp_path: Path) -> None:
    """Exit code 3, one line with what to type later, and a run that is done."""
    (tmp_path / "broken.db").write_bytes(b"not a database")
    uri = f"sqlite:///{tmp_path}/broken.db"
    done = run_py(*run_arguments(tables, "tracking=mlflow", f"tracking.uri={uri}"))
    assert done.returncode == 3, done.stderr
    (run,) = (tables / "out" / "runs").iterdir()
    assert json.loads((run / "status.json").read_text())["state"] == "done"
    line = done.stderr.splitlines()[-1]
    assert line == (
        f"not imported into mlflow: {tmp_path}/broken.db: is no database of mlflow; choose another --uri; "
        f"the results are in {run}; to import them: fvc track {run} --uri {uri}"
    )


SECRETS = {
    "uri": ("tracking.uri=http://me:hunter2@host", "tracking.uri=http://***@host holds a password"),
    "uri of the environment": ("tracking.uri=${oc.env:STORE}", "tracking.uri=http://***@host holds a password"),
    "variable": ("+hydra.job.env_set.MLFLOW_TRACKING_PASSWORD=hunter2", "env_set.MLFLOW_TRACKING_PASSWORD would be"),
}


@pytest.mark.parametrize("sweep", [[], ["-m", "C=0.1,1"]], ids=["run", "sweep"])
@pytest.mark.parametrize(("word", "message"), SECRETS.values(), ids=SECRETS)
def test_no_password_is_stored_or_shown(tables: Path, sweep: list[str], word: str, message: str) -> None:
    environment = {**os.environ, "STORE": "http://me:hunter2@host"}
    done = run_py(*sweep, *run_arguments(tables, word), env=environment)
    assert done.returncode == 1
    assert message in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert not any(b"hunter2" in path.read_bytes() for path in tables.rglob("*") if path.is_file())


def test_without_the_extra_all_else_works(finished_run: Path, tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What needs it says so in one line, before any work."""
    monkeypatch.setitem(sys.modules, "mlflow", None)
    message = f"error: mlflow 3 is not installed: {INSTALL}\n"
    for more in ([], ["-m", "C=0.1,1"]):
        refused = run_py(*more, *run_arguments(tables, "tracking=mlflow"))
        assert (refused.returncode, refused.stderr) == (1, message)
    assert not (tables / "out").exists()
    done = succeeded(run_py(*sweep_arguments(tables, "C=0.1", "plots=false", "sweep.name=mine")))
    assert "mlflow" not in done.stderr
    plan = tables / "out" / "sweeps" / "mine" / "plan.json"
    content = read_json(plan)
    content["config"]["tracking"]["name"] = "mlflow"
    write_json(plan, content)
    for command in (("track", finished_run), ("retry", plan.parent)):
        refused = fvc(*command)
        assert (refused.returncode, refused.stderr) == (2, message)


@pytest.mark.parametrize("stage", ["train", "features"])
def test_tracking_changes_no_id(compose_config: Compose, stage: str) -> None:
    """Neither a run's, nor a member's of a sweep whose stage trains nothing."""
    plain, tracked = (compose_config(f"stage={stage}", *more) for more in ([], ["tracking=mlflow"]))
    assert plain.tracking != tracked.tracking
    assert run_id(plain, "hash") == run_id(tracked, "hash")
    assert _member_id(plain, "hash") == _member_id(tracked, "hash")
