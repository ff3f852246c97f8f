"""Canny's edge detector, "A computational approach to edge detection", IEEE PAMI 8(6), 1986."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from fvc_exp.features.flood import grown, packed

if TYPE_CHECKING:
    from numpy.typing import NDArray

# tan(22.5 degrees) with 15 binary digits, as OpenCV has it: its product with a gradient is exact in float32.
TANGENT = np.float32(13573 / 32768)
# Frames wait for each other up to this many pixels; packed, that fits the CPU cache several times.
TOGETHER = 1 << 19


class EdgeCounter:
    """Counts the pixels that ``cv2.Canny`` marks in each of many frames, in about half of its time.

    ``cv2.Canny`` looks at one pixel after another, and in textured frames most of its branches are unforeseeable. Here
    thinning goes over a whole frame at once, and hysteresis over several.
    """

    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high
        self._counts: list[int] = []
        self._thin: list[NDArray[np.bool_]] = []
        self._strong: list[NDArray[np.bool_]] = []

    def add(self, gray: NDArray[np.uint8]) -> None:
        """Take one frame, of any size."""
        thin, magnitude = _thinned(gray)
        if self._thin and (self._thin[0].shape != thin.shape or (len(self._thin) + 1) * thin.size > TOGETHER):
            self._finish()
        thin &= magnitude > self._low
        self._thin.append(thin)
        self._strong.append(thin > (magnitude <= self._high))

    def counts(self) -> list[int]:
        """The edge pixels of each frame so far, in order."""
        self._finish()
        return list(self._counts)

    def _finish(self) -> None:
        if not self._thin:
            return
        found = grown(*([packed(mask) for mask in masks] for masks in (self._thin, self._strong)))
        self._counts += found or [_labelled(*pair) for pair in zip(self._thin, self._strong, strict=True)]
        self._thin, self._strong = [], []


def count(gray: NDArray[np.uint8], low: int, high: int) -> int:
    """How many pixels of one frame ``cv2.Canny`` marks."""
    counter = EdgeCounter(low, high)
    counter.add(gray)
    return counter.counts()[0]


def _labelled(thin: NDArray[np.bool_], strong: NDArray[np.bool_]) -> int:
    """Pixels connected to a strong one, however long the way."""
    number, found = cv2.connectedComponentsWithAlgorithm(thin.view(np.uint8), 8, cv2.CV_32S, cv2.CCL_SAUF)
    labels = np.asarray(found, np.int32)
    has_strong = np.zeros(number, bool)
    has_strong[labels[strong]] = True
    return int(np.count_nonzero(has_strong.take(labels)))


def _thinned(gray: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], NDArray[np.int16]]:
    """Where the gradient is largest along its own direction, and its magnitude |x| + |y|; both with a rim of zeros.

    More rows of zeros below make their number a multiple of 8.
    """
    height = len(gray)
    rim = cv2.copyMakeBorder(gray, 1, 1 + -(height + 2) % 8, 1, 1, cv2.BORDER_REPLICATE)
    along_x, along_y = (np.asarray(gradient, np.int16) for gradient in cv2.spatialGradient(rim))
    x, y = np.abs(along_x), np.abs(along_y)
    magnitude = x + y
    for edge in (magnitude[0], magnitude[height + 1 :], magnitude[:, 0], magnitude[:, -1]):
        edge[:] = 0
    # No product but that with 0 is a whole number, so rounding down changes no comparison.
    bound = np.multiply(x.astype(np.float32), TANGENT).astype(np.int16)
    is_level = y <= bound
    bound += x
    bound += x
    is_steep = y > bound
    along_x ^= along_y
    thin = np.zeros(magnitude.shape, bool)
    thin.ravel()[magnitude.shape[1] + 1 : -magnitude.shape[1] - 1] = _largest(
        magnitude.ravel(), magnitude.shape[1], is_level.ravel(), is_steep.ravel(), (along_x < 0).ravel()
    )
    return thin, magnitude


def _largest(
    magnitude: NDArray[np.int16],
    width: int,
    is_level: NDArray[np.bool_],
    is_steep: NDArray[np.bool_],
    is_falling: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Thinning of a frame laid out in one row, from its second row and column to its last but one.

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
