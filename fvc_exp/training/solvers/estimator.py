"""The solver as a scikit-learn estimator, and a fit that tells where it did not end at its minimum."""

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn import exceptions, linear_model
from sklearn.utils import compute_class_weight, multiclass, validation

from fvc_exp._typing import Array
from fvc_exp.config.validate import PROX_NEWTON
from fvc_exp.data.standard import Standard
from fvc_exp.training.solvers import newton, wide

ClassWeights = dict[Any, float] | str | None


class ProxNewtonLogisticRegression(linear_model.LogisticRegression):  # type: ignore[misc]  # to mypy scikit-learn has no types
    """Binary logistic regression by proximal Newton steps, stopped by a bound on the distance from the minimum.

    Minimises scikit-learn's objective C sum_i s_i loss_i + l1_ratio |w|_1 + (1 - l1_ratio) / 2 |w|^2; the intercept is
    not penalised, and ``C=inf`` is no penalty. ``tol`` bounds (F - min F) / F. Computed in double precision.
    A sparse X is refused: pass ``X.toarray()``.

    Attributes:
        classes_: the two labels, shape (2,).
        coef_: shape (1, n_features).
        intercept_: shape (1,).
        n_iter_: Newton steps, shape (1,).
        gap_: the bound that was reached on (F - min F) / F.
        separable_: whether a plane separates the classes where nothing is penalised; rows may lie on the plane, but
            not all. There is then no minimum: the coefficients are finite, but only because the solver stopped.

    Raises:
        ValueError: a parameter is out of range, or fewer or more than two classes have rows of positive weight.
    """

    coef_: Array
    intercept_: Array

    def __init__(
        self,
        *,
        C: float = 1.0,
        l1_ratio: float = 0.0,
        class_weight: ClassWeights = None,
        tol: float = 1e-9,
        max_iter: int = 1000,
    ) -> None:
        super().__init__(
            C=C, l1_ratio=l1_ratio, class_weight=class_weight, tol=tol, max_iter=max_iter, solver=PROX_NEWTON
        )

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to X (n, p), labels y (n,) and weights (n,) of at least 0; warns where the bound was not reached."""
        self._validate_params()
        rows, labels = validation.validate_data(self, X, y, dtype=np.float64)
        if (kind := multiclass.type_of_target(labels)) != "binary":
            multiclass.check_classification_targets(labels)
            raise ValueError(f"Only binary classification is supported. The type of the target is {kind}.")
        self.classes_, codes = np.unique(labels, return_inverse=True)
        weight = validation._check_sample_weight(sample_weight, rows, dtype=np.float64, ensure_non_negative=True)
        if self.class_weight is not None:
            each = compute_class_weight(self.class_weight, classes=self.classes_, y=labels, sample_weight=weight)
            weight = weight * each[codes]
        kept = weight > 0
        rows, codes, weight = rows[kept], codes[kept], weight[kept]
        if not 0 < codes.sum() < len(codes):
            raise ValueError("two classes are needed, but all rows of positive weight are of one class")
        _, mean, scale = standard = Standard.of(rows, np.zeros(rows.shape[1], np.bool_))
        Z = standard.apply(rows)
        Z[:, rows.max(axis=0) == rows.min(axis=0)] = 0.0
        # These penalise the coefficients of Z as C and l1_ratio do those of X.
        l1, l2 = self.l1_ratio / self.C / scale, (1 - self.l1_ratio) / self.C / scale**2
        found = fit_or_warn(newton.Problem(Z, codes.astype(np.float64), weight, l1, l2), self.tol, self.max_iter)
        self.coef_ = (found.w / scale)[None]
        self.intercept_ = found.b - self.coef_ @ mean
        self.n_iter_ = np.array([found.n_iter], dtype=np.int32)
        self.gap_, self.separable_ = found.gap, found.separable
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = tags.input_tags.sparse = False
        return tags


def fit_or_warn(problem: newton.Problem, tol: float, max_iter: int) -> newton.Solution:
    """The fit of standardised rows; a warning says why it has not converged."""
    found = wide.fit_problem(problem, *newton.first_guess(problem), tol, max_iter)
    if found.separable:
        message = (
            "a plane separates the classes (rows may lie on the plane itself) and nothing is penalised (C=inf), so "
            "the coefficients have no limit: take a penalty"
        )
    else:
        message = (
            f"stopped after {found.n_iter} Newton steps (max_iter={max_iter}) with a bound of {found.gap:.1e} "
            f"on the relative distance from the minimum (tol={tol:g})"
        )
    if not found.converged:
        warnings.warn(message, exceptions.ConvergenceWarning, stacklevel=3)
    return found
