import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from fvc_exp.config.validate import effective_c, effective_l1_ratio
from fvc_exp.training.pipeline import fitted_classifier
from fvc_exp.training.solvers.estimator import ProxNewtonLogisticRegression
from tests.conftest import Compose
from tests.training.solvers.problems import table


@parametrize_with_checks([ProxNewtonLogisticRegression(l1_ratio=0.5)])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_keeps_the_rules_of_scikit_learn(estimator: ProxNewtonLogisticRegression, check: object) -> None:
    check(estimator)


def test_scale_and_offset_of_columns_do_not_matter_without_a_penalty() -> None:
    X, y = table(200, 4, 4)
    odd = X * np.array([1e-9, 1, 1e9, 1]) + np.array([0, 1e6, 0, -3])
    one, other = (ProxNewtonLogisticRegression(C=np.inf, tol=1e-13).fit(each, y) for each in (X, odd))
    np.testing.assert_allclose(one.decision_function(X), other.decision_function(odd), atol=1e-5)


def test_constant_and_duplicated_columns() -> None:
    X, y = table(200, 4, 5)
    odd = np.column_stack([X, X[:, 0], np.full(len(y), 7.3)])
    for C, ratio in ((1.0, 0.0), (0.1, 1.0), (1.0, 0.5), (np.inf, 0.0)):
        model = ProxNewtonLogisticRegression(C=C, l1_ratio=ratio).fit(odd, y)
        assert model.gap_ <= 1e-9
        assert model.coef_[0, 5] == 0
        if ratio == 0 and np.isfinite(C):
            assert model.coef_[0, 0] == pytest.approx(model.coef_[0, 4], rel=1e-6)


def test_too_few_steps_give_a_warning() -> None:
    X, y = table(200, 5, 9)
    with pytest.warns(ConvergenceWarning, match=r"stopped after 1 Newton steps \(max_iter=1\)"):
        ProxNewtonLogisticRegression(max_iter=1, C=100).fit(X, y)


ONE_OR_THREE = [
    ([1, 1, 1, 1], None, "all rows of positive weight are of one class"),
    ([0, 0, 1, 1], [1, 1, 0, 0], "all rows of positive weight are of one class"),
    ([0, 1, 2, 0], None, "Only binary classification is supported"),
]


@pytest.mark.parametrize(("y", "s", "message"), ONE_OR_THREE)
def test_other_than_two_classes_are_refused(y: list[int], s: list[float] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ProxNewtonLogisticRegression().fit(np.arange(8.0).reshape(4, 2), y, s)


@pytest.mark.parametrize(("name", "value"), [("C", 0), ("C", -1), ("l1_ratio", 2), ("tol", -1), ("max_iter", 0.5)])
def test_parameters_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"The '{name}' parameter of ProxNewtonLogisticRegression must be .* {value}"):
        ProxNewtonLogisticRegression(**{name: value}).fit([[0.0], [1.0]], [0, 1])


@pytest.mark.parametrize("penalty", ["l2", "elasticnet", "l1", "none"])
def test_what_is_saved_is_a_plain_logistic_regression(compose_config: Compose, penalty: str) -> None:
    X, y = table(100, 3, 11)
    config = compose_config(f"penalty={penalty}", "C=0.3")
    C, ratio = effective_c(config), effective_l1_ratio(config)
    fitted = ProxNewtonLogisticRegression(C=C, l1_ratio=ratio).fit(X, y)
    with warnings.catch_warnings(action="error"):
        model = fitted_classifier(config, fitted.coef_[0], float(fitted.intercept_[0]))
        assert type(model) is LogisticRegression
        np.testing.assert_array_equal(model.predict_proba(X), fitted.predict_proba(X))
    assert "solver='prox-newton'" in repr(model)
    with pytest.raises(ValueError, match=r"'solver' parameter of LogisticRegression must be .* Got 'prox-newton'"):
        model.fit(X, y)
    with warnings.catch_warnings(action="error"):  # all other parameters are legal
        model.set_params(max_iter=100_000, tol=1e-4, solver="saga" if model.l1_ratio else "newton-cholesky").fit(X, y)
