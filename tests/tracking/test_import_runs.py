"""Imports into real stores. MLflow is loaded by this process, and by those that have to be killed or to compete."""

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fvc_exp.io.files import read_json, write_json
from fvc_exp.runs.load import load_run
from fvc_exp.tracking.import_runs import track
from tests.conftest import edit_json
from tests.shell import fvc
from tests.tracking.conftest import EXPERIMENT, family, runs_of, track_twice_at_once

# MLflow's own: of its import, of its code that reads the database, and of the one that writes the input example.
MLFLOW_WARNINGS = (
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated:DeprecationWarning"),
)
pytestmark = [pytest.mark.usefixtures("needs_mlflow"), *MLFLOW_WARNINGS]
TIMES = {"started": "2030-01-01T00:00:00+00:00", "ended": "2030-01-01T00:00:01+00:00"}


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory, finished_run: Path, mlflow_is_there: None) -> Path:
    """A store with a run in another experiment."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    track(finished_run, f"sqlite:///{path}", "other")
    return path


@pytest.fixture
def uri(tmp_path: Path, empty_database: Path) -> str:
    """A store of its own; to make one takes a second."""
    (tmp_path / "store").mkdir()
    return f"sqlite:///{shutil.copy(empty_database, tmp_path / 'store')}"


def milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def test_a_run_with_all_that_it_has(finished_run: Path, uri: str) -> None:
    from mlflow import MlflowClient

    found = track(finished_run, uri)
    assert (found.imported, found.present, found.unfinished) == (1, 0, 0)
    (run,) = runs_of(uri)
    status, results = (read_json(finished_run / name) for name in ("status.json", "results.json"))
    assert (run.info.run_name, run.info.status) == (finished_run.name, "FINISHED")
    times = [milliseconds(status[name]) for name in ("started", "ended")]
    assert [run.info.start_time, run.info.end_time] == times
    parameters = {"penalty": "l2", "C": "1", "l1_ratio": "0", "cv_scheme": "grouped", "seed": "42"}
    assert run.data.params.items() >= parameters.items()
    expected = {f"cv/auc_{name}": results["cv"]["auc"][name] for name in ("mean", "std")}
    expected |= {"test/f1": results["test"]["f1"], "floor/all_fake_f1": results["floors"]["cv"]["all_fake"]["f1"]}
    expected |= {"auc": results["cv"]["auc"]["mean"], "ece": results["calibration"]["cv"]["ece"]}
    assert run.data.metrics.items() >= expected.items()
    tags = {"fvc.run_id": results["run_id"], "fvc.audit": "PASS", "fvc.data_sha256": results["data"]["sha256"]}
    assert run.data.tags.items() >= tags.items()
    (data,) = [each.dataset for each in run.inputs.dataset_inputs]
    assert (data.name, data.digest) == ("fvc", results["data"]["sha256"][:32])
    assert json.loads(data.source) == {"path": "."}  # data.root of that run
    assert json.loads(data.profile) == {"num_rows": 120, "groups": results["data"]["groups"], "real": 60, "fake": 60}
    client = MlflowClient(tracking_uri=uri)
    history = client.get_metric_history(run.info.run_id, "fold/test_auc")
    folds = read_json(finished_run / "metrics.json")
    assert [(each.step, each.value) for each in history] == [(each["fold"], each["test_auc"]) for each in folds]
    stored = {each.path for each in client.list_artifacts(run.info.run_id)}
    assert stored == {path.name for path in finished_run.iterdir()} - {".track.lock"}  # of imports by other tests
    place = Path(run.info.artifact_uri.removeprefix("file://"))
    assert (place / "results.json").read_bytes() == (finished_run / "results.json").read_bytes()
    again = track(finished_run, uri)
    assert (again.imported, again.present) == (0, 1)
    assert [each.info.run_id for each in runs_of(uri)] == [run.info.run_id]


def test_what_came_since_is_added(sweep: Path, finished_run: Path, uri: str) -> None:
    """Several folders per call; the model of the best run is registered once."""
    from mlflow import MlflowClient

    run = Path(shutil.copytree(finished_run, sweep.parent / "run"))
    command = ("track", sweep, run, "--uri", uri, "--register", "fakes", "--json")
    assert [each["imported"] for each in json.loads(fvc(*command).stdout)] == [3, 1]
    before, client = identities(runs_of(uri)), MlflowClient(tracking_uri=uri)
    (run / "report.html").write_text("first")
    fvc(*command)
    (run / "report.html").write_text("second")
    assert [each["present"] for each in json.loads(fvc(*command).stdout)] == [3, 1]
    assert identities(runs_of(uri)) == before
    (alone,) = [each for each in runs_of(uri) if each.info.run_name == "run"]
    assert Path(alone.info.artifact_uri.removeprefix("file://"), "report.html").read_text() == "second"
    versions = client.search_model_versions("name = 'fakes'")
    assert len(versions) == 2
    assert alone.info.run_id in {each.run_id for each in versions}


def test_the_model_predicts_by_names_and_lists_what_it_needs(finished_run: Path, uri: str) -> None:
    import mlflow
    import pandas as pd

    track(finished_run, uri)
    (run,) = runs_of(uri)
    (model,) = mlflow.MlflowClient(tracking_uri=uri).search_logged_models(
        [run.info.experiment_id], filter_string=f"source_run_id = '{run.info.run_id}'"
    )
    assert (model.name, model.status.value) == ("model", "READY")
    folder = model.artifact_location.removeprefix("file://")
    needed = (Path(folder) / "requirements.txt").read_text().split()
    names = [line.partition("==")[0] for line in needed]
    assert names == ["mlflow", "scikit-learn", "numpy", "scipy", "skops", "pandas"]
    assert all("==" in line for line in needed)

    table = pl.read_parquet(finished_run.parent / "features_stage2.parquet").drop("video_path")
    rows = pd.DataFrame({f"stage2_{name}": table[name].to_numpy() for name in table.columns})
    expected = load_run(finished_run).pipeline.predict_proba(rows)
    loaded = mlflow.pyfunc.load_model(folder)
    assert np.array_equal(loaded.predict(rows[rows.columns[::-1]]), expected)
    assert loaded.metadata.get_output_schema().input_names() == ["probability_real", "probability_fake"]
    with pytest.raises(mlflow.MlflowException, match="missing inputs"):
        loaded.predict(rows.drop(columns="stage2_f0"))


def test_a_sweep_is_a_family(sweep: Path, uri: str) -> None:
    found = track(sweep, uri)
    assert (found.imported, found.present) == (3, 0)
    parent, children = family(runs_of(uri))
    assert (parent.info.run_name, parent.info.status) == ("mine", "FAILED")
    assert parent.info.start_time == min(each.info.start_time for each in children)
    assert parent.info.end_time == max(each.info.end_time for each in children)
    (best,) = [each for each in children if each.data.tags.get("fvc.run_id") == parent.data.tags["fvc.best"]]
    link = f"(#/experiments/{best.info.experiment_id}/runs/{best.info.run_id})"
    assert link in parent.data.tags["mlflow.note.content"]
    assert (parent.data.tags["fvc.axes"], parent.data.metrics) == ("cv.n_splits=3,4,50", {})
    names = {each.info.run_name: each.info.status for each in children}
    assert names == {"cv.n_splits=3": "FINISHED", "cv.n_splits=4": "FINISHED", "cv.n_splits=50": "FAILED"}
    (failed,) = [each for each in children if each.info.status == "FAILED"]
    assert failed.data.tags["fvc.reason"] == "DataError"
    assert "needs at least 50 groups" in failed.data.tags["fvc.message"]
    before = identities(runs_of(uri))
    assert str(track(sweep, uri)) == f"mlflow: 0 imported, 3 already there; experiment 'fvc-exp' of {uri}"
    assert identities(runs_of(uri)) == before
    ran_again = next(path for path in (sweep / "runs").iterdir() if not (path / "results.json").exists())
    (ran_again / "attempts" / "1.claim").rename(ran_again / "attempts" / "2.claim")
    edit_json(ran_again / "status.json", attempt=2, **TIMES)
    assert track(sweep, uri).imported == 1
    parent, children = family(runs_of(uri))
    assert len(children) == 4, "another run"
    assert parent.info.end_time == milliseconds(TIMES["ended"])


def identities(runs: list[Any]) -> set[tuple[str, str, int, int]]:
    return {(each.info.run_id, each.info.status, each.info.start_time, each.info.end_time) for each in runs}


def test_a_sweep_under_way_is_running_and_a_member_that_was_imported_alone_joins_it(sweep: Path, uri: str) -> None:
    alone, waiting = (path for path in (sweep / "runs").iterdir() if (path / "results.json").exists())
    assert track(alone, uri).imported == 1
    aside = shutil.move(waiting, sweep.parent / "aside")
    for path in (sweep / "submissions").iterdir():
        if read_json(path)["members"] == [[waiting.name]]:
            path.unlink()
    done = fvc("track", str(sweep), "--uri", uri, "--json")
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout)["unfinished"] == 1
    assert family(runs_of(uri))[0].info.status == "RUNNING"
    shutil.move(aside, waiting)
    assert fvc("track", str(sweep), "--uri", uri).returncode == 0
    parent, children = family(runs_of(uri))
    assert parent.info.status == "FAILED"
    assert sorted(each.info.run_name for each in children) == ["cv.n_splits=3", "cv.n_splits=4", "cv.n_splits=50"]
    assert {each.data.tags["fvc.sweep"] for each in children} == {"mine"}


def sql(database: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(database)) as connection, connection:
        return connection.execute(statement).fetchall()


@pytest.mark.slow
def test_two_at_once_on_a_store_that_is_not_there(sweep: Path) -> None:
    assert sorted(each["imported"] for each in track_twice_at_once(sweep)) == [0, 3]
    _, children = family(runs_of(f"sqlite:///{sweep.parents[1]}/mlflow/mlflow.db"))
    assert len(children) == 3


def test_a_newer_database_is_left_alone(finished_run: Path, uri: str) -> None:
    database = Path(uri.removeprefix("sqlite:///"))
    sql(database, "UPDATE alembic_version SET version_num = 'f00dfeed0123'")
    before = database.read_bytes()
    done = fvc("track", str(finished_run), "--uri", uri)
    assert done.returncode == 2
    assert f"{database}: was written by another mlflow (schema f00dfeed0123" in done.stderr
    assert "install the mlflow that wrote it" in done.stderr
    assert database.read_bytes() == before


@pytest.mark.slow
def test_an_older_database_is_left_alone_until_it_is_upgraded(finished_run: Path, uri: str) -> None:
    from alembic import command
    from click.testing import CliRunner
    from mlflow.db import commands
    from mlflow.store.db.utils import _get_alembic_config

    database = Path(uri.removeprefix("sqlite:///"))
    command.downgrade(_get_alembic_config(uri), "-1")
    before = database.read_bytes()
    ((schema,),) = sql(database, "SELECT version_num FROM alembic_version")
    done = fvc("track", str(finished_run), "--uri", uri)
    assert done.returncode == 2
    assert f"was written by another mlflow (schema {schema}" in done.stderr
    assert f"cp '{database}' '{database}.bak' && mlflow db upgrade '{uri}'" in done.stderr
    assert database.read_bytes() == before

    assert CliRunner().invoke(commands, ["upgrade", uri]).exit_code == 0
    assert track(finished_run, uri).imported == 1
    assert len(runs_of(uri, "other")) == 1


REFUSED = {
    "scheme": ("ftp://x", "uri=ftp://x is not supported"),
    "no folder": ("sqlite:///{folder}/empty/mlflow.db", "{folder}/empty: File exists"),
    "empty file": ("sqlite:///{folder}/empty", "{folder}/empty: is no database of mlflow; choose another --uri"),
    "other file": ("sqlite:///{folder}/text", "{folder}/text: is no database of mlflow; choose another --uri"),
    "no server": ("http://me:secret@127.0.0.1:9", "http://***@127.0.0.1:9: the server does not answer"),
}


@pytest.mark.parametrize(("uri", "message"), REFUSED.values(), ids=REFUSED)
def test_a_store_that_cannot_be_used_is_one_line(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str, message: str
) -> None:
    files = {"empty": b"", "text": b"no database at all, but long enough to be one" * 100}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    done = fvc("track", str(finished_run), "--uri", uri.format(folder=tmp_path))
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert message.format(folder=tmp_path) in done.stderr.removeprefix("error: ")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_a_folder_and_a_model_with_quotes(finished_run: Path, tmp_path: Path, uri: str) -> None:
    """A failed run is found again by the name of its folder."""
    (tmp_path / "it's").mkdir()
    write_json(tmp_path / "it's" / "status.json", {"state": "failed", **TIMES})
    assert [track(tmp_path / "it's", uri).imported for _ in range(2)] == [1, 0]
    assert [track(finished_run, uri, register="it's").imported for _ in range(2)] == [1, 0]


def test_a_deleted_experiment_is_named(finished_run: Path, uri: str) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    client.delete_experiment(client.create_experiment(EXPERIMENT))
    done = fvc("track", str(finished_run), "--uri", uri)
    assert done.returncode == 2
    assert f"the experiment '{EXPERIMENT}' was deleted" in done.stderr
