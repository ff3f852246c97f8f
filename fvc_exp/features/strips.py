"""Cutting a frame into bands of rows that fit the CPU cache.

Sums over the bands add up to sums over the frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A multiple of the 8-pixel block; 64 rows of 1080p in int16 fill half of a common second-level cache.
ROWS = 64


def haloed_strips(gray: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Bands of up to 64 rows with one more row above and below, mirrored at the border without repeating it.

    3x3 filters of a band, less its first and last row, are the filters of the frame with
    ``BORDER_REFLECT_101``.
    """
    padded = np.asarray(cv2.copyMakeBorder(gray, 1, 1, 0, 0, cv2.BORDER_REFLECT_101), dtype=np.uint8)
    for top in range(0, gray.shape[0], ROWS):
        yield padded[top : top + ROWS + 2]


def block_strips(gray: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Bands of up to 64 rows of whole 8x8 blocks.

    Incomplete blocks at the right and bottom are left out.
    """
    height, width = (size // 8 * 8 for size in gray.shape)
    for top in range(0, height if width else 0, ROWS):
        yield gray[top : min(top + ROWS, height), :width]


def standard_deviation(mean: float, mean_square: float) -> float:
    """Population standard deviation from the first two moments; rounding must not make its root imaginary."""
    return float(np.sqrt(max(mean_square - mean * mean, 0.0)))
