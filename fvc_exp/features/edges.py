"""Canny's edge detector, "A computational approach to edge detection", IEEE PAMI 8(6), 1986."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fvc_exp.features.flood import grown, packed

if TYPE_CHECKING:
    from numpy.typing import NDArray


# tan(22.5 degrees) with 15 binary digits, as OpenCV has it: its product with a gradient is exact in float32.
TANGENT = np.float32(13573 / 32768)


# Larger frames are left to cv2.Canny: they would leave the CPU cache between the steps.
LARGEST = 1 << 19


# From this share of pixels above the low threshold on cv2.Canny is the slower way.
BUSY = 0.4


@dataclass(frozen=True)
class _Gradient:
    """Of frames with a rim of one pixel, and more rows below that make their number a multiple of 8.

    There the magnitude |x| + |y| is 0; ``height`` is that of the frames. All arrays are frames x rows x columns.
    """

    height: int
    along_x: NDArray[np.int16]
    along_y: NDArray[np.int16]
    size_x: NDArray[np.int16]
    size_y: NDArray[np.int16]
    magnitude: NDArray[np.int16]

    def of(self, frames: Sequence[int]) -> _Gradient:
        """The gradient of some of the frames."""
        if len(frames) == len(self.magnitude):
            return self
        arrays = (self.along_x, self.along_y, self.size_x, self.size_y, self.magnitude)
        return _Gradient(self.height, *(array[frames] for array in arrays))


def counts(frames: NDArray[np.uint8], low: int, high: int) -> list[int]:
    """How many pixels ``cv2.Canny`` marks in each of some frames (frames x rows x columns).

    ``cv2.Canny`` looks at one pixel after another, and in small textured frames most of its branches are unforeseeable.
    These are looked at as a whole here, and all at once, in half the time; all other frames are left to ``cv2.Canny``.
    """
    gradient = _gradient(frames)
    pixels = frames[0].size
    is_candidate = gradient.magnitude > low
    candidates = [np.count_nonzero(frame) for frame in is_candidate]
    busy = [number for number, above in enumerate(candidates) if pixels <= LARGEST and above >= BUSY * pixels]
    found: dict[int, int] = {}
    if busy:
        of_busy = gradient.of(busy)
        thin = _thinned(of_busy)
        thin &= is_candidate[busy]
        strong = thin > (of_busy.magnitude <= high)
        # A line that is too long to follow in steps takes one pixel after another all the same.
        found = dict(zip(busy, grown(packed(thin), packed(strong)) or (), strict=False))
    return [
        found[number] if number in found else _by_opencv(gradient, number, low, high) for number in range(len(frames))
    ]


def _gradient(frames: NDArray[np.uint8]) -> _Gradient:
    number, height, width = frames.shape
    below = 1 + -(height + 2) % 8
    rimmed = np.empty((number, height + 1 + below, width + 2), np.uint8)
    for frame, place in zip(frames, rimmed, strict=True):
        cv2.copyMakeBorder(frame, 1, below, 1, 1, cv2.BORDER_REPLICATE, dst=place)
    along_x, along_y = (
        np.asarray(gradient, np.int16).reshape(rimmed.shape)
        for gradient in cv2.spatialGradient(rimmed.reshape(-1, width + 2))
    )
    size_x, size_y = np.abs(along_x), np.abs(along_y)
    magnitude = size_x + size_y
    for edge in (magnitude[:, 0], magnitude[:, height + 1 :], magnitude[..., 0], magnitude[..., -1]):
        edge[:] = 0
    return _Gradient(height, along_x, along_y, size_x, size_y, magnitude)


def _by_opencv(gradient: _Gradient, number: int, low: int, high: int) -> int:
    x, y = (along[number, 1 : gradient.height + 1, 1:-1] for along in (gradient.along_x, gradient.along_y))
    return cv2.countNonZero(cv2.Canny(x, y, low, high))


def _thinned(gradient: _Gradient) -> NDArray[np.bool_]:
    """Where the gradient is largest along its own direction."""
    # No product but that with 0 is a whole number, so rounding down changes no comparison.
    bound = np.empty_like(gradient.size_x)
    np.multiply(gradient.size_x, TANGENT, out=bound, dtype=np.float32, casting="unsafe")
    is_level = gradient.size_y <= bound
    bound += gradient.size_x
    bound += gradient.size_x
    is_steep = gradient.size_y > bound
    is_falling = (gradient.along_x ^ gradient.along_y) < 0
    width = gradient.magnitude.shape[2]
    thin = np.zeros(gradient.magnitude.shape, bool)
    thin.ravel()[width + 1 : -width - 1] = _largest(
        gradient.magnitude.ravel(), width, is_level.ravel(), is_steep.ravel(), is_falling.ravel()
    )
    return thin


def _largest(
    magnitude: NDArray[np.int16],
    width: int,
    is_level: NDArray[np.bool_],
    is_steep: NDArray[np.bool_],
    is_falling: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Thinning of frames laid out in one row, from the second row and column of the first to the last but one.

    Of two equal neighbours the second counts as larger along rows and columns, and neither along diagonals.
    """
    centre = slice(width + 1, -width - 1)
    middle = magnitude[centre]
    size = len(middle)

    def beyond(step: int) -> NDArray[np.bool_]:
        return middle > magnitude[width + 1 + step :][:size]

    rises_right, rises_down = magnitude[1:] > magnitude[:-1], magnitude[width:] > magnitude[:-width]
    # For truth values a > b is "a and not b".
    level = rises_right[width:][:size] > rises_right[width + 1 :][:size]
    steep = rises_down[1:][:size] > rises_down[width + 1 :][:size]
    chosen, falling = beyond(-width - 1), beyond(1 - width)
    chosen &= beyond(width + 1)
    falling &= beyond(width - 1)
    for other, applies in ((falling, is_falling), (steep, is_steep), (level, is_level)):
        # np.where takes ten times as long for truth values.
        np.bitwise_xor(other, chosen, out=other)
        np.bitwise_and(other, applies[centre], out=other)
        np.bitwise_xor(chosen, other, out=chosen)
    return chosen
