"""One penalty on all rows, and on all but each of some sections of them: a pass over the rows serves all these fits.

The training parts of cross-validation are such complements, and their minima lie near each other. So they share the
start and the curvatures of the loss there, whose products are summed by section: the model of a part is the sum over
all sections but its own. Steps and bounds are those of ``shared_newton``.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np

from fvc_exp._typing import Array, Indices
from fvc_exp.training.solvers import newton, shared_newton, subproblem
from fvc_exp.training.solvers.newton import Problem
from fvc_exp.training.solvers.shared_newton import GridState, RowSums
from fvc_exp.training.solvers.subproblem import QuadraticModel

_MODELS, _STEPS = 2, 8  # models that are made at most, and steps with each


def minimise_complements(problem: Problem, sections: Sequence[slice], tol: float) -> GridState:
    """Fit the rows without each section, then all rows; those with a ``gap`` above ``tol`` at the end are not fitted.

    ``sections`` divide the rows; the penalties of ``problem`` are (sections + 1, p), the last of all rows.
    """
    points, X = np.arange(len(sections) + 1), problem.X
    whole = replace(problem, l1=problem.l1[-1], l2=problem.l2[-1])
    w, b = newton.first_guess(whole)
    parts = [replace(whole, X=X[rows], y=problem.y[rows], s=problem.s[rows]) for rows in sections]
    state = shared_newton.start_at(problem, np.tile(w, (len(points), 1)), np.full(len(points), b), points)
    largest = np.maximum(X.max(axis=0), -X.min(axis=0))
    for _ in range(_MODELS):
        models = [_model(part, state.w[-1], float(state.b[-1])) for part in parts]
        left = [_sum([each for number, each in enumerate(models) if number != point]) for point in points]
        open_ = np.flatnonzero(state.gap > tol)
        state.squared_step[open_] = np.inf
        for _ in range(_STEPS):
            sums = _sums_without(parts, models, state, open_)
            steps = zip(open_[:, None], sums, strict=True)
            going = [shared_newton.newton_step(state, one, left[one[0]], of, largest, tol)[0] for one, of in steps]
            if not len(open_ := open_[going]):
                break
    return state


def _model(rows: Problem, w: Array, b: float) -> QuadraticModel:
    """The model of the loss of some rows at a point."""
    point = newton.evaluate(rows, w, b, rows.X @ w + b)
    return subproblem.quadratic_model(rows.X, rows.s * point.wrong * point.right)


def _sum(models: Sequence[QuadraticModel]) -> QuadraticModel:
    """The model of all rows of some models."""
    h, total = np.sum([each.h for each in models], axis=0), sum(each.total for each in models)
    H = np.sum([each.A + np.outer(each.h, each.h / each.total) for each in models], axis=0)
    return QuadraticModel(np.concatenate([each.d for each in models]), h, total, H - np.outer(h, h / total))


def _sums_without(
    parts: Sequence[Problem], models: Sequence[QuadraticModel], state: GridState, points: Indices
) -> list[RowSums]:
    """The sums of each of these points over all parts but its own."""
    precision = np.float64 if state.is_exact[points].any() else np.float32
    found: dict[int, list[RowSums]] = {point: [] for point in points.tolist()}
    for number, (part, model) in enumerate(zip(parts, models, strict=True)):
        if others := [point for point in found if point != number]:
            batches = [(state.w[[point]], state.b[[point]], model) for point in others]
            for point, sums in zip(others, shared_newton.sum_over_rows(part, batches, precision), strict=True):
                found[point].append(sums)
    return [reduce(RowSums.plus, each) for each in found.values()]
