import json
import re
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import skops.io

from fvc_exp.evaluation.metrics import METRICS
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.runs.artifacts import export_skops, results, write_result
from fvc_exp.runs.load import require_finished
from fvc_exp.training.experiment import RunResult, run_experiment
from fvc_exp.training.split_dataset import points_of
from tests.conftest import Compose, run, signal_dataset
from tests.report.folders import make_config
from tests.shell import run_process


@pytest.fixture(scope="module")
def result() -> RunResult:
    return run(make_config(), signal_dataset())


@pytest.fixture(scope="module")
def folder(result: RunResult, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = RunFolder(tmp_path_factory.mktemp("written"))
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
    found = json.loads(folder.results.read_text())
    assert found["cv"] == result.summary
    assert found["test"] == result.test_scores
    assert found["parameters"]["l1_ratio"] == 0.5
    assert set(found["floors"]["cv"]) == {"prior", "all_fake", "group_lookup", "chance"}
    assert found["data"]["class_counts"] == {"real": 60, "fake": 60}
    assert found["data"]["group_column"] == "group"


def test_results_say_which_solver_was_used(compose_config: Compose, folder: RunFolder, result: RunResult) -> None:
    final = json.loads(folder.results.read_text())["final_model"]
    assert (final["solver"], final["shared_fit"]) == ("prox-newton", False)
    assert 0 <= final["bound"] <= 1e-9
    theirs = results(run(compose_config("solver=saga"), signal_dataset()))["final_model"]
    assert (theirs["solver"], theirs["shared_fit"], theirs["bound"]) == ("saga", False, None)
    result.data.fit_together(result.config, points_of(result.config))
    shared = run_experiment(result.config, result.data)
    assert results(shared)["final_model"]["shared_fit"]
    line = r"solver: prox-newton, shared by a grid of 1 penalties, \d+ iterations, converged, bound \d.*"
    assert re.fullmatch(line, shared.final.solver_line())


def test_pickles_name_their_features_and_need_scikit_learn_alone(folder: RunFolder, result: RunResult) -> None:
    code = """import json, sys, joblib, warnings, polars; warnings.simplefilter('error'); sys.modules['fvc_exp'] = None
model, scaler = joblib.load('model.joblib'), joblib.load('scaler.joblib').set_output(transform='polars')
rows = scaler.transform(polars.DataFrame({name: [0.5] for name in scaler.feature_names_in_}))
print(list(model.feature_names_in_) == list(scaler.feature_names_in_) == json.load(open('feature_names.json')), model)
print(model.predict_proba(rows)[0, 1])"""
    done = run_process(sys.executable, "-c", code, cwd=folder.path)
    assert re.match(r"True LogisticRegression\(C=0.1,[^)]*solver='prox-newton'", done.stdout), done.stderr
    expected = result.final.probability(np.full((1, len(result.dataset.feature_names)), 0.5))[0]
    assert float(done.stdout.split()[-1]) == pytest.approx(expected, abs=1e-12)


def test_coefficients_of_final_model_and_folds(folder: RunFolder, result: RunResult) -> None:
    table = pl.read_csv(folder.coefficients)
    assert table["feature"].to_list() == [*result.dataset.feature_names, "(intercept)"]
    np.testing.assert_array_equal(table["coefficient"][:-1], result.final.classifier.coef_[0])
    np.testing.assert_array_equal(table["repeat0_fold3"][:-1], result.cv.models[3].classifier.coef_[0])


def test_provenance_names_code_packages_and_data(folder: RunFolder, result: RunResult) -> None:
    provenance = json.loads(folder.provenance.read_text())
    assert provenance["data_sha256"] == result.dataset.content_hash
    assert provenance["packages"]["scikit-learn"]
    assert provenance["seed"] == 42
    assert {"git", "python", "host", "command"} <= set(provenance)
