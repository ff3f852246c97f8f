import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import polars as pl
import pytest

import fvc_exp
from fvc_exp.errors import ArtifactError, DataError
from fvc_exp.io.files import write_json
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.runs.execute import dataset_of
from fvc_exp.runs.load import LoadedRun, newest_run, require_finished
from tests.conftest import reseal
from tests.shell import fvc


@pytest.fixture
def copy(copied_run: Path) -> RunFolder:
    return RunFolder(copied_run)


def test_a_loaded_run_holds_what_its_files_say(finished_run: Path) -> None:
    loaded = fvc_exp.load_run(finished_run)
    assert loaded.results == json.loads((finished_run / "results.json").read_text())
    assert loaded.config.data.name == loaded.data_name == "fvc"
    assert loaded.status["state"] == "done"
    assert loaded.metrics["test_auc"].mean() == pytest.approx(loaded.results["cv"]["auc"]["mean"], abs=1e-12)
    assert loaded.predictions.height == loaded.folds.height == loaded.results["data"]["rows"]
    assert loaded.audit["verdict"] == "PASS"
    assert loaded.command is not None
    assert loaded.command.startswith("python run.py data=fvc ")
    weights = loaded.coefficients.filter(pl.col("feature") != "(intercept)")["coefficient"]
    np.testing.assert_allclose(loaded.pipeline[-1].coef_[0], weights, rtol=1e-12)
    assert loaded.pipeline is loaded.pipeline


def test_the_pipeline_is_that_of_the_pickles_and_knows_its_features(finished_run: Path) -> None:
    loaded, dataset = LoadedRun(finished_run), dataset_of(LoadedRun(finished_run))
    model, scaler = joblib.load(loaded.folder.model), joblib.load(loaded.folder.scaler)
    assert tuple(loaded.pipeline.feature_names_in_) == dataset.feature_names == loaded.model.names
    assert loaded.pipeline[-1].get_params() == model.get_params()
    table = pl.DataFrame(dataset.X, schema=list(dataset.feature_names))
    scaler.set_output(transform="polars")
    found, expected = loaded.pipeline.predict_proba(table), model.predict_proba(scaler.transform(table))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    one_missing = table.with_columns(pl.lit(None, pl.Float64).alias(table.columns[0]))
    assert np.isfinite(loaded.pipeline.predict_proba(one_missing)).all()


def test_the_pipeline_of_a_search_has_its_c(tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tables)
    words = ["data=fvc", "data.root=.", "audit.permutations=0", "plots=false", "cv.c_grid=[0.003,0.01]"]
    chosen = fvc_exp.run([*words, "cv.inner_splits=2"], output_dir=tmp_path / "out").final.C
    assert LoadedRun(tmp_path / "out").pipeline[-1].C == chosen in (0.003, 0.01)


def test_only_the_files_that_are_asked_for_are_read(copy: RunFolder) -> None:
    for path in copy.files():
        if path not in (copy.status, copy.results) and path.exists():
            path.write_bytes(b"x" * path.stat().st_size)
    assert require_finished(copy.path).results["run_id"]


def failed(run: RunFolder) -> None:
    write_json(run.status, {"state": "failed", "reason": "DataError", "message": "no label\nmore"})


def sealed(break_it: Callable[[RunFolder], object]) -> Callable[[RunFolder], object]:
    """As one who lists the broken file, too."""
    return lambda run: (break_it(run), reseal(run.path))


def sweep(run: RunFolder) -> None:
    shutil.rmtree(run.path)
    run.path.mkdir()
    write_json(run.path / "plan.json", {})


BROKEN = {
    "unfinished": (lambda run: run.status.unlink(), "the run is not finished: it holds no status.json yet"),
    "foreign": (lambda run: [path.unlink() for path in (run.status, run.config)], "is no run: it holds no status.json"),
    "sweep": (sweep, "is a sweep: name a run below its runs/, or read it with load_sweep"),
    "failed": (failed, r"the run is failed \(DataError: no label\); only a finished one can be used"),
    "stage": (lambda run: (run.results.unlink(), reseal(run.path)), "trained nothing: it holds no results.json"),
    "list": (lambda run: write_json(run.status, []), "status.json: Expected object, got array"),
    "no state": (lambda run: write_json(run.status, {}), "status.json: Object missing required field state"),
    "torn": (lambda run: run.status.write_text("{"), "status.json: Input data was truncated"),
    "metrics": (sealed(lambda run: write_json(run.metrics, {})), "metrics.json: Expected array, got object"),
    "table": (sealed(lambda run: run.predictions.write_bytes(b"PAR1 not really")), "predictions.parquet: cannot be"),
    "type": (sealed(lambda run: run.coefficients.write_text("feature,coefficient,mean,scale\nx,1.5,high,1.5")),
             "coefficients.csv: column 'mean' is String; it must be Float64"),
    "columns": (sealed(lambda run: shutil.copy(run.folds, run.predictions)), "'probability' is missing; it must be"),
    "no folds": (lambda run: run.folds.unlink(), "folds.parquet: is missing"),
    "half": (lambda run: os.truncate(run.results, 100), "results.json: is torn, .*: it has 100 bytes, but status.json"),
    "edited": (lambda run: run.metrics.write_bytes(run.metrics.read_bytes().replace(b"0.", b"1.")),
               "metrics.json: was changed after the run"),
    "more": (lambda run: write_json(run.status, {**json.loads(run.status.read_text()), "files": {"../x": {}}}),
             "status.json: Expected str matching regex"),
}  # fmt: skip


@pytest.mark.parametrize(("break_it", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_folder_is_named(copy: RunFolder, break_it: Callable[[RunFolder], object], message: str) -> None:
    break_it(copy)
    with pytest.raises(ArtifactError, match=message):
        fvc_exp.load_run(copy.path)


@pytest.mark.parametrize("command", ["predict", "report", "verify", "explain", "compare", "export"])
def test_every_command_says_the_same_of_a_failed_run(copy: RunFolder, command: str) -> None:
    failed(copy)
    more = {"predict": ["x.mp4"], "export": ["--to", "skops"]}.get(command, [])
    done = fvc(command, copy.path, *more)
    expected = f"error: {copy.path}: the run is failed (DataError: no label); only a finished one can be used"
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, expected)


def write_run(folder: Path, ended: str, state: str = "done", *, trained: bool = True) -> None:
    folder.mkdir(parents=True)
    (folder / "status.json").write_text(json.dumps({"state": state, "ended": ended}))
    if trained:
        (folder / "results.json").write_text("{}")


def test_newest_run_is_the_last_that_trained_and_is_done(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "2026-01-03T00:00:00+00:00")
    write_run(tmp_path / "b", "2026-01-01T00:00:00+00:00")
    write_run(tmp_path / "sweep" / "c", "2026-01-05T00:00:00+00:00", "failed")
    write_run(tmp_path / "d", "2026-01-06T00:00:00+00:00", trained=False)
    write_run(tmp_path / ".best-x7" / "new", "2026-01-07T00:00:00+00:00")  # of a driver that was killed
    assert newest_run(tmp_path) == tmp_path / "a"


@pytest.mark.parametrize(("state", "trained"), [("failed", True), ("done", False)], ids=["failed", "video stage"])
def test_folder_without_a_finished_training_run_is_named(tmp_path: Path, state: str, trained: bool) -> None:
    write_run(tmp_path / "a", "2026-01-03T00:00:00+00:00", state, trained=trained)
    with pytest.raises(DataError, match=r"1 runs in it, but no training run that is done"):
        newest_run(tmp_path)
