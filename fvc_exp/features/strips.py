"""Frames cut into strips of rows that fit the CPU cache; sums over the strips add up to sums over the frame."""

import math
from collections.abc import Iterator

import cv2
import numpy as np

from fvc_exp._typing import Frame

# The results of filters over a strip of this many pixels fit a common last-level cache; with less, calls cost more.
STRIP_PIXELS = 1 << 19


def strip_rows(width: int) -> int:
    """Rows of a strip: a multiple of the 8-pixel block, 272 for 1080p."""
    return max(8, STRIP_PIXELS // width // 8 * 8)


def padded_strips(frame: Frame, padding: int = 1) -> Iterator[Frame]:
    """Strips with ``padding`` more rows above and below, mirrored at the frame's border without repeating it.

    Filters of ``2 * padding + 1`` rows over a strip, without its first and last ``padding`` rows, are the filters of
    the frame with ``BORDER_REFLECT_101``.
    """
    height, width = frame.shape
    rows = strip_rows(width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        strip = frame[max(top - padding, 0) : bottom + padding]
        above, below = max(padding - top, 0), max(bottom + padding - height, 0)
        if above or below:
            strip = np.asarray(cv2.copyMakeBorder(strip, above, below, 0, 0, cv2.BORDER_REFLECT_101), np.uint8)
        yield strip


def block_strips(frame: Frame) -> Iterator[Frame]:
    """Strips of whole 8x8 blocks; incomplete blocks at the right and bottom are left out."""
    height, width = (size // 8 * 8 for size in frame.shape)
    if not width:
        return
    rows = strip_rows(width)
    for top in range(0, height, rows):
        yield frame[top : min(top + rows, height), :width]


def standard_deviation(mean: float, mean_square: float) -> float:
    """Population standard deviation from the first two moments; rounding must not make its root imaginary."""
    return math.sqrt(max(mean_square - mean * mean, 0.0))
