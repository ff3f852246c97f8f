"""Frames cut into strips of rows that fit the CPU cache, and small frames measured with one call.

Frames are one array here, frames x rows x columns: one large frame or several small ones, for which a call costs as
much as its work. Sums over the strips add up to sums over the frames.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from fvc_exp._typing import Array, Frame

Number = TypeVar("Number", bound=np.number)

Frames = NDArray[np.uint8]
"""Frames of one size: frames x rows x columns."""

# The results of filters over a strip of this many pixels fit a common last-level cache; with less, calls cost more.
STRIP_PIXELS = 1 << 19

# Frames of up to this many pixels in total are measured with one call; with more, only the memory grows.
BATCH_PIXELS = 1 << 20


def strip_rows(width: int) -> int:
    """Rows of a strip: a multiple of the 8-pixel block, 272 for 1080p."""
    return max(8, STRIP_PIXELS // width // 8 * 8)


def stack_frames(frames: Sequence[Frame]) -> Frames:
    """Frames of one size as one array; a single one is not copied."""
    return frames[0][None] if len(frames) == 1 else np.stack(frames)


def padded_strips(frames: Frames, padding: int = 1) -> Iterator[Frames]:
    """Strips with ``padding`` more rows above and below, mirrored at the frame's border without repeating it.

    Filters of ``2 * padding + 1`` rows over a strip, without its first and last ``padding`` rows, are the filters of
    the frame with ``BORDER_REFLECT_101``.
    """
    number, height, width = frames.shape
    rows = strip_rows(width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        strip = frames[:, max(top - padding, 0) : bottom + padding]
        above, below = max(padding - top, 0), max(bottom + padding - height, 0)
        if above or below:
            inside, strip = strip, np.empty((number, bottom - top + 2 * padding, width), np.uint8)
            for target, frame in zip(strip, inside, strict=True):
                cv2.copyMakeBorder(frame, above, below, 0, 0, cv2.BORDER_REFLECT_101, dst=target)
        yield strip


def block_strips(frames: Frames) -> Iterator[Frames]:
    """Strips of whole 8x8 blocks; incomplete blocks at the right and bottom are left out."""
    height, width = (size // 8 * 8 for size in frames.shape[1:])
    if not width:
        return
    rows = strip_rows(width)
    for top in range(0, height, rows):
        yield frames[:, top : min(top + rows, height), :width]


def tall_image(strips: NDArray[Number]) -> NDArray[Number]:
    """Strips of several frames as one image, one below the other: OpenCV filters images only."""
    return strips.reshape(-1, strips.shape[2])


def without_padding(filtered: NDArray[Number], strips: Frames, padding: int = 1) -> NDArray[Number]:
    """Cut an image made from ``tall_image(strips)`` into frames again, without the padded rows."""
    return filtered.reshape(strips.shape)[:, padding:-padding]


def standard_deviation(mean: Array | float, mean_square: Array | float) -> Array:
    """Population standard deviation from the first two moments; rounding must not make its root imaginary."""
    return np.sqrt(np.maximum(mean_square - mean * mean, 0.0))
