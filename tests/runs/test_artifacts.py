from __future__ import annotations

import json
import math
from pathlib import Path

import joblib
import numpy as np
import polars as pl
import pytest
import skops.io
from sklearn.ensemble import RandomForestClassifier

from fvc_exp.errors import ArtifactError
from fvc_exp.evaluation.metrics import METRICS
from fvc_exp.io.files import write_atomic, write_json
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.runs.artifacts import write_result
from fvc_exp.runs.load import read_pipeline
from fvc_exp.runs.plots import roc_pr_figure, write_png
from fvc_exp.training.experiment import RunResult
from tests.conftest import Compose, run, signal_dataset


@pytest.fixture
def result(compose_config: Compose) -> RunResult:
    return run(compose_config("penalty=elasticnet", "C=0.1"), signal_dataset())


@pytest.fixture
def folder(result: RunResult, tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path)
    write_result(folder, result)
    return folder


def test_metrics_are_one_record_a_fold(folder: RunFolder, result: RunResult) -> None:
    records = json.loads(folder.metrics.read_text())
    assert [record["fold"] for record in records] == [0, 1, 2, 3, 4]
    for name in METRICS:
        values = [record[f"test_{name}"] for record in records]
        assert result.summary[name]["mean"] == pytest.approx(np.mean(values))
        assert result.summary[name]["std"] == pytest.approx(np.std(values, ddof=1))
    assert all(record["tn"] + record["fp"] + record["fn"] + record["tp"] == record["n_test"] for record in records)


def test_model_and_scaler_work_together_as_in_a_notebook(folder: RunFolder, result: RunResult) -> None:
    model, scaler = joblib.load(folder.model), joblib.load(folder.scaler)
    X = result.dataset.X[result.split.test]
    np.testing.assert_array_equal(model.predict_proba(scaler.transform(X))[:, 1], result.test_probability)


def test_skops_holds_the_whole_pipeline(folder: RunFolder, result: RunResult) -> None:
    X = result.dataset.X[result.split.test].copy()
    pipeline = read_pipeline(folder.pipeline)
    np.testing.assert_array_equal(pipeline.predict_proba(X)[:, 1], result.test_probability)
    X[0, 0] = math.nan
    assert np.isfinite(pipeline.predict_proba(X)).all()


def test_a_foreign_model_file_is_refused(tmp_path: Path) -> None:
    forest = RandomForestClassifier(2).fit(np.arange(8).reshape(4, 2), [0, 1, 0, 1])
    skops.io.dump(forest, tmp_path / "model.skops")
    with pytest.raises(ArtifactError, match=r"refused.*sklearn\.tree\._tree\.Tree"):
        read_pipeline(tmp_path / "model.skops")


@pytest.mark.parametrize("content", [b"", b"PK not a zip", b"\x80\x04pickle"], ids=["empty", "zip", "pickle"])
def test_a_broken_model_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.skops").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"model\.skops: cannot be read as a model"):
        read_pipeline(tmp_path / "model.skops")


def test_results_summarise_the_run(folder: RunFolder, result: RunResult) -> None:
    results = json.loads(folder.results.read_text())
    assert results["cv"] == result.summary
    assert results["test"] == result.test_scores
    assert results["parameters"]["l1_ratio"] == 0.5
    assert set(results["floors"]["cv"]) == {"prior", "all_fake", "group_lookup"}
    assert results["data"]["class_counts"] == {"real": 60, "fake": 60}
    assert results["data"]["group_column"] == "group"


def test_coefficients_of_final_model_and_folds(folder: RunFolder, result: RunResult) -> None:
    table = pl.read_csv(folder.coefficients)
    assert table["feature"].to_list() == [*result.dataset.feature_names, "(intercept)"]
    np.testing.assert_array_equal(table["coefficient"][:-1], result.final.classifier.coef_[0])
    np.testing.assert_array_equal(table["repeat0_fold3"][:-1], result.fold_models[3].classifier.coef_[0])


def test_predictions_and_folds_are_tables(folder: RunFolder, result: RunResult) -> None:
    assert pl.read_parquet(folder.predictions).equals(result.predictions())
    assert pl.read_parquet(folder.folds).equals(result.folds())


def test_provenance_names_code_packages_and_data(folder: RunFolder, result: RunResult) -> None:
    provenance = json.loads(folder.provenance.read_text())
    assert provenance["data_sha256"] == result.dataset.content_hash()
    assert provenance["packages"]["scikit-learn"]
    assert provenance["seed"] == 42
    assert {"git", "python", "host", "command"} <= set(provenance)


def test_two_runs_are_bitwise_equal(compose_config: Compose, result: RunResult, tmp_path: Path) -> None:
    folders = [RunFolder(tmp_path / name) for name in ("one", "two")]
    for folder, outcome in zip(folders, (result, run(result.config, signal_dataset())), strict=True):
        folder.path.mkdir()
        write_result(folder, outcome)
    for name in ("metrics", "results", "coefficients", "predictions", "folds", "model", "scaler"):
        one, two = (getattr(folder, name).read_bytes() for folder in folders)
        assert one == two, name


def test_picture_is_a_png_and_repeats(result: RunResult, tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        write_atomic(tmp_path / name, lambda file: write_png(roc_pr_figure(result), file))
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_picture_shows_folds_mean_test_and_base_rate(result: RunResult) -> None:
    for axes in roc_pr_figure(result).axes:
        labels = [text.get_text() for text in axes.get_legend().get_texts()]
        assert labels[0] == "5 folds"
        assert labels[1].startswith("mean of folds")
        assert labels[2].startswith("held-out test")
        assert "0.5" in labels[3]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def write_half(file: object) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(ArtifactError, match="file: cannot be written: No space left on device"):
        write_atomic(path, write_half)
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["file"]


def test_unwritable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactError, match=r"file/status\.json: cannot be written: Not a directory"):
        write_json(tmp_path / "file" / "status.json", {})


def test_json_is_standard(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"a": math.nan, "b": math.inf, "c": [1, (2.5, None)]})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": None, "b": None, "c": [1, [2.5, None]]}
