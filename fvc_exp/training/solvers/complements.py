"""One penalty on all rows, and on all but each of some sections of them: a pass over the rows serves all these fits.

The training parts of cross-validation are such complements, and their minima lie near each other. So they share the
start and the curvatures of the loss there, whose products are summed by section: the model of a part is the sum over
all sections but its own. Steps and bounds are those of ``shared_newton``. The rows stay standardised as a whole; a part
that is standardised by itself has other units, so a penalty of its own for each coefficient.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np

from fvc_exp._typing import Array, Indices
from fvc_exp.data.standard import Standard
from fvc_exp.training.solvers import newton, shared_newton, subproblem
from fvc_exp.training.solvers.newton import Problem
from fvc_exp.training.solvers.shared_newton import GridState, RowSums
from fvc_exp.training.solvers.subproblem import QuadraticModel

_PASSES = 6  # with one model
_MODELS = 2
_LEAST_VARIANCE = 1e-6  # of a part, to that of all rows, that is known as the difference of two sums


def standards_without(Z: Array, sections: Sequence[slice], whole: Standard) -> list[Standard] | None:
    """How rows without each section are standardised, from rows (n, p) without gaps that ``whole`` has standardised.

    None where some column hardly varies without a section.
    """
    sums = np.array([[Z[rows].sum(axis=0), np.einsum("ij,ij->j", Z[rows], Z[rows])] for rows in sections])
    counts = np.array([rows.stop - rows.start for rows in sections])
    means, squares = np.moveaxis(sums.sum(axis=0) - sums, 1, 0) / (counts.sum() - counts)[:, None]
    variances = squares - means**2
    if variances.min() < _LEAST_VARIANCE:
        return None
    numbers = zip(whole.mean + whole.scale * means, whole.scale * np.sqrt(variances), strict=True)
    return [Standard(np.full_like(mean, np.nan), mean, scale) for mean, scale in numbers]


def fit_complements(problem: Problem, sections: Sequence[slice], tol: float) -> GridState:
    """Fit the rows without each section, then all rows; those with a ``gap`` above ``tol`` at the end are not fitted.

    ``sections`` divide the rows; the penalties of ``problem`` are (sections + 1, p), the last of all rows.
    """
    m, whole = len(sections) + 1, replace(problem, l1=problem.l1[-1], l2=problem.l2[-1])
    w, b = newton.first_guess(whole)
    parts = [replace(whole, X=problem.X[rows], y=problem.y[rows], s=problem.s[rows]) for rows in sections]
    state = shared_newton.start_at(problem, np.tile(w, (m, 1)), np.full(m, b), np.arange(m))
    largest = np.maximum(problem.X.max(axis=0), -problem.X.min(axis=0))
    for _ in range(_MODELS):
        of_parts, models = _models(parts, state.w[-1], float(state.b[-1]))
        open_ = np.flatnonzero(state.gap > tol)
        state.squared_step[open_] = np.inf
        for _ in range(_PASSES):
            sums = _sums_without(parts, of_parts, state, open_)
            going = [
                shared_newton.newton_step(state, open_[[place]], models[point], each, largest, tol)[0]
                for place, (point, each) in enumerate(zip(open_.tolist(), sums, strict=True))
            ]
            if not len(open_ := open_[going]):
                break
    return state


def _models(parts: Sequence[Problem], w: Array, b: float) -> tuple[list[QuadraticModel], list[QuadraticModel]]:
    """The models of the loss at a point: of each part, and of all parts but each, then of all."""
    of_parts = []
    for part in parts:
        point = newton.evaluate(part, w, b, part.X @ w + b)
        of_parts.append(subproblem.quadratic_model(part.X, part.s * point.wrong * point.right))
    d, h = np.concatenate([each.d for each in of_parts]), np.array([each.h for each in of_parts])
    total = np.array([each.total for each in of_parts])
    H = np.array([each.A + np.outer(each.h, each.h / each.total) for each in of_parts])
    none = (np.zeros_like(h[0]), 0.0, np.zeros_like(H[0]))
    sums = h.sum(axis=0), float(total.sum()), H.sum(axis=0)
    models = []
    for without in (*zip(h, total.tolist(), H, strict=True), none):
        h_left, left, H_left = (all_ - one for all_, one in zip(sums, without, strict=True))
        models.append(QuadraticModel(d, h_left, left, H_left - np.outer(h_left, h_left / left)))
    return of_parts, models


def _sums_without(
    parts: Sequence[Problem], of_parts: Sequence[QuadraticModel], state: GridState, points: Indices
) -> list[RowSums]:
    """The sums of each point over the parts that it has."""
    precision = np.float64 if state.is_exact[points].any() else np.float32
    found: list[list[RowSums]] = [[] for _ in points]
    for number, (part, model) in enumerate(zip(parts, of_parts, strict=True)):
        places = np.flatnonzero(points != number)
        some = points[places]
        batches = [(state.w[some], state.b[some], model)] if len(some) else []
        for sums in shared_newton.sum_over_rows(part, batches, precision) if batches else ():
            for row, place in enumerate(places.tolist()):
                found[place].append(RowSums(*(each[[row]] for each in sums)))
    return [reduce(RowSums.plus, each) for each in found]
