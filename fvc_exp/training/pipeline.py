"""(penalty, solver) -> scikit-learn Pipeline, and fitting it with nothing hidden."""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from sklearn import exceptions, impute, linear_model, preprocessing
from sklearn.pipeline import Pipeline

from fvc_exp._typing import Array, Labels, Mask
from fvc_exp.config import schema, validate
from fvc_exp.data.columns import CLASSES
from fvc_exp.data.standard import Standard
from fvc_exp.evaluation.metrics import THRESHOLD
from fvc_exp.training.calibration import IsotonicMap
from fvc_exp.training.solvers import estimator, grid

_ROUGH_TOL = 1e-6  # of a fit that only looks for separation


@dataclass(frozen=True)
class FittedModel:
    """The numbers of a fitted pipeline, its optimiser's iterations, and every warning it gave.

    ``coef`` (p,) and ``intercept`` are of features standardised as the ``rows`` training rows were. A probability above
    ``threshold`` means fake. ``isotonic`` calibrates the pipeline's probabilities; Platt scaling is in the
    coefficients. ``fitted_with`` are the penalties that were fitted together with it: they decide the last digits.
    ``is_shared`` tells whether it took this fit from those of a grid. ``gap`` is our solver's bound on (F - min F) / F,
    None of others.
    """

    config: schema.Config
    standard: Standard
    rows: int
    coef: Array
    intercept: float
    n_iter: int
    converged: bool
    warnings: tuple[str, ...]
    threshold: float = THRESHOLD
    isotonic: IsotonicMap | None = None
    fitted_with: tuple[grid.Point, ...] = ()
    gap: float | None = None
    is_shared: bool = False

    @property
    def C(self) -> float:  # noqa: N802 - scikit-learn's name
        """The inverse regularisation strength that it was fitted with, infinite without a penalty."""
        return validate.effective_c(self.config)

    @property
    def weights(self) -> Array:
        """The coefficients, then the intercept, (p + 1,)."""
        return np.append(self.coef, self.intercept)

    @property
    def solver(self) -> str:
        """The name of our solver or of scikit-learn's."""
        return validate.resolved_solver(self.config.penalty.name, self.config.solver.name)

    @property
    def classifier(self) -> linear_model.LogisticRegression:
        """The logistic regression on standardised features."""
        return fitted_classifier(self.config, self.coef, self.intercept, self.n_iter)

    @property
    def scaler(self) -> preprocessing.StandardScaler:
        """Mean and standard deviation of the training rows."""
        scaler = preprocessing.StandardScaler()
        _, scaler.mean_, scaler.scale_ = self.standard
        scaler.var_, scaler.n_features_in_ = scaler.scale_**2, len(self.coef)
        scaler.n_samples_seen_ = self.rows
        return scaler

    def log_odds(self, X: Array) -> Array:
        """Those of features (n, p), shape (n,)."""
        return self.standard.product(X, self.coef) + self.intercept

    def probability(self, X: Array) -> Array:
        """Probability of the class fake, shape (n,)."""
        raw = np.asarray(expit(self.log_odds(X)))
        return self.isotonic(raw) if self.isotonic else raw

    def solver_line(self) -> str:
        """Which solver fitted the model, and how it ended, in one line."""
        owner = "" if self.solver == validate.PROX_NEWTON else "scikit-learn's "
        shared = f", shared by a grid of {len(self.fitted_with)} penalties" if self.is_shared else ""
        bound = "" if self.gap is None else f", bound {self.gap:.1e} on the relative distance from the minimum"
        state = "converged" if self.converged else "not converged"
        return f"solver: {owner}{self.solver}{shared}, {self.n_iter} iterations, {state}{bound}"


def build_pipeline(config: schema.Config) -> Pipeline:
    """Median imputer, standard scaler and scikit-learn's logistic regression, unfitted.

    It does not know our solver: with that one the classifier can be applied, but not fitted.
    """
    solver = validate.resolved_solver(config.penalty.name, config.solver.name)
    classifier = linear_model.LogisticRegression(
        C=validate.effective_c(config),
        l1_ratio=validate.effective_l1_ratio(config),
        max_iter=config.solver.max_iter,
        tol=config.solver.tol,
        class_weight=config.class_weight,
        solver=solver,
        random_state=None if solver == validate.PROX_NEWTON else config.seed,
    )
    # A column without any value in one training part must not change the number of coefficients.
    imputer = impute.SimpleImputer(strategy="median", keep_empty_features=True)
    return Pipeline([("imputer", imputer), ("scaler", preprocessing.StandardScaler()), ("classifier", classifier)])


def fitted_classifier(
    config: schema.Config, coef: Array, intercept: float, n_iter: int | None = None
) -> linear_model.LogisticRegression:
    """The classifier of a configuration as if fitted, its coefficients (p,) known; it needs no class of ours."""
    classifier = build_pipeline(config)[-1]
    classifier.classes_ = np.arange(len(CLASSES))
    classifier.coef_, classifier.intercept_ = coef[None], np.array([intercept])
    if n_iter is not None:
        classifier.n_iter_ = np.array([n_iter], dtype=np.int32)
    classifier.n_features_in_ = len(coef)
    return classifier


def fit_pipeline(config: schema.Config, X: Array, y: Labels, needs_median: Mask | None = None) -> FittedModel:
    """Fit one pipeline to features (n, p), which are overwritten, and labels (n,).

    Warnings of the libraries become part of the result. ``needs_median`` is that of ``Standard.of``.
    """
    gap = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        standard = Standard.of(X, needs_median)
        Z = standard.apply(X, out=X)
        classifier = build_pipeline(config)[-1]
        problem = grid.weighted_rows(Z, y, config.class_weight).penalised(classifier.C, classifier.l1_ratio)
        if classifier.solver == validate.PROX_NEWTON:
            found = estimator.fit_or_warn(problem, config.solver.tol, config.solver.max_iter)
            coef, intercept, n_iter, gap = found.w, found.b, found.n_iter, found.gap
        else:
            classifier.fit(Z, y)
            coef, intercept = classifier.coef_[0], float(classifier.intercept_[0])
            n_iter = int(np.max(classifier.n_iter_))
            if problem.is_free:  # scikit-learn's solvers know no separation: ours gives the warning
                estimator.fit_or_warn(problem, _ROUGH_TOL, config.solver.max_iter)
    texts = tuple(dict.fromkeys(f"{item.category.__name__}: {str(item.message).splitlines()[0]}" for item in caught))
    stopped = any(issubclass(item.category, exceptions.ConvergenceWarning) for item in caught)
    return FittedModel(config, standard, len(X), coef, intercept, n_iter, not stopped, texts, gap=gap)
