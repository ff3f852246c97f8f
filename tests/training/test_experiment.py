import warnings
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.special import expit
from sklearn.calibration import CalibratedClassifierCV
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fvc_exp.config.schema import Penalty
from fvc_exp.config.validate import LEGAL_SOLVERS, PROX_NEWTON
from fvc_exp.data.splits import inner_parts
from fvc_exp.training.calibration import best_threshold
from fvc_exp.training.experiment import fit_configuration
from fvc_exp.training.pipeline import build_pipeline, fit_pipeline
from fvc_exp.training.split_dataset import SplitDataset, candidates
from tests.conftest import Compose, make_dataset, noise_dataset, run, signal_dataset

PAIRS = [(penalty, solver) for penalty, solvers in LEGAL_SOLVERS.items() for solver in solvers]

WEIGHTS: dict[str, dict[int, float] | None] = {"null": None, "{0:1,1:3}": {0: 1, 1: 3}}


@pytest.mark.parametrize(("penalty", "solver"), PAIRS, ids=[f"{p.name}-{s}" for p, s in PAIRS])
@pytest.mark.parametrize("weight", ["null", "balanced", "{0:1,1:3}"])
def test_equals_scikit_learn_by_hand(compose_config: Compose, penalty: Penalty, solver: str, weight: str) -> None:
    overrides = [f"penalty={penalty.name}", f"solver={solver}", "C=0.3", f"class_weight={weight}"]
    config = compose_config(*overrides, *(["solver.tol=1e-18"] if solver == PROX_NEWTON else []))
    dataset = signal_dataset()
    dataset.X[::7, 1] = np.nan
    result = run(config, dataset)
    ratio = {"l1": 1.0, "l2": 0.0, "none": 0.0, "elasticnet": 0.5}[penalty.name]
    settings = {"solver": solver, "max_iter": config.solver.max_iter, "tol": config.solver.tol}
    atol = 1e-9
    if solver == PROX_NEWTON:  # scikit-learn has no such solver: another one, as exact as it can be
        settings = {"solver": "saga" if ratio else "newton-cholesky", "max_iter": 100_000, "tol": 1e-13}
        atol = 1e-8  # the root of solver.tol, since the objective is flat at its minimum
    parts = [(fold.train, model) for fold, model in zip(result.split.folds, result.cv.models, strict=True)]
    for train, model in [*parts, (result.split.development, result.final)]:
        C = np.inf if penalty is Penalty.none else 0.3
        by_hand = LogisticRegression(
            C=C, l1_ratio=ratio, random_state=config.seed, class_weight=WEIGHTS.get(weight, weight)
        ).set_params(**settings)
        reference = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), by_hand)
        reference.fit(dataset.X[train], dataset.y[train])
        assert type(model.classifier) is LogisticRegression
        np.testing.assert_allclose(model.classifier.coef_, by_hand.coef_, rtol=0, atol=atol)
        np.testing.assert_allclose(model.classifier.intercept_, by_hand.intercept_, rtol=0, atol=atol)


NEAR_COPIES = (300, 11, 26)  # videos, copies of each, features


@pytest.mark.slow
def test_random_labels_score_nothing_when_grouped_and_leak_when_not(compose_config: Compose) -> None:
    means, errors = {}, {}
    for scheme in ("grouped", "stratified"):
        config = compose_config(f"cv={scheme}", "cv.test_size=0")
        scores = [run(config, noise_dataset(*NEAR_COPIES, seed)).summary["auc"]["mean"] for seed in range(8)]
        means[scheme], errors[scheme] = np.mean(scores), np.std(scores, ddof=1) / np.sqrt(8)
    assert abs(means["grouped"] - 0.5) < 3 * errors["grouped"]
    assert means["stratified"] - 3 * errors["stratified"] > 0.6


def test_the_held_out_set_exposes_a_leaking_split(compose_config: Compose) -> None:
    result = run(compose_config("cv=stratified"), noise_dataset(*NEAR_COPIES, 0))
    assert result.test_scores is not None
    assert result.summary["auc"]["mean"] - result.test_scores["auc"] > 0.1
    assert result.floors["group_lookup"]["accuracy"] > 0.99
    across_groups = run(compose_config(), noise_dataset(*NEAR_COPIES, 0)).floors
    assert across_groups["group_lookup"] == across_groups["prior"]
    assert across_groups["prior"]["auc"] == 0.5
    assert any(note.startswith("LEAKING SPLIT") for note in result.notes)


