import warnings

import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fvc_exp.config.schema import Penalty
from fvc_exp.config.validate import LEGAL_SOLVERS, PROX_NEWTON
from fvc_exp.data.dataset import Dataset
from tests.conftest import Compose, make_dataset, run, signal_dataset

PAIRS = [(penalty, solver) for penalty, solvers in LEGAL_SOLVERS.items() for solver in solvers]


@pytest.mark.parametrize(("penalty", "solver"), PAIRS, ids=[f"{p.name}-{s}" for p, s in PAIRS])
@pytest.mark.parametrize("weight", ["null", "balanced"])
def test_equals_scikit_learn_by_hand(compose_config: Compose, penalty: Penalty, solver: str, weight: str) -> None:
    overrides = [f"penalty={penalty.name}", f"solver={solver}", "C=0.3", f"class_weight={weight}"]
    config = compose_config(*overrides, *(["solver.tol=1e-16"] if solver == PROX_NEWTON else []))
    dataset = signal_dataset()
    dataset.X[::7, 1] = np.nan
    result = run(config, dataset)
    ratio = {"l1": 1.0, "l2": 0.0, "none": 0.0, "elasticnet": 0.5}[penalty.name]
    settings = {"solver": solver, "max_iter": config.solver.max_iter, "tol": config.solver.tol}
    atol = 1e-9
    if solver == PROX_NEWTON:  # scikit-learn has no such solver: another one, as exact as it can be
        settings = {"solver": "saga" if ratio else "newton-cholesky", "max_iter": 100_000, "tol": 1e-13}
        atol = 1e-8  # the root of solver.tol, since the objective is flat at its minimum
    parts = [(fold.train, model) for fold, model in zip(result.split.folds, result.fold_models, strict=True)]
    for train, model in [*parts, (result.split.development, result.final)]:
        C = np.inf if penalty is Penalty.none else 0.3
        by_hand = LogisticRegression(
            C=C, l1_ratio=ratio, random_state=config.seed, class_weight=None if weight == "null" else weight
        ).set_params(**settings)
        reference = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), by_hand)
        reference.fit(dataset.X[train], dataset.y[train])
        assert type(model.classifier) is LogisticRegression
        np.testing.assert_allclose(model.classifier.coef_, by_hand.coef_, rtol=0, atol=atol)
        np.testing.assert_allclose(model.classifier.intercept_, by_hand.intercept_, rtol=0, atol=atol)


def near_copies_with_random_labels(seed: int) -> Dataset:
    """300 videos with 11 near-copies each, 26 features, and labels that mean nothing."""
    random = np.random.default_rng(seed)
    groups = np.repeat(np.arange(300), 11)
    labels = random.permutation(np.arange(300) % 2)
    X = random.normal(size=(300, 26))[groups] + 0.3 * random.normal(size=(3300, 26))
    return make_dataset(X, labels[groups], groups)


def test_random_labels_score_nothing_when_grouped_and_leak_when_not(compose_config: Compose) -> None:
    means, errors = {}, {}
    for scheme in ("grouped", "stratified"):
        config = compose_config(f"cv={scheme}", "cv.test_size=0")
        scores = [run(config, near_copies_with_random_labels(seed)).summary["auc"]["mean"] for seed in range(8)]
        means[scheme], errors[scheme] = np.mean(scores), np.std(scores, ddof=1) / np.sqrt(8)
    assert abs(means["grouped"] - 0.5) < 3 * errors["grouped"]
    assert means["stratified"] - 3 * errors["stratified"] > 0.6


def test_the_held_out_set_exposes_a_leaking_split(compose_config: Compose) -> None:
    result = run(compose_config("cv=stratified"), near_copies_with_random_labels(0))
    assert result.test_scores is not None
    assert result.summary["auc"]["mean"] - result.test_scores["auc"] > 0.1
    assert result.floors["group_lookup"]["accuracy"] > 0.99
    assert any(note.startswith("LEAKING SPLIT") for note in result.notes)


def test_group_lookup_knows_nothing_across_groups(compose_config: Compose) -> None:
    result = run(compose_config(), near_copies_with_random_labels(0))
    assert result.floors["group_lookup"] == result.floors["prior"]
    assert result.floors["prior"]["auc"] == 0.5


def test_a_good_model_has_no_flag_and_beats_the_floor_that_calls_all_fake(compose_config: Compose) -> None:
    result = run(compose_config(), signal_dataset(n_groups=200))
    assert result.flags == ()
    floor = result.floors["all_fake"]
    assert result.summary["balanced_accuracy"]["mean"] > floor["balanced_accuracy"] + 0.1
    assert (floor["recall"], floor["recall_real"], floor["auc"]) == (1.0, 0.0, 0.5)
    assert floor["f1"] == pytest.approx(2 / 3, abs=0.02)


def test_a_run_without_groups_has_a_note(compose_config: Compose) -> None:
    dataset = signal_dataset()
    alone = make_dataset(dataset.X, dataset.y, np.arange(len(dataset.y)), group_column=None)
    assert any(note.startswith("NO GROUPS") for note in run(compose_config(), alone).notes)


def test_not_converged_is_flagged_with_its_iterations(compose_config: Compose) -> None:
    result = run(compose_config("solver=saga", "solver.max_iter=2"), signal_dataset())
    assert "not_converged" in result.flags
    assert {record["n_iter"] for record in result.fold_records} == {2}
    assert not any(record["converged"] for record in result.fold_records)
    assert any("ConvergenceWarning" in note for note in result.notes)


def test_predictions_and_folds_cover_every_row(compose_config: Compose) -> None:
    dataset = signal_dataset()
    result = run(compose_config(), dataset)
    predictions, folds = result.predictions(), result.folds()
    assert sorted(predictions["video_path"]) == sorted(dataset.ids)
    assert predictions.select(folds.columns).equals(folds)
    assert predictions.filter(split="test").height == len(result.split.test)
    scored = predictions.filter(split="test")
    np.testing.assert_array_equal(scored["predicted"], (scored["probability"] > 0.5).cast(int))


def test_progress_counts_folds(compose_config: Compose) -> None:
    seen: list[tuple[int, int]] = []
    run(compose_config("cv.n_splits=3"), signal_dataset(), lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_column_that_is_empty_in_one_training_part(compose_config: Compose) -> None:
    dataset = signal_dataset()
    only = run(compose_config(), dataset).split.folds[0].test
    X = dataset.X.copy()
    X[np.setdiff1d(np.arange(len(X)), only), 2] = np.nan
    with warnings.catch_warnings(action="error"):
        result = run(compose_config(), make_dataset(X, dataset.y, dataset.groups))
    assert result.fold_models[0].classifier.coef_[0, 2] == 0
