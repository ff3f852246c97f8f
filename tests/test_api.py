from __future__ import annotations

import json
import time
from pathlib import Path

import joblib
import pytest

import fvc_exp
from fvc_exp.errors import ArtifactError, ConfigError, DataError
from fvc_exp.identity import canonical
from fvc_exp.search import documented_grid


@pytest.fixture
def project(tables: Path) -> Path:
    """A project folder whose name needs quoting."""
    odd = tables / "it's a, project=1"
    odd.mkdir()
    for name in ("scaled_metadata.csv", "features_stage2.parquet"):
        (tables / name).rename(odd / name)
    return odd


def test_documented_grid_is_28_distinct_configurations() -> None:
    grid = documented_grid([])
    assert len(grid) == len({json.dumps(canonical(config)) for config in grid}) == 28


def test_trains_and_writes_the_documented_files(project: Path) -> None:
    results = fvc_exp.train_sklearn_logreg(project, output_dir="out", n_splits=3)
    written = {path.name for path in (project / "out").iterdir()}
    assert {"model.joblib", "scaler.joblib", "metrics.json", "roc_pr_curves.png", "results.json"} <= written
    assert json.loads((project / "out" / "results.json").read_text()) == results
    assert len(json.loads((project / "out" / "metrics.json").read_text())) == 3
    assert len(results["search"]) == 28
    best = max(results["search"], key=lambda record: record["auc_mean"])
    assert results["cv"]["auc"]["mean"] == best["auc_mean"]
    assert results["parameters"]["penalty"] == best["penalty"]
    assert joblib.load(project / "out" / "model.joblib").coef_.shape == (1, 5)


def test_a_finished_run_is_not_overwritten_unasked(project: Path) -> None:
    first = fvc_exp.train_sklearn_logreg(project, output_dir="out", n_splits=3)
    before = (project / "out" / "results.json").stat().st_mtime_ns
    with pytest.raises(ArtifactError, match=r"already holds a run.*delete_existing=True"):
        fvc_exp.train_sklearn_logreg(project, output_dir="out", n_splits=3)
    assert (project / "out" / "results.json").stat().st_mtime_ns == before
    (project / "out" / "note.txt").write_text("mine")
    time.sleep(0.01)
    assert fvc_exp.train_sklearn_logreg(project, output_dir="out", n_splits=3, delete_existing=True) == first
    assert (project / "out" / "note.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"scaled_metadata_path": "nothing"}, DataError, "nothing: no such file"),
        ({"features_stage4_path": "nothing"}, DataError, "nothing: no such file"),
        ({"n_splits": 1}, ConfigError, "cv.n_splits=1 is not allowed"),
        ({"n_splits": "many"}, ConfigError, "could not be converted to Integer"),
        ({"output_dir": "scaled_metadata.csv/out"}, ArtifactError, "cannot be made: Not a directory"),
    ],
    ids=["metadata", "stage 4", "folds", "type", "output"],
)
def test_mistakes_are_named_and_leave_nothing(
    project: Path, arguments: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        fvc_exp.train_sklearn_logreg(project, **{"output_dir": "out"} | arguments)
    assert not (project / "out").exists()
