"""Separation: whether a fit without a penalty has no minimum, since the loss falls for ever in one direction.

The classes are separated completely where a plane has each class on its own side, and quasi-completely where some rows,
of either class, lie on the plane itself (Albert & Anderson 1984, "On the existence of maximum likelihood estimates in
logistic regression models").
"""

import numpy as np
from scipy.linalg import null_space
from scipy.optimize import linprog

from fvc_exp._typing import Array, Mask

# Distance from the plane that counts, in a direction of entries from -1 to 1; linprog is exact to 1e-7.
_SMALLEST = 1e-5


def is_separated(X: Array, y: Array, may_be_off: Mask, intercept: bool) -> bool:
    """Whether a plane separates rows X (n, p) of labels y (n,), at least one of them off the plane.

    Only the rows of ``may_be_off`` (n,) may lie off the plane: those with nearly no loss at the end of a fit. All
    others lie on it, so that few directions, often none, are left for a linear program over the few rows.
    """
    if not may_be_off.any():
        return False
    rows = np.column_stack([X, np.ones(len(X))]) if intercept else X
    on = rows[~may_be_off]
    # R has the same null space as the rows, and only as many rows as columns.
    directions = null_space(np.linalg.qr(on, mode="r"), rcond=max(on.shape) * np.finfo(float).eps)
    sides = np.where(y > 0, 1.0, -1.0)[may_be_off, None] * (rows[may_be_off] @ directions)
    if not directions.size or np.abs(sides).max() < _SMALLEST:
        return False
    found = linprog(-sides.sum(axis=0), A_ub=-sides, b_ub=np.zeros(len(sides)), bounds=(-1, 1), method="highs")
    return bool(found.x is not None and (sides @ found.x).max() > _SMALLEST)
