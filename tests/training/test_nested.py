import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fvc_exp.config.schema import Config
from fvc_exp.data.group_folds import stratified_group_folds
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.runs.artifacts import write_result
from fvc_exp.training.pipeline import fit_pipeline
from tests.conftest import Compose, run, signal_dataset


@pytest.fixture
def config(compose_config: Compose) -> Config:
    return compose_config("cv=nested", "cv.n_splits=3", "cv.inner_splits=3", "cv.c_grid=[10,0.001,0.1]")


def test_equals_the_search_by_hand(config: Config) -> None:
    dataset = signal_dataset()
    result = run(config, dataset)
    assert result.nested is not None
    for fold, c, probability in zip(result.split.folds, result.nested.chosen, result.cv.probabilities, strict=True):
        X, y, groups = dataset.X[fold.train], dataset.y[fold.train], dataset.groups[fold.train]
        tests = stratified_group_folds(y, groups, 3, config.seed)
        aucs = {value: [] for value in (0.001, 0.1, 10.0)}
        for value, test in product(aucs, tests):
            model = fit_pipeline(replace(config, C=value), np.delete(X, test, axis=0), np.delete(y, test))
            aucs[value].append(roc_auc_score(y[test], model.probability(X[test])))
        assert c == max(aucs, key=lambda value: np.mean(aucs[value]))
        expected = fit_pipeline(replace(config, C=c), X, y).probability(dataset.X[fold.test])
        np.testing.assert_array_equal(probability, expected)


def test_optimism_is_best_plain_less_nested_score_and_results_name_the_search(config: Config, tmp_path: Path) -> None:
    dataset = signal_dataset()
    result = run(config, dataset)
    nested = result.nested
    assert nested is not None
    plain = replace(config, cv=replace(config.cv, c_grid=[]))
    for c, auc in nested.plain.items():
        alone = run(replace(plain, C=c), dataset)
        assert auc == pytest.approx(alone.summary["auc"]["mean"], abs=1e-12)
    assert nested.best == max(nested.plain, key=lambda c: nested.plain[c])
    assert nested.optimism == nested.plain[nested.best] - nested.auc
    write_result(RunFolder(tmp_path), result)
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["nested"]["final"] == result.final.C
    assert [each["C"] for each in results["nested"]["plain"]] == [0.001, 0.1, 10.0]
    assert "C" not in results["parameters"]
    assert results["parameters"]["cv"]["c_grid"] == "0.001 0.1 10"
    records = json.loads((tmp_path / "metrics.json").read_text())
    assert [record["C"] for record in records] == list(result.nested.chosen)
    assert any("C=1.0 has no effect with cv.c_grid=" in note for note in result.notes)
