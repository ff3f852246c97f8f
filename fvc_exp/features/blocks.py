"""Traces of 8x8 block coding: steps of brightness at the block borders."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fvc_exp.features.strips import strip_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray


NAMES = ("boundary_inconsistency",)


# Gray levels added to both sides of a ratio, so that a frame without any step scores 1.
FLOOR = 1e-3


def step_sums(frames: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums of |difference| of neighbours in frames x rows x columns, a row a frame.

    For each step between columns, and for each step between rows.
    """
    number, height, width = frames.shape
    between_columns = np.zeros((number, width - 1))
    between_rows = np.zeros((number, height - 1))
    rows = strip_rows(width)
    for frame, across, down in zip(frames, between_columns, between_rows, strict=True):
        for top in range(0, height, rows):
            band = frame[top : top + rows + 1]
            # numpy would wrap around 0 here; absdiff saturates nothing and wraps nothing.
            if width > 1:
                sideways = cv2.absdiff(band[:rows, 1:], band[:rows, :-1])
                across[:] += cv2.reduce(sideways, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[0]
            if len(band) > 1:
                sums = cv2.reduce(cv2.absdiff(band[1:], band[:-1]), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[:, 0]
                down[top : top + len(sums)] = sums
    return between_columns, between_rows


def mean_steps(sums: NDArray[np.float64], length: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean |difference| at the block borders and inside the blocks; NaN where there is none of a kind.

    ``sums`` are the step sums of one direction, each over ``length`` pixels, a row a frame.
    """
    border = sums[:, 7::8]
    at_border = border.sum(axis=1)
    steps_at_border = border.shape[1]
    steps_inside = sums.shape[1] - steps_at_border
    return (
        at_border / (steps_at_border * length or nan),
        (sums.sum(axis=1) - at_border) / (steps_inside * length or nan),
    )


def ratio(border: NDArray[np.float64], inside: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much larger steps are at the block borders than inside; 1 without blocking."""
    return (border + FLOOR) / (inside + FLOOR)


def border_and_inside(frames: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean |difference| of neighbours at the borders and inside of blocks, the two directions weighted alike.

    A number a frame. Blocks are counted from the top left pixel. NaN for frames of less than 9 pixels a side.
    """
    number, height, width = frames.shape
    if min(height, width) <= 8:
        return np.full(number, nan), np.full(number, nan)
    between_columns, between_rows = step_sums(frames)
    across = mean_steps(between_columns, height)
    down = mean_steps(between_rows, width)
    return (across[0] + down[0]) / 2, (across[1] + down[1]) / 2


def features(border: NDArray[np.float64], inside: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Blockiness: the mean step at block borders over the mean step inside blocks.

    After Wang, Sheikh, Bovik, "No-reference perceptual quality assessment of JPEG compressed images", ICIP 2002,
    and Fan, de Queiroz, "Identification of bitmap compression history", IEEE TIP 12(2), 2003.

    The original takes the standard deviation along every 8th row and column, which is contrast: strong JPEG
    compression of a frame leaves it where it was.
    """
    return {"boundary_inconsistency": ratio(border, inside)}
