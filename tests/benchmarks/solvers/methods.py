"""The methods: one function each, called as the library's documentation says, and what must be known of them."""

import importlib.util
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from tests.benchmarks.solvers.measure import Rung
from tests.benchmarks.solvers.objective import Array, Problem

# From problem, ascending C and the solver's own tolerance to solutions (m, p + 1), each started from the one before.
Fit = Callable[[Problem, Sequence[float], float], Array]


@dataclass(frozen=True)
class Method:
    """A solver. ``own`` names the objective that it fits where that is not ours.

    ``columns`` says that it wants X in Fortran order, which is made for it and not timed.
    """

    name: str
    fit: Fit
    library: str
    family: str = "peer"
    tol: float = 1e-4
    penalties: tuple[str, ...] = ("l2", "l1", "elasticnet")
    columns: bool = False
    own: str = ""

    def refusal(self, penalty: str = "") -> Rung | None:
        """Why it cannot fit the penalty."""
        if importlib.util.find_spec(self.library) is None:
            return Rung(None, "not installed", f"there is no module {self.library}")
        if penalty and penalty not in self.penalties:
            return Rung(None, "not applicable", f"{self.name} fits {', '.join(self.penalties)} only")
        return None

    def ordered(self, problem: Problem) -> Problem:
        """The problem with X in the order that the method wants."""
        return replace(problem, X=np.asfortranarray(problem.X)) if self.columns else problem

    def judged(self, problem: Problem) -> Problem:
        """The problem that its result is judged by."""
        if self.own == "penalised intercept":
            problem = replace(problem, X=np.column_stack([problem.X, np.ones(len(problem.X))]))
        return replace(problem, intercept=not self.own)


def max_iter(problem: Problem) -> int:
    """Passes over the data that a solver may take: nothing else can end a solver of native code."""
    return int(max(200, min(1e5, 4e9 / problem.X.size)))


def strengths(problem: Problem, Cs: Sequence[float]) -> np.ndarray:
    """The penalty's weight beside the mean loss, as most libraries write it: 1 / (C n)."""
    return 1 / (np.array(Cs) * len(problem.y))


def each_fit(model: Any, name: str, values: Iterable[float], problem: Problem) -> Array:
    """An estimator in scikit-learn's style fitted with one value of a parameter after the other."""
    fits = (model.set_params(**{name: value}).fit(problem.X, problem.y) for value in values)
    return np.array([np.append(fit.coef_, fit.intercept_) for fit in fits])


def ours(problem: Problem, Cs: Sequence[float], tol: float) -> Array:
    """The package's solver, with several C each from the one before."""
    from fvc_exp.training.solvers import newton, wide

    X, y, s = problem.X, problem.y.astype(float), np.ones(len(problem.y))
    if not problem.intercept:  # with each row's mirror image the best one is 0
        X, y, s = np.vstack([X, -X]), np.r_[y, 1 - y], np.r_[s, s] / 2
    free = newton.Problem(X, y, s, np.zeros(X.shape[1]), np.zeros(X.shape[1]))
    start, found = None, []
    for C in Cs:
        each = free.penalised(C, problem.l1_ratio)
        fit = wide.fit_problem(each, *(start or newton.first_guess(each)), tol, 1000)
        start = fit.w, fit.b
        found.append(np.append(*start))
    return np.array(found)


