"""The solver as a scikit-learn estimator, and as the plain LogisticRegression that is saved."""

import warnings
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import base, exceptions, linear_model
from sklearn.utils import compute_class_weight, multiclass, validation

from fvc_exp._typing import Array, Indices
from fvc_exp.config.validate import PROX_NEWTON
from fvc_exp.training.solvers import newton, wide

ClassWeights = dict[Any, float] | str | None


class ProxNewtonLogisticRegression(base.ClassifierMixin, base.BaseEstimator):  # type: ignore[misc]  # to mypy scikit-learn has no types
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
        fit_intercept: bool = True,
        class_weight: ClassWeights = None,
        tol: float = 1e-9,
        max_iter: int = 1000,
        warm_start: bool = False,
    ) -> None:
        self.C = C
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to X (n, p), labels y (n,) and weights (n,) of at least 0; warns where the bound was not reached."""
        _check_parameters(self)
        rows, labels = validation.validate_data(self, X, y, dtype=np.float64)
        codes = self._encode(labels)
        weight = validation._check_sample_weight(sample_weight, rows, dtype=np.float64, ensure_non_negative=True)
        if self.class_weight is not None:
            each = compute_class_weight(self.class_weight, classes=self.classes_, y=labels, sample_weight=weight)
            weight = weight * each[codes]
        if not weight.all():
            kept = weight > 0
            rows, codes, weight = rows[kept], codes[kept], weight[kept]
        if not 0 < codes.sum() < len(codes):
            raise ValueError("two classes are needed, but the rows of positive weight are of one class")
        self._solve(rows, codes.astype(np.float64), weight)
        if not self.gap_ <= self.tol or self.separable_:
            warnings.warn(self._convergence_message(), exceptions.ConvergenceWarning, stacklevel=2)
        return self

    def decision_function(self, X: ArrayLike) -> Array:
        """Log odds of ``classes_[1]``, shape (n,)."""
        validation.check_is_fitted(self)
        rows = validation.validate_data(self, X, reset=False, dtype=np.float64)
        return np.asarray(rows @ self.coef_[0] + self.intercept_[0])

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The likelier class of each row, shape (n,)."""
        is_second = self.decision_function(X) > 0
        return np.asarray(self.classes_[is_second.astype(int)])

    def predict_proba(self, X: ArrayLike) -> Array:
        """Probabilities of ``classes_``, shape (n, 2)."""
        half = np.tanh(0.5 * self.decision_function(X))
        return np.column_stack([0.5 - 0.5 * half, 0.5 + 0.5 * half])

    def predict_log_proba(self, X: ArrayLike) -> Array:
        """Logarithms of the probabilities of ``classes_``, shape (n, 2); finite also where these are 0 or 1."""
        log_odds = self.decision_function(X)
        return -np.logaddexp(0, np.column_stack([log_odds, -log_odds]))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def _encode(self, y: NDArray[Any]) -> Indices:
        if (kind := multiclass.type_of_target(y)) != "binary":
            multiclass.check_classification_targets(y)
            raise ValueError(f"Only binary classification is supported. The type of the target is {kind}.")
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"two classes are needed, but all rows are of one class: {self.classes_[0]}")
        return np.asarray(codes)

    def _solve(self, X: Array, y: Array, s: Array) -> None:
        columns = scale_columns(X, s, centred=self.fit_intercept)
        l1, l2 = columns.penalty(self.C, self.l1_ratio)
        problem = newton.Problem(columns.Z, y, s, l1, l2, self.fit_intercept)
        if self.warm_start and hasattr(self, "coef_"):
            start = columns.scaled(self.coef_[0], float(self.intercept_[0]))
        else:
            start = np.zeros(X.shape[1]), newton.null_intercept(y, s) if self.fit_intercept else 0.0
        found = wide.fit_problem(problem, *start, self.tol, self.max_iter)
        w, b = columns.raw(found.w, found.b)
        self.coef_, self.intercept_ = w[None], np.array([b])
        self.n_iter_ = np.array([found.n_iter], dtype=np.int32)
        self.gap_, self.separable_ = found.gap, found.separable

    def _convergence_message(self) -> str:
        if self.separable_:
            return (
                "a plane separates the classes (rows may lie on the plane itself) and nothing is penalised (C=inf), so "
                "the coefficients have no limit: take a penalty"
            )
        return (
            f"stopped after {self.n_iter_[0]} Newton steps (max_iter={self.max_iter}) with a bound of {self.gap_:.1e} "
            f"on the relative distance from the minimum (tol={self.tol:g})"
        )


