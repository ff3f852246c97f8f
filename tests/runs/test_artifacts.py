import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import skops.io

from fvc_exp.evaluation.metrics import METRICS
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.runs.artifacts import export_skops, write_result
from fvc_exp.runs.load import require_finished
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


def test_skops_holds_the_whole_pipeline(finished_run: Path, tmp_path: Path) -> None:
    run = require_finished(finished_run)
    path = export_skops(run, tmp_path / "model.skops")
    assert not run.folder.skops.exists()
    pipeline = skops.io.load(path, trusted=["numpy.dtype"])
    row = pl.DataFrame([{name: None for name in run.model.names}], dict.fromkeys(run.model.names, pl.Float64))
    assert pipeline.feature_names_in_.tolist() == list(run.model.names)
    np.testing.assert_array_equal(pipeline.predict_proba(row), run.pipeline.predict_proba(row))


def test_results_summarise_the_run(folder: RunFolder, result: RunResult) -> None:
    results = json.loads(folder.results.read_text())
    assert results["cv"] == result.summary
    assert results["test"] == result.test_scores
    assert results["parameters"]["l1_ratio"] == 0.5
    assert set(results["floors"]["cv"]) == {"prior", "all_fake", "group_lookup", "chance"}
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
