"""What a competitor is: a name, what must be installed, which penalties it can fit, and how it is called."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.solvers.objective import Problem, Solution

Fit = Callable[[Problem, float], Solution]
# The solutions for several C, ascending, each started from the one before.
Path = Callable[[Problem, Sequence[float], float], list[Solution]]

# What a native solver may do before it gives up is bounded here, as nothing can interrupt it.
WORK = 4e9


@dataclass(frozen=True)
class Competitor:
    """A solver under one rule for all.

    ``fit`` and ``path`` take a tolerance of the solver's own kind. ``own`` names the objective that it can fit where
    that is not ours, and ``columns`` says that it wants X in Fortran order (made for it, not timed).
    """

    name: str
    module: str
    fit: Fit
    path: Path | None = None
    penalties: tuple[str, ...] = ("l2", "l1", "elasticnet")
    default_tol: float = 1e-4
    columns: bool = False
    own: str = ""
    reason: str = "it has no such penalty"
    family: str = "peer"

    def is_installed(self) -> bool:
        """Whether its module can be imported."""
        return importlib.util.find_spec(self.module) is not None

    def refusal(self, problem: Problem) -> str:
        """Why it cannot fit the problem, or nothing."""
        return "" if penalty_name(problem.l1_ratio) in self.penalties else self.reason

    def problem(self, problem: Problem) -> Problem:
        """The problem that its result is judged by."""
        if self.own == "no intercept":
            return Problem(problem.X, problem.y, problem.C, problem.l1_ratio, intercept=False)
        if self.own == "penalised intercept":
            X = np.column_stack([problem.X, np.ones(len(problem.X))])
            return Problem(X, problem.y, problem.C, problem.l1_ratio, intercept=False)
        return problem


def penalty_name(l1_ratio: float) -> str:
    """l2, l1 or elasticnet."""
    return {0.0: "l2", 1.0: "l1"}.get(l1_ratio, "elasticnet")


def max_iter(problem: Problem) -> int:
    """Passes over the data that a solver may take."""
    return int(max(200, min(1e5, WORK / problem.X.size)))


def strength(problem: Problem, C: float | None = None) -> float:
    """The penalty's weight beside the mean loss, as most libraries write it: 1 / (C n)."""
    return 1 / ((C or problem.C) * len(problem.y))
