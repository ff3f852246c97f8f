"""(penalty, solver) -> scikit-learn Pipeline, and fitting it with nothing hidden."""

import copy
import warnings
from dataclasses import dataclass, replace
from typing import Any, Self

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
from fvc_exp.training.solvers.estimator import ProxNewtonLogisticRegression, to_logistic_regression

_ROUGH_TOL = 1e-6  # of a fit that only looks for separation, or for a start
_SAMPLED, _FEWEST = 20, 1000  # every 20th row, if these are so many


@dataclass(frozen=True)
class FittedModel:
    """A fitted pipeline, its optimiser's iterations, and every warning it gave.

    A probability above ``threshold`` means fake. ``isotonic`` calibrates the pipeline's probabilities; Platt scaling is
    in the pipeline's coefficients. ``C`` is the inverse regularisation strength it was fitted with, infinite without a
    penalty. ``fitted_with`` names the penalties that were fitted together with it (see ``shared_fits.write_point``):
    they decide the last digits. ``solver`` is the name of our solver or of scikit-learn's, and ``is_shared`` tells
    whether it took this fit from those of a grid. ``gap`` is our solver's bound on (F - min F) / F, None of others.
    """

    pipeline: Pipeline
    n_iter: int
    converged: bool
    warnings: tuple[str, ...]
    C: float
    threshold: float = THRESHOLD
    isotonic: IsotonicMap | None = None
    fitted_with: tuple[str, ...] = ()
    solver: str = validate.PROX_NEWTON
    gap: float | None = None
    is_shared: bool = False

    @property
    def classifier(self) -> linear_model.LogisticRegression:
        """The logistic regression on standardised features."""
        return self.pipeline.named_steps["classifier"]

    @property
    def scaler(self) -> preprocessing.StandardScaler:
        """Mean and standard deviation of the training rows."""
        return self.pipeline.named_steps["scaler"]

    def log_odds(self, X: Array) -> Array:
        """What the pipeline's ``decision_function`` gives for features (n, p), without its checks; shape (n,)."""
        standard = Standard(self.pipeline.named_steps["imputer"].statistics_, self.scaler.mean_, self.scaler.scale_)
        return np.asarray(standard.product(X, self.classifier.coef_[0]) + self.classifier.intercept_[0])

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

    def with_platt(self, slope: float, intercept: float) -> Self:
        """The same model with calibrated log odds: its coefficients times the slope, the intercept to match."""
        pipeline = copy.deepcopy(self.pipeline)
        classifier = pipeline.named_steps["classifier"]
        classifier.coef_ = classifier.coef_ * slope
        classifier.intercept_ = classifier.intercept_ * slope + intercept
        return replace(self, pipeline=pipeline)


def build_pipeline(config: schema.Config) -> Pipeline:
    """Median imputer, standard scaler and logistic regression, unfitted."""
    parameters: dict[str, Any] = {
        "C": validate.effective_c(config),
        "l1_ratio": validate.effective_l1_ratio(config),
        "max_iter": config.solver.max_iter,
        "tol": config.solver.tol,
        "class_weight": config.class_weight,
    }
    solver = validate.resolved_solver(config.penalty.name, config.solver.name)
    if solver == validate.PROX_NEWTON:
        classifier = ProxNewtonLogisticRegression(**parameters)
    else:
        classifier = linear_model.LogisticRegression(**parameters, solver=solver, random_state=config.seed)
    # A column without any value in one training part must not change the number of coefficients.
    imputer = impute.SimpleImputer(strategy="median", keep_empty_features=True)
    return Pipeline([("imputer", imputer), ("scaler", preprocessing.StandardScaler()), ("classifier", classifier)])


def fitted_classifier(config: schema.Config, coef: Array, intercept: float) -> linear_model.LogisticRegression:
    """The classifier of a configuration as if fitted, its coefficients (p,) known; it needs no class of ours."""
    classifier = build_pipeline(config).named_steps["classifier"]
    if isinstance(classifier, ProxNewtonLogisticRegression):
        classifier = to_logistic_regression(classifier)
    classifier.classes_, classifier.n_features_in_ = np.arange(len(CLASSES)), len(coef)
    classifier.coef_, classifier.intercept_ = coef[None], np.array([intercept])
    return classifier


def fitted_transforms(config: schema.Config, found: Standard, n: int) -> list[tuple[str, Any]]:
    """The first steps of the pipeline as if fitted to n rows with these medians, means and deviations."""
    imputer, scaler = (step for _, step in build_pipeline(config).steps[:-1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # medians that nothing needs are not known
        imputer.fit(found.fill[None])
    imputer.statistics_ = found.fill
    scaler.mean_, scaler.scale_, scaler.var_ = found.mean, found.scale, found.scale**2
    scaler.n_features_in_, scaler.n_samples_seen_ = len(found.mean), n
    return [("imputer", imputer), ("scaler", scaler)]


def start_from_sample(classifier: ProxNewtonLogisticRegression, Z: Array, y: Labels) -> None:
    """Let the fit to many rows (n, p) begin where that to every 20th row of each class ends: it saves Newton steps."""
    few = np.concatenate([np.flatnonzero(y == label)[::_SAMPLED] for label in range(len(CLASSES))])
    if np.isinf(classifier.C) or len(few) < max(_FEWEST, _SAMPLED * Z.shape[1]) or not 0 < y[few].sum() < len(few):
        return
    wanted = classifier.get_params()
    classifier.set_params(C=_SAMPLED * wanted["C"], tol=_ROUGH_TOL).fit(Z[few], y[few])
    classifier.set_params(**wanted | {"warm_start": True})


def fit_pipeline(config: schema.Config, X: Array, y: Labels, needs_median: Mask | None = None) -> FittedModel:
    """Fit one pipeline to features (n, p), which are overwritten, and labels (n,).

    Warnings of the libraries become part of the result. ``needs_median`` is that of ``Standard.of``.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        standard = Standard.of(X, needs_median)
        transforms, Z = fitted_transforms(config, standard, len(X)), standard.apply(X, out=X)
        classifier = build_pipeline(config).named_steps["classifier"]
        if isinstance(classifier, ProxNewtonLogisticRegression):
            start_from_sample(classifier, Z, y)
        saved = classifier.fit(Z, y)
        if isinstance(classifier, ProxNewtonLogisticRegression):  # what is saved needs no class of ours
            saved = to_logistic_regression(classifier)
        elif np.isinf(classifier.C):  # scikit-learn's solvers know no separation: ours gives the warning
            ProxNewtonLogisticRegression(C=np.inf, tol=_ROUGH_TOL).fit(Z, y)
    pipeline = Pipeline([*transforms, ("classifier", saved)])
    texts = tuple(dict.fromkeys(f"{item.category.__name__}: {str(item.message).splitlines()[0]}" for item in caught))
    n_iter = int(np.max(saved.n_iter_))
    stopped = any(issubclass(item.category, exceptions.ConvergenceWarning) for item in caught)
    C, solver = validate.effective_c(config), validate.resolved_solver(config.penalty.name, config.solver.name)
    return FittedModel(pipeline, n_iter, not stopped, texts, C, solver=solver, gap=getattr(classifier, "gap_", None))
