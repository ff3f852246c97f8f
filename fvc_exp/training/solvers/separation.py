"""Separation: whether a fit without a penalty has no minimum, since the loss falls for ever in one direction.

The classes are separated completely where a plane has each class on its own side, and quasi-completely where some rows,
of either class, lie on the plane itself (Albert & Anderson 1984, "On the existence of maximum likelihood estimates in
logistic regression models").
"""

import numpy as np
from scipy.optimize import linprog

from fvc_exp._typing import Array, Mask

_SMALLEST = (
    1e-5  # distance from the plane that counts, in a direction of entries from -1 to 1; linprog is exact to 1e-7
)


def is_separated(X: Array, y: Array, may_be_off: Mask, intercept: bool) -> bool:
    """Whether a plane separates rows X (n, p) of labels y (n,), at least one of them off the plane.

    Only the rows of ``may_be_off`` (n,) may lie off the plane: those with nearly no loss at the end of a fit. All
    others lie on it, so that few directions, often none, are left for a linear program over the few rows.
    """
    if not may_be_off.any():
        return False
    rows = np.column_stack([X, np.ones(len(X))]) if intercept else X
    directions = _null_space(rows[~may_be_off])
    sides = np.where(y > 0, 1.0, -1.0)[may_be_off, None] * (rows[may_be_off] @ directions)
    if not directions.size or np.abs(sides).max() < _SMALLEST:
        return False
    found = linprog(-sides.sum(axis=0), A_ub=-sides, b_ub=np.zeros(len(sides)), bounds=(-1, 1), method="highs")
    return bool(found.x is not None and (sides @ found.x).max() > _SMALLEST)


def _null_space(rows: Array) -> Array:
    """Orthonormal directions (p, k) that are 0 on every row (n, p)."""
    p = rows.shape[1]
    if not len(rows):
        return np.eye(p)
    _, sizes, directions = np.linalg.svd(np.linalg.qr(rows, mode="r"))
    rank = int(np.sum(sizes > max(rows.shape) * np.finfo(float).eps * sizes[0]))
    return np.asarray(directions[rank:].T)