def test_a_good_model_has_no_flag_and_beats_the_floor_that_calls_all_fake(compose_config: Compose) -> None:
    result = run(compose_config(), signal_dataset(n_groups=200))
    assert result.flag_details == {}
    floor = result.floors["all_fake"]
    assert result.summary["balanced_accuracy"]["mean"] > floor["balanced_accuracy"] + 0.1
    assert (floor["recall"], floor["recall_real"], floor["auc"]) == (1.0, 0.0, 0.5)
    assert floor["f1"] == pytest.approx(2 / 3, abs=0.02)


def test_not_converged_is_flagged_with_its_iterations(compose_config: Compose) -> None:
    result = run(compose_config("solver=saga", "solver.max_iter=2"), signal_dataset())
    assert "not_converged" in result.flag_details
    assert {record["n_iter"] for record in result.fold_records} == {2}
    assert not any(record["converged"] for record in result.fold_records)
    assert any("ConvergenceWarning" in note for note in result.notes)


def test_progress_counts_folds_and_predictions_cover_every_row(compose_config: Compose) -> None:
    dataset = signal_dataset()
    seen: list[tuple[int, int]] = []
    result = run(compose_config("cv.n_splits=3"), dataset, lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    predictions, folds = result.predictions(), result.data.folds
    assert sorted(predictions["video_path"]) == sorted(dataset.ids)
    assert predictions.select(folds.columns).equals(folds)
    assert predictions.filter(split="test").height == len(result.split.test)
    scored = predictions.filter(split="test")
    np.testing.assert_array_equal(scored["predicted"], (scored["probability"] > 0.5).cast(int))


def test_a_column_that_is_empty_in_one_training_part(compose_config: Compose) -> None:
    dataset = signal_dataset()
    only = run(compose_config(), dataset).split.folds[0].test
    X = dataset.X.copy()
    X[np.setdiff1d(np.arange(len(X)), only), 2] = np.nan
    with warnings.catch_warnings(action="error"):
        result = run(compose_config(), make_dataset(X, dataset.y, dataset.groups))
    assert result.cv.models[0].classifier.coef_[0, 2] == 0


CHOICES = list(product(("none", "sigmoid", "isotonic"), ("0.5", "f1", "youden")))


@pytest.mark.parametrize(
    "overrides",
    [*((f"calibration={calibration}", f"threshold={rule}") for calibration, rule in CHOICES), ("cv=nested",)],
    ids=" ".join,
)
def test_test_rows_decide_nothing(compose_config: Compose, overrides: tuple[str, ...]) -> None:
    """Neither features nor labels of test rows change medians, scales, coefficients, C, calibration or threshold."""
    config = compose_config(*overrides, "cv.inner_splits=3", "cv.n_splits=3")
    dataset = signal_dataset()
    dataset.X[::5, 0] = np.nan
    result = run(config, dataset)
    rows = np.arange(0, len(dataset.y), 7)
    for fold, model in zip(result.split.folds, result.cv.models, strict=True):
        X, y = dataset.X.copy(), dataset.y.copy()
        X[fold.test], y[fold.test] = 1e3 * X[fold.test] + 7, 1 - y[fold.test]
        X[result.split.test], y[result.split.test] = -X[result.split.test], 1 - y[result.split.test]
        changed = replace(result.data, dataset=make_dataset(X, y, dataset.groups))
        again = fit_configuration(candidates(config), changed, fold.train)
        assert (again.threshold, again.C) == (model.threshold, model.C)
        np.testing.assert_array_equal(again.probability(dataset.X[rows]), model.probability(dataset.X[rows]))
        for one, other in zip((*again.standard, again.coef), (*model.standard, model.coef), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_equals_the_calibration_of_scikit_learn(compose_config: Compose, method: str) -> None:
    config = compose_config(f"calibration={method}", "C=10", "cv.inner_splits=4")
    dataset = signal_dataset(n_groups=60)
    rows = np.arange(120)
    parts = [
        (np.searchsorted(rows, inner), np.searchsorted(rows, outer))
        for inner, outer in inner_parts(dataset, rows, 4, config.seed)
    ]
    pipeline = build_pipeline(config).set_params(classifier__solver="newton-cholesky")
    reference = CalibratedClassifierCV(pipeline, method=method, cv=parts, ensemble=False)
    reference.fit(dataset.X[rows], dataset.y[rows])
    expected = reference.predict_proba(dataset.X)[:, 1]
    # Between two knots scikit-learn interpolates over log odds, and we over probabilities.
    tolerance = {"sigmoid": 1e-4, "isotonic": 0.03}[method]
    found = fit_configuration([config], SplitDataset.of(config, dataset), rows).probability(dataset.X)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("rule", ["f1", "youden"])
def test_the_threshold_is_that_of_the_out_of_fold_rows(compose_config: Compose, rule: str) -> None:
    config = compose_config(f"threshold={rule}", "cv.inner_splits=3")
    dataset, rows = signal_dataset(), np.arange(90)
    scored = [
        (dataset.y[test], fit_pipeline(config, dataset.X[inner], dataset.y[inner]).probability(dataset.X[test]))
        for inner, test in inner_parts(dataset, rows, 3, config.seed)
    ]
    y, probability = (np.concatenate(each) for each in zip(*scored, strict=True))
    fitted = fit_configuration([config], SplitDataset.of(config, dataset), rows)
    assert fitted.threshold == pytest.approx(best_threshold(rule, y, probability), abs=1e-12)


def test_a_threshold_that_is_a_number_is_that_of_every_model(compose_config: Compose) -> None:
    usual, found = (run(compose_config(f"threshold={value}"), signal_dataset()) for value in (0.5, 0.3))
    for one, other, record in zip(usual.cv.probabilities, found.cv.probabilities, found.fold_records, strict=True):
        np.testing.assert_array_equal(one, other)
        assert (record["threshold"], record["tp"] + record["fp"]) == (0.3, np.sum(one > 0.3))
    assert found.final.threshold == 0.3
    assert run(compose_config("threshold=0.3", "calibration=sigmoid"), signal_dataset()).final.threshold == 0.3


def test_scores_decisions_and_records_use_the_fold_s_threshold(compose_config: Compose) -> None:
    result = run(compose_config("threshold=youden", "class_weight=balanced"), signal_dataset(n_groups=100))
    for record, model, probability, fold in zip(
        result.fold_records, result.cv.models, result.cv.probabilities, result.split.folds, strict=True
    ):
        assert record["threshold"] == model.threshold
        assert record["tp"] + record["fp"] == np.sum(probability > model.threshold)
        assert record["test_accuracy"] == np.mean((probability > model.threshold) == result.dataset.y[fold.test])
    assert len({model.threshold for model in result.cv.models}) > 1
    test = result.predictions().filter(split="test")
    assert (test["predicted"] == (test["probability"] > result.final.threshold).cast(int)).all()


def test_sigmoid_calibration_is_in_the_coefficients(compose_config: Compose) -> None:
    plain, scaled = (
        run(compose_config("C=100", f"calibration={method}"), signal_dataset()).final for method in ("none", "sigmoid")
    )
    ratio = scaled.classifier.coef_ / plain.classifier.coef_
    np.testing.assert_allclose(ratio, ratio[0, 0])
    assert 0 < ratio[0, 0] < 1
    X = signal_dataset().X
    log_odds = scaled.classifier.decision_function(scaled.scaler.transform(X))
    np.testing.assert_allclose(scaled.probability(X), expit(log_odds), atol=1e-12)


def test_inner_fits_that_do_not_converge_give_a_warning(compose_config: Compose) -> None:
    config = compose_config("threshold=f1", "solver=saga", "solver.max_iter=1")
    fitted = fit_configuration([config], SplitDataset.of(config, signal_dataset()), np.arange(90))
    assert "5 of 5 fits of inner folds did not converge" in fitted.warnings
