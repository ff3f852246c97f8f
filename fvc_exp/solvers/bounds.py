"""How far a penalty is from its conjugate's tangent: the penalty's part of a duality gap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def penalty_gap(z: Array, w: Array, l1: Array, l2: Array) -> Array:
    """Fenchel and Young's gap of each row's penalty, P(w) + P*(z) - z'w; z is shrunk into the domain of P* if need be.

    ``z`` is minus the gradient that the dual point has. Without any penalty z is a rounding error.
    """
    if l2.all():
        return _smooth_gap(z, w, l1, l2)
    return np.where(l2[:, 0] > 0, _smooth_gap(z, w, l1, np.where(l2 > 0, l2, 1)), _sharp_gap(z, w, l1))


def _smooth_gap(z: Array, w: Array, l1: Array, l2: Array) -> Array:
    over = np.maximum(np.abs(z) - l1, 0)
    return np.asarray(np.sum(l1 * np.abs(w) + 0.5 * l2 * w * w - z * w + over * over / (2 * l2), axis=1))


def _sharp_gap(z: Array, w: Array, l1: Array) -> Array:
    size, over = np.abs(w), np.maximum(np.abs(z) - l1, 0)
    is_free = l1[:, 0] == 0
    shrunk = np.max(over / np.where(l1 > 0, l1, 1), axis=1, initial=0.0) * np.sum(l1 * size, axis=1)
    within = np.sum(l1 * size - np.clip(z, -l1, l1) * w, axis=1)
    return np.asarray(np.where(is_free, np.sum(np.abs(z) * size, axis=1), within + shrunk))
