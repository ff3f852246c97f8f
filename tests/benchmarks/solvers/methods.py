"""The methods: one function each, called as the library's documentation says, and what must be known of them."""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from tests.benchmarks.solvers.measure import Rung
from tests.benchmarks.solvers.objective import Problem, Solution

# The solutions for several C, ascending, each started from the one before; the float is the solver's own tolerance.
Fit = Callable[[Problem, Sequence[float], float], list[Solution]]
PENALTIES = ("l2", "l1", "elasticnet")
# What a solver of native code may do before it gives up is bounded by iterations, as nothing can interrupt it.
WORK = 4e9


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
    penalties: tuple[str, ...] = PENALTIES
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
    """Passes over the data that a solver may take."""
    return int(max(200, min(1e5, WORK / problem.X.size)))


def strengths(problem: Problem, Cs: Sequence[float]) -> np.ndarray:
    """The penalty's weight beside the mean loss, as most libraries write it: 1 / (C n)."""
    return 1 / (np.array(Cs) * len(problem.y))


def solution(model: object) -> Solution:
    """What a fitted estimator in scikit-learn's style found."""
    return Solution(np.ravel(model.coef_).copy(), float(np.ravel(model.intercept_)[0]))  # type: ignore[attr-defined]


def path(coefs: np.ndarray, intercepts: np.ndarray) -> list[Solution]:
    """Solutions of coefficients (m, p) and intercepts (m,)."""
    return [Solution(coef.copy(), float(intercept)) for coef, intercept in zip(coefs, intercepts, strict=True)]


def ours(problem: Problem, Cs: Sequence[float], tol: float) -> list[Solution]:
    """The package's estimator, with several C by ``warm_start``."""
    from fvc_exp.training.solvers.estimator import ProxNewtonLogisticRegression

    model = ProxNewtonLogisticRegression(
        l1_ratio=problem.l1_ratio, tol=tol, fit_intercept=problem.intercept, warm_start=len(Cs) > 1
    )
    return [solution(model.set_params(C=C).fit(problem.X, problem.y)) for C in Cs]


def scikit(solver: str, problem: Problem, Cs: Sequence[float], tol: float) -> list[Solution]:
    """scikit-learn's estimator as a user writes it, with enough iterations."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(
        l1_ratio=problem.l1_ratio, solver=solver, tol=tol, max_iter=max_iter(problem), random_state=0,
        warm_start=len(Cs) > 1,
    )  # fmt: skip
    return [solution(model.set_params(C=C).fit(problem.X, problem.y)) for C in Cs]


def liblinear(problem: Problem, Cs: Sequence[float], tol: float) -> list[Solution]:
    """It penalises the intercept like a coefficient, so the intercept is one."""
    return [Solution(np.append(each.coef, each.intercept)) for each in scikit("liblinear", problem, Cs, tol)]


def glum(problem: Problem, Cs: Sequence[float], tol: float) -> list[Solution]:
    """Prox-Newton; with several C its warm path."""
    from glum import GeneralizedLinearRegressor

    alphas = strengths(problem, Cs)
    chosen = {"alpha": alphas[0]} if len(Cs) == 1 else {"alpha_search": True, "alphas": alphas}
    model = GeneralizedLinearRegressor(
        l1_ratio=problem.l1_ratio, family="binomial", gradient_tol=tol, max_iter=1000, **chosen
    ).fit(problem.X, problem.y)
    return [solution(model)] if len(Cs) == 1 else path(model.coef_path_, model.intercept_path_)


def glmnet(problem: Problem, Cs: Sequence[float], tol: float) -> list[Solution]:
    """The Fortran glmnet, by python-glmnet."""
    from glmnet import LogitNet

    model = LogitNet(
        alpha=problem.l1_ratio, lambda_path=strengths(problem, Cs), standardize=False, n_splits=0, tol=tol,
        max_iter=max_iter(problem) * len(Cs),
    ).fit(problem.X, problem.y)  # fmt: skip
    return path(model.coef_path_[0].T, model.intercept_path_[0])


def glmnet_rs(problem: Problem, Cs: Sequence[float], tol: float) -> list[Solution]:
    """glmnet's algorithm in Rust."""
    from glmnetrs import glmnet

    found = glmnet(
        problem.X, problem.y.astype(float), family="binomial", alpha=problem.l1_ratio,
        lambda_=strengths(problem, Cs), standardize=False, thresh=tol, maxit=max_iter(problem) * len(Cs),
    )  # fmt: skip
    return path(found.beta.T, found.a0)


def adelie(problem: Problem, Cs: Sequence[float], tol: float) -> list[Solution]:
    """Group elastic net by block coordinate descent."""
    import adelie as ad

    found = ad.grpnet(
        problem.X, ad.glm.binomial(problem.y.astype(float)), alpha=problem.l1_ratio, tol=tol, irls_tol=tol,
        lmda_path=strengths(problem, Cs), early_exit=False, adev_tol=1.0, progress_bar=False, n_threads=1,
    )  # fmt: skip
    return path(np.asarray(found.betas.todense()), np.ravel(found.intercepts))


def skglm(problem: Problem, Cs: Sequence[float], tol: float) -> list[Solution]:
    """Working sets and prox-Newton; with several C by ``warm_start``."""
    from skglm import SparseLogisticRegression

    model = SparseLogisticRegression(l1_ratio=problem.l1_ratio, tol=tol, max_iter=100, warm_start=len(Cs) > 1)
    alphas = strengths(problem, Cs)
    return [solution(model.set_params(alpha=alpha).fit(problem.X, problem.y)) for alpha in alphas]


def celer(problem: Problem, Cs: Sequence[float], tol: float) -> list[Solution]:
    """Working sets with dual extrapolation; it has no intercept."""
    from celer import LogisticRegression

    return [Solution(LogisticRegression(C=C, tol=tol).fit(problem.X, problem.y).coef_[0]) for C in Cs]


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
