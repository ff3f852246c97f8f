"""What is read of run folders and where it goes, without MLflow."""

import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from fvc_exp import load_run, load_sweep
from fvc_exp.errors import ArtifactError, TrackingError
from fvc_exp.io.files import read_json, write_json
from fvc_exp.runs.load import DEMO_NOTICE, runs_below
from fvc_exp.sweeps.folder import SweepFolder
from fvc_exp.sweeps.schedulers import latest_jobs, read_submissions
from fvc_exp.tracking.import_runs import absolute_uri, artifacts_uri, default_uri
from fvc_exp.tracking.records import metrics_of, read_records, texts
from tests.conftest import edit_json

NOTHING: dict[str, Any] = {"cv": {}, "test": None, "floors": {"cv": {}}}
TIMES = {"started": "2026-01-02T03:04:05.600000+00:00", "ended": "2026-01-02T03:05:05+00:00"}


def test_steps_go_on_over_repeats() -> None:
    records = [
        {"fold": fold, "repeat": repeat, "test_auc": repeat + fold / 10, "converged": True, "held_out": "YouTube"}
        for repeat in range(2)
        for fold in range(3)
    ]
    found = metrics_of(NOTHING, records)
    expected = [("fold/test_auc", value, step) for step, value in enumerate([0, 0.1, 0.2, 1, 1.1, 1.2])]
    assert [each for each in found if each[0] == "fold/test_auc"] == expected
    assert {name for name, _, _ in found} == {"fold/test_auc"}  # counts and the like are in metrics.json


def test_the_headline_comes_first() -> None:
    results = {**NOTHING, "cv": {"auc": {"mean": 0.7, "std": 0.1}}, "test": {"f1": 0.5}, "data": {"rows": 80}}
    results |= {"auc_intervals": {"cv": {"low": 0.6, "high": 0.8}}, "calibration": {"cv": {"ece": 0.05}}}
    expected = {"auc": 0.7, "auc_low": 0.6, "auc_high": 0.8, "ece": 0.05}
    expected |= {"cv/auc_mean": 0.7, "cv/auc_std": 0.1, "test/f1": 0.5}
    assert metrics_of(results) == [(name, value, 0) for name, value in expected.items()]


def test_a_run_as_a_reader_needs_it(finished_run: Path, tmp_path: Path) -> None:
    """Of the synthetic data, with l1 as an elastic net, and with a name."""
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    run.joinpath("config.yaml").write_text((run / "config.yaml").read_text().replace("name: fvc", "name: demo", 1))
    results = read_json(run / "results.json")
    results |= {"parameters": results["parameters"] | {"penalty": "l1", "C": 10.0}, "name": "first", "tags": ["a", "b"]}
    edit_json(run / "results.json", **results)
    (found,) = read_records(run).runs
    assert found.parameters.items() >= {"penalty": "l1", "l1_ratio": "1", "C": "10"}.items()
    lines = found.tags["mlflow.note.content"].splitlines()
    assert lines == ["- Audit PASS", f"- {DEMO_NOTICE}", f"- {results['claim']['sentence']}"]
    assert (found.name, found.tags["fvc.name"], found.tags["fvc.tags"]) == ("first", "first", "a b")


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, "text"])
def test_values_other_than_finite_numbers_are_left_out(value: object) -> None:
    assert metrics_of(NOTHING, [{"fold": 0, "repeat": 0, "test_auc": value}]) == []


def test_names_and_texts_that_mlflow_takes() -> None:
    found = texts({"model@x[0]+lr=1": 2, "cv_n_splits": 5, "none": None, "empty": "", "long": "x" * 9000})
    assert found == {"model_x_0__lr_1": "2", "cv_n_splits": "5", "long": "x" * 1000 + "…"}
    assert texts({"note": "- a\x1b\n- http://me:pw@host"}) == {"note": "- a\\x1b\n- http://***@host"}
    assert texts({"C": 10.0, "zero": 0, "all": 0.123456789}) == {"C": "10", "zero": "0", "all": "0.123456789"}


@pytest.mark.parametrize(
    ("state", "expected"), [("done", "FINISHED"), ("failed", "FAILED"), ("interrupted", "KILLED"), ("lost", "KILLED")]
)
def test_a_run_that_ended_without_any_result(tmp_path: Path, state: str, expected: str) -> None:
    status = {"state": state, "reason": "ValueError", "message": "boom", "attempt": 3, **TIMES}
    write_json(tmp_path / "status.json", status)
    (found,) = read_records(tmp_path).runs
    assert (found.status, list(found.files)) == (expected, ["status.json"])
    assert (found.parameters, list(found.metrics), found.model) == ({}, [], None)
    assert [found.tags[f"fvc.{name}"] for name in ("reason", "message", "attempt")] == ["ValueError", "boom", "3"]
    assert found.started is not None
    assert (found.ended - found.started).total_seconds() == 59.4


