"""Cutting frames into bands of rows that fit the CPU cache, and putting small frames together.

Frames are frames x rows x columns here, one large one or several small ones: for these, calls cost as much as what
they do. Sums over the bands add up to sums over the frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


Number = TypeVar("Number", bound=np.number)


# What filters make of a band of this many pixels still fits a common last cache; of less, calls would cost more.
PIXELS = 1 << 19


# Frames that are measured together have up to this many pixels; with more, little but the memory they take grows.
TOGETHER = 1 << 20


def strip_rows(width: int) -> int:
    """Rows of a band: a multiple of the 8-pixel block, 272 for 1080p."""
    return max(8, PIXELS // width // 8 * 8)


def stacked(frames: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Frames of one size as one array; a single one is not copied."""
    return frames[0][None] if len(frames) == 1 else np.stack(frames)


def haloed_strips(frames: NDArray[np.uint8], halo: int = 1) -> Iterator[NDArray[np.uint8]]:
    """Bands of rows with ``halo`` more rows above and below, mirrored at the border without repeating it.

    Filters of ``2 * halo + 1`` rows over a band, less its first and last ``halo`` rows, are the filters of the
    frame with ``BORDER_REFLECT_101``.
    """
    number, height, width = frames.shape
    rows = strip_rows(width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        strip = frames[:, max(top - halo, 0) : bottom + halo]
        above, below = max(halo - top, 0), max(bottom + halo - height, 0)
        if above or below:
            inside, strip = strip, np.empty((number, bottom - top + 2 * halo, width), np.uint8)
            for rim, frame in zip(strip, inside, strict=True):
                cv2.copyMakeBorder(frame, above, below, 0, 0, cv2.BORDER_REFLECT_101, dst=rim)
        yield strip


def block_strips(frames: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Bands of rows of whole 8x8 blocks.

    Incomplete blocks at the right and bottom are left out.
    """
    height, width = (size // 8 * 8 for size in frames.shape[1:])
    if not width:
        return
    rows = strip_rows(width)
    for top in range(0, height, rows):
        yield frames[:, top : min(top + rows, height), :width]


def as_one(strips: NDArray[Number]) -> NDArray[Number]:
    """Strips of several frames as one image, one below the other, as OpenCV takes them."""
    return strips.reshape(-1, strips.shape[2])


def without_halo(filtered: NDArray[Number], strips: NDArray[np.uint8], halo: int = 1) -> NDArray[Number]:
    """Of an image made from ``as_one(strips)`` the part of each frame."""
    return filtered.reshape(strips.shape)[:, halo:-halo]


def standard_deviation(
    mean: NDArray[np.float64] | float, mean_square: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """Population standard deviation from the first two moments; rounding must not make its root imaginary."""
    return np.sqrt(np.maximum(mean_square - mean * mean, 0.0))