def scikit(solver: str, problem: Problem, Cs: Sequence[float], tol: float) -> Array:
    """scikit-learn's estimator as a user writes it, with enough iterations."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(
        l1_ratio=problem.l1_ratio, solver=solver, tol=tol, max_iter=max_iter(problem), random_state=0,
        warm_start=len(Cs) > 1,
    )  # fmt: skip
    return each_fit(model, "C", Cs, problem)


def liblinear(problem: Problem, Cs: Sequence[float], tol: float) -> Array:
    """It penalises the intercept like a coefficient, so the intercept is one."""
    return np.column_stack([scikit("liblinear", problem, Cs, tol), np.zeros(len(Cs))])


def glum(problem: Problem, Cs: Sequence[float], tol: float) -> Array:
    """Prox-Newton; with several C its warm path."""
    from glum import GeneralizedLinearRegressor

    alphas = strengths(problem, Cs)
    chosen = {"alpha": alphas[0]} if len(Cs) == 1 else {"alpha_search": True, "alphas": alphas}
    model = GeneralizedLinearRegressor(
        l1_ratio=problem.l1_ratio, family="binomial", gradient_tol=tol, max_iter=1000, **chosen
    ).fit(problem.X, problem.y)
    if len(Cs) == 1:
        return np.append(model.coef_, model.intercept_)[None]
    return np.column_stack([model.coef_path_, model.intercept_path_])


def glmnet(problem: Problem, Cs: Sequence[float], tol: float) -> Array:
    """The Fortran glmnet, by python-glmnet."""
    from glmnet import LogitNet

    model = LogitNet(
        alpha=problem.l1_ratio, lambda_path=strengths(problem, Cs), standardize=False, n_splits=0, tol=tol,
        max_iter=max_iter(problem) * len(Cs),
    ).fit(problem.X, problem.y)  # fmt: skip
    return np.column_stack([model.coef_path_[0].T, model.intercept_path_[0]])


def glmnet_rs(problem: Problem, Cs: Sequence[float], tol: float) -> Array:
    """glmnet's algorithm in Rust."""
    from glmnetrs import glmnet

    found = glmnet(
        problem.X, problem.y.astype(float), family="binomial", alpha=problem.l1_ratio,
        lambda_=strengths(problem, Cs), standardize=False, thresh=tol, maxit=max_iter(problem) * len(Cs),
    )  # fmt: skip
    return np.column_stack([found.beta.T, found.a0])


def adelie(problem: Problem, Cs: Sequence[float], tol: float) -> Array:
    """Group elastic net by block coordinate descent."""
    import adelie as ad

    found = ad.grpnet(
        problem.X, ad.glm.binomial(problem.y.astype(float)), alpha=problem.l1_ratio, tol=tol, irls_tol=tol,
        lmda_path=strengths(problem, Cs), early_exit=False, adev_tol=1.0, progress_bar=False, n_threads=1,
    )  # fmt: skip
    return np.column_stack([found.betas.toarray(), np.ravel(found.intercepts)])


def skglm(problem: Problem, Cs: Sequence[float], tol: float) -> Array:
    """Working sets and prox-Newton; with several C by ``warm_start``."""
    from skglm import SparseLogisticRegression

    model = SparseLogisticRegression(l1_ratio=problem.l1_ratio, tol=tol, max_iter=100, warm_start=len(Cs) > 1)
    return each_fit(model, "alpha", strengths(problem, Cs), problem)


def celer(problem: Problem, Cs: Sequence[float], tol: float) -> Array:
    """Working sets with dual extrapolation; it has no intercept."""
    from celer import LogisticRegression

    return each_fit(LogisticRegression(tol=tol), "C", Cs, problem)


OURS = Method("ours", ours, "fvc_exp", "ours", tol=1e-9)
METHODS = (
    OURS,
    *(
        Method(name, partial(scikit, name), "sklearn", "scikit-learn", penalties=("l2",))
        for name in ("newton-cholesky", "lbfgs", "newton-cg", "sag")
    ),
    Method("saga", partial(scikit, "saga"), "sklearn", "scikit-learn"),
    Method("liblinear", liblinear, "sklearn", "scikit-learn", penalties=("l2", "l1"), own="penalised intercept"),
    Method("glum", glum, "glum"),
    Method("glmnet", glmnet, "glmnet", tol=1e-7, columns=True),
    Method("glmnet-rs", glmnet_rs, "glmnetrs", tol=1e-7),
    Method("adelie", adelie, "adelie", tol=1e-7, columns=True),
    Method("skglm", skglm, "skglm", columns=True),
    Method("celer", celer, "celer", penalties=("l1",), columns=True, own="no intercept"),
)
