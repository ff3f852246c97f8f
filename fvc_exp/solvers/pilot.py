"""Two quadratic models of the loss that many penalties share, and a rough fit to start them from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fvc_exp.solvers import newton
from fvc_exp.solvers.curvature import Model, curvature

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

_ROWS, _ROWS_PER_COLUMN = 5_000, 50  # of a first fit: it is but a place to start from
_ROUGH = 1e-3


@dataclass(frozen=True)
class Pilot:
    """A rough fit: coefficients (p,), intercept, and the probability of class 1 of each row (n,)."""

    w: Array
    b: float
    share: Array


def two_models(Z: Array, y: Array, s: Array, strengths: Array) -> tuple[Model, Model, Pilot]:
    """Of no coefficients, and of a rough fit of middling penalty, which is the third.

    ``Z`` (n, p) is standardised, ``y`` (n,) 0 or 1, ``s`` (n,) positive weights; ``strengths`` (m,) are l1 + l2.
    """
    p, total = Z.shape[1], float(s.sum())
    share = float(s @ y) / total
    flat = curvature(Z, s * (share * (1 - share)), True)
    middle = np.exp(np.mean(np.log(strengths[strengths > 0]))) if strengths.any() else 1.0
    w, b = np.zeros(p), newton.log_odds(y, s)
    if len(some := _sample(y, max(_ROWS, _ROWS_PER_COLUMN * p))) < len(y):
        weaker = np.full(p, middle * float(s[some].sum()) / total)
        first = newton.minimise(newton.Problem(Z[some], y[some], s[some], np.zeros(p), weaker), w, b, _ROUGH, 3)
        w, b = first.w, first.b
    found = newton.minimise(newton.Problem(Z, y, s, np.zeros(p), np.full(p, middle)), w, b, _ROUGH, 3, flat)
    eta = Z @ found.w + found.b
    rarer = 1 / (1 + np.exp(np.abs(eta)))
    bent = curvature(Z, s * rarer * (1 - rarer), True)
    return flat, bent, Pilot(found.w, found.b, np.where(eta > 0, 1 - rarer, rarer))


def _sample(y: Array, size: int) -> Indices:
    """Row numbers of about ``size`` rows with their share of both classes; all where one class would be missing."""
    chosen = np.argsort(y, kind="stable")[:: max(1, len(y) // size)]
    return chosen if 0 < y[chosen].sum() < len(chosen) else np.arange(len(y))
