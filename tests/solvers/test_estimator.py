from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from fvc_exp.solvers import ProxNewtonLogisticRegression


@parametrize_with_checks([ProxNewtonLogisticRegression(), ProxNewtonLogisticRegression(l1_ratio=0.5)])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_keeps_the_rules_of_scikit_learn(estimator: ProxNewtonLogisticRegression, check: object) -> None:
    check(estimator)  # type: ignore[operator]
