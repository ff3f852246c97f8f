"""Cutting a frame into bands of rows that fit the CPU cache.

Sums over the bands add up to sums over the frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# In int16, a band of this many pixels fills half of a common second-level cache; of less, calls would cost more.
PIXELS = 1 << 18


def strip_rows(width: int) -> int:
    """Rows of a band: a multiple of the 8-pixel block, 136 for 1080p."""
    return max(8, PIXELS // width // 8 * 8)


def haloed_strips(gray: NDArray[np.uint8], halo: int = 1) -> Iterator[NDArray[np.uint8]]:
    """Bands of rows with ``halo`` more rows above and below, mirrored at the border without repeating it.

    Filters of ``2 * halo + 1`` rows over a band, less its first and last ``halo`` rows, are the filters of the
    frame with ``BORDER_REFLECT_101``.
    """
    height, width = gray.shape
    rows = strip_rows(width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        strip = gray[max(top - halo, 0) : bottom + halo]
        above, below = max(halo - top, 0), max(bottom + halo - height, 0)
        if above or below:
            strip = np.asarray(cv2.copyMakeBorder(strip, above, below, 0, 0, cv2.BORDER_REFLECT_101), dtype=np.uint8)
        yield strip


def block_strips(gray: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Bands of rows of whole 8x8 blocks.

    Incomplete blocks at the right and bottom are left out.
    """
    height, width = (size // 8 * 8 for size in gray.shape)
    if not width:
        return
    rows = strip_rows(width)
    for top in range(0, height, rows):
        yield gray[top : min(top + rows, height), :width]


def standard_deviation(mean: float, mean_square: float) -> float:
    """Population standard deviation from the first two moments; rounding must not make its root imaginary."""
    return sqrt(max(mean_square - mean * mean, 0.0))