BROKEN = {
    "no status": (None, "is neither a sweep nor a run that has ended: it holds no status.json"),
    "no times": ('{"state": "done"}', "status.json: is broken: it must hold a state, started and ended"),
    "no time": ('{"state": "done", "started": 1, "ended": ""}', "status.json: Expected datetime, got int"),
    "no object": ("[]", "status.json: Expected object, got array"),
}


@pytest.mark.parametrize(("content", "message"), BROKEN.values(), ids=BROKEN)
def test_a_run_without_a_complete_status_is_named(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "status.json").write_text(content)
    with pytest.raises(ArtifactError, match=message):
        read_records(tmp_path)


@pytest.mark.parametrize(("name", "message"), [("nothing", "no such folder"), ("file", "is a file; name a folder")])
def test_a_path_that_is_no_folder_is_named(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "file").touch()
    for read in (read_records, load_run, load_sweep, runs_below):
        with pytest.raises(ArtifactError, match=f"{name}: {message}"):
            read(tmp_path / name)


def test_a_link_out_of_the_run_is_no_file_of_it(finished_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    before = set(read_records(run).runs[0].files)
    (run / ".hydra" / "x.yaml").symlink_to("/etc/passwd")
    (run / "report.html").symlink_to(finished_run / "results.json")
    (run / "insight").symlink_to("/etc")
    assert set(read_records(run).runs[0].files) == before


def test_the_key_is_that_of_the_attempt_not_of_the_place(finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "moved").symlink_to(finished_run)
    first, moved = (read_records(path).runs[0] for path in (finished_run, tmp_path / "moved"))
    assert first.key == moved.key


def test_a_torn_file_is_not_imported(copied_run: Path) -> None:
    (copied_run / "model.joblib").write_bytes(b"torn")
    with pytest.raises(ArtifactError, match=r"model\.joblib: is torn, or of another run"):
        read_records(copied_run)


def test_members_of_a_sweep(ended_sweep: Path) -> None:
    found = read_records(ended_sweep)
    assert found.unfinished == 0
    assert [each.parameters["cv_n_splits"] for each in found.runs] == ["3", "4", "50"]
    first = found.runs[0]
    assert first.model is not None
    assert read_records(first.model.path).runs[0].key == first.key


@pytest.mark.parametrize("begun", [True, False])
def test_lost_members(sweep: Path, begun: bool) -> None:
    """A member whose job is gone, as the driver notes it; with a claim of that job, or of none."""
    folder = SweepFolder(sweep)
    member = folder.read_plan().members[0]
    run = folder.member(member.run_id)
    run.status.unlink()
    job = latest_jobs(read_submissions(folder))[member.run_id].id
    lost = {"state": "lost", "job": job, "attempt": 1, "reason": "its process ended", "message": "last words"}
    write_json(run.lost, {**lost, "noticed": "2030-01-01T00:00:00+00:00"})
    if not begun:
        (run.attempts / "1.claim").unlink()
    found = read_records(sweep)
    (child,) = [each for each in found.runs if each.name == "cv.n_splits=3"]
    assert (child.status, child.tags["fvc.reason"]) == ("KILLED", "its process ended")
    assert (child.started is not None) is begun
    assert child.ended.year == 2030
    assert child.key.endswith(f"never/{job}") is not begun
    assert child.metrics == []


def test_the_default_store_of_outputs(ended_sweep: Path, finished_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = ended_sweep.parents[1]
    member = next((ended_sweep / "runs").iterdir())
    for path in (ended_sweep, member, ended_sweep / "best", outputs / "runs" / "some"):
        assert default_uri(path) == f"sqlite:///{outputs}/mlflow/mlflow.db"
    assert default_uri(finished_run) == f"sqlite:///{Path.cwd()}/outputs/mlflow/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert default_uri(ended_sweep) == "http://127.0.0.1:5000"


def test_a_run_elsewhere_belongs_to_its_configured_outputs(finished_run: Path, tmp_path: Path) -> None:
    text = (finished_run / "config.yaml").read_text().replace("outputs: outputs", f"outputs: {tmp_path}/out")
    (tmp_path / "config.yaml").write_text(text)
    assert default_uri(tmp_path) == f"sqlite:///{tmp_path}/out/mlflow/mlflow.db"


def test_a_relative_database_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute_uri("sqlite:///a b/x.db") == f"sqlite:///{tmp_path}/a b/x.db"
    assert artifacts_uri(absolute_uri("sqlite:///a b/x.db")) == f"{tmp_path.as_uri()}/a%20b/artifacts"


@pytest.mark.parametrize("uri", ["mlruns", "file:///x", "sqlite:///", "databricks", "ftp://x", ""])
def test_other_stores_are_refused(uri: str) -> None:
    with pytest.raises(TrackingError, match=f"uri={uri} is not supported: it must be sqlite:///PATH"):
        absolute_uri(uri)