def to_logistic_regression(fitted: ProxNewtonLogisticRegression) -> linear_model.LogisticRegression:
    """The same model as a LogisticRegression, fitted; it needs no class of ours.

    Its ``solver``, and so its text, is ours. scikit-learn does not know that one: who wants to fit it again first sets
    one of scikit-learn's, and is told so.
    """
    model = linear_model.LogisticRegression(
        C=fitted.C,
        l1_ratio=fitted.l1_ratio,
        fit_intercept=fitted.fit_intercept,
        class_weight=fitted.class_weight,
        tol=fitted.tol,
        max_iter=fitted.max_iter,
        solver=PROX_NEWTON,
    )
    for name in ("classes_", "coef_", "intercept_", "n_iter_", "n_features_in_", "feature_names_in_"):
        if hasattr(fitted, name):
            setattr(model, name, getattr(fitted, name))
    return model


def _check_parameters(model: ProxNewtonLogisticRegression) -> None:
    rules = [
        ("C", isinstance(model.C, Real) and model.C > 0, "a number above 0, inf for no penalty"),
        ("l1_ratio", isinstance(model.l1_ratio, Real) and 0 <= model.l1_ratio <= 1, "a number from 0 to 1"),
        ("tol", isinstance(model.tol, Real) and model.tol > 0, "a number above 0"),
        ("max_iter", isinstance(model.max_iter, Integral) and model.max_iter >= 1, "an integer of at least 1"),
    ]
    for name, allowed, meaning in rules:
        if not allowed:
            raise ValueError(f"{name}={getattr(model, name)!r} is not allowed: it must be {meaning}")


# A column whose standard deviation is within these and whose mean is within that many of it needs no copy.
_LOW, _HIGH, _FAR = 0.03, 30.0, 3.0
_CACHED = 50_000  # numbers


@dataclass(frozen=True)
class ScaledColumns:
    """``Z`` = (X - mean) / scale, shape (n, p)."""

    Z: Array
    mean: Array
    scale: Array

    def penalty(self, C: float, l1_ratio: float) -> tuple[Array, Array]:
        """Weights (p,) of |v| and v^2 / 2 that penalise v as C and l1_ratio do the coefficients of X, divided by C."""
        return l1_ratio / C / self.scale, (1 - l1_ratio) / C / self.scale**2

    def scaled(self, w: Array, b: float) -> tuple[Array, float]:
        """Coefficients of Z and the intercept from those of X."""
        return w * self.scale, b + float(w @ self.mean)

    def raw(self, v: Array, b: float) -> tuple[Array, float]:
        """Coefficients of X and the intercept from those of Z."""
        w = v / self.scale
        return w, b - float(w @ self.mean)


def scale_columns(X: Array, s: Array, *, centred: bool) -> ScaledColumns:
    """Scale columns by rows of weight ``s``; a constant column becomes 0. X itself is used where its scale will do."""
    p, total = X.shape[1], float(s.sum())
    mean = (s @ X) / total if centred else np.zeros(p)
    with np.errstate(over="ignore", invalid="ignore"):
        scale = np.sqrt(np.maximum(_weighted_squares(X, s) / total - mean**2, 0))
        will_do = (scale > _LOW) & (scale < _HIGH) & (np.abs(mean) < _FAR * scale)
    if will_do.all():
        return ScaledColumns(X, np.zeros(p), np.ones(p))
    Z = X - mean
    if centred:
        Z[:, X.max(axis=0) == X.min(axis=0)] = 0.0
    largest = np.abs(Z).max(axis=0)
    largest[largest == 0] = 1.0
    Z /= largest
    scale = np.sqrt(_weighted_squares(Z, s) / total)
    scale[scale == 0] = 1.0
    Z /= scale
    return ScaledColumns(Z, mean, largest * scale)


def _weighted_squares(X: Array, s: Array) -> Array:
    """The sums (p,) of s x^2, in chunks of rows that stay in the processor's cache."""
    rows = max(1, _CACHED // X.shape[1])
    chunks = (slice(start, start + rows) for start in range(0, len(X), rows))
    return np.asarray(sum((s[chunk] @ np.square(X[chunk]) for chunk in chunks), np.zeros(X.shape[1])))
