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


def step_sums(gray: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums of |difference| of neighbours: for each step between columns, and for each step between rows."""
    height, width = gray.shape
    between_columns = np.zeros(width - 1)
    between_rows = np.zeros(height - 1)
    rows = strip_rows(width)
    for top in range(0, height, rows):
        band = gray[top : top + rows + 1]
        # numpy would wrap around 0 here; absdiff saturates nothing and wraps nothing.
        if width > 1:
            sideways = cv2.absdiff(band[:rows, 1:], band[:rows, :-1])
            between_columns += cv2.reduce(sideways, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[0]
        if len(band) > 1:
            sums = cv2.reduce(cv2.absdiff(band[1:], band[:-1]), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[:, 0]
            between_rows[top : top + len(sums)] = sums
    return between_columns, between_rows


def mean_steps(sums: NDArray[np.float64], length: int) -> tuple[float, float]:
    """Mean |difference| at the block borders and inside the blocks; NaN where there is none of a kind.

    ``sums`` are the step sums of one direction, each over ``length`` pixels.
    """
    border = sums[7::8]
    at_border = float(border.sum())
    inside, steps_inside = float(sums.sum()) - at_border, len(sums) - len(border)
    return (
        at_border / len(border) / length if len(border) else nan,
        inside / steps_inside / length if steps_inside else nan,
    )


def ratio(border: float, inside: float) -> float:
    """How much larger steps are at the block borders than inside; 1 without blocking."""
    return (border + FLOOR) / (inside + FLOOR)


def border_and_inside(gray: NDArray[np.uint8]) -> tuple[float, float]:
    """Mean |difference| of neighbours at the borders and inside of blocks, the two directions weighted alike.

    Blocks are counted from the top left pixel. NaN for a frame of less than 9 pixels a side.
    """
    height, width = gray.shape
    if min(height, width) <= 8:
        return nan, nan
    between_columns, between_rows = step_sums(gray)
    across = mean_steps(between_columns, height)
    down = mean_steps(between_rows, width)
    return (across[0] + down[0]) / 2, (across[1] + down[1]) / 2


def features(border: float, inside: float) -> dict[str, float]:
    """Blockiness: the mean step at block borders over the mean step inside blocks.

    After Wang, Sheikh, Bovik, "No-reference perceptual quality assessment of JPEG compressed images", ICIP 2002,
    and Fan, de Queiroz, "Identification of bitmap compression history", IEEE TIP 12(2), 2003.

    The original takes the standard deviation along every 8th row and column, which is contrast: strong JPEG
    compression of a frame leaves it where it was.
    """
    return {"boundary_inconsistency": ratio(border, inside)}
