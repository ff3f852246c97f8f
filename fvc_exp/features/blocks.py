"""Traces of 8x8 block coding: steps of brightness at the block borders."""

from math import nan

import cv2
import numpy as np

from fvc_exp._typing import Array
from fvc_exp.features.strips import Frames, strip_rows

NAMES = ("boundary_inconsistency",)

# Gray levels added to both sides of a ratio, so that a frame without any step scores 1.
FLOOR = 1e-3


def step_sums(frames: Frames) -> tuple[Array, Array]:
    """Sums of |difference| of neighbours: frames x (columns - 1) along rows, frames x (rows - 1) along columns."""
    number, height, width = frames.shape
    between_columns = np.zeros((number, width - 1))
    between_rows = np.zeros((number, height - 1))
    rows = strip_rows(width)
    for frame, across, down in zip(frames, between_columns, between_rows, strict=True):
        for top in range(0, height, rows):
            strip = frame[top : top + rows + 1]
            # A difference of uint8 in numpy would wrap around 0; absdiff does not.
            if width > 1:
                sideways = cv2.absdiff(strip[:rows, 1:], strip[:rows, :-1])
                across[:] += cv2.reduce(sideways, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[0]
            if len(strip) > 1:
                sums = cv2.reduce(cv2.absdiff(strip[1:], strip[:-1]), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[:, 0]
                down[top : top + len(sums)] = sums
    return between_columns, between_rows


def mean_steps(sums: Array, length: int) -> tuple[Array, Array]:
    """Mean |difference| at the block borders and inside the blocks, one each per frame; NaN where there is none.

    ``sums`` are the step sums of one direction, one row per frame, each over ``length`` pixels.
    """
    border = sums[:, 7::8]
    at_border = border.sum(axis=1)
    steps_at_border = border.shape[1]
    steps_inside = sums.shape[1] - steps_at_border
    return (
        at_border / (steps_at_border * length or nan),
        (sums.sum(axis=1) - at_border) / (steps_inside * length or nan),
    )


def border_and_inside(frames: Frames) -> tuple[Array, Array]:
    """Mean |difference| of neighbours at the block borders and inside the blocks, gray levels, one each per frame.

    Both directions have the same weight. Blocks are counted from the top left pixel. NaN for frames with a side of
    less than 9 pixels.
    """
    number, height, width = frames.shape
    if min(height, width) <= 8:
        return np.full(number, nan), np.full(number, nan)
    between_columns, between_rows = step_sums(frames)
    across = mean_steps(between_columns, height)
    down = mean_steps(between_rows, width)
    return (across[0] + down[0]) / 2, (across[1] + down[1]) / 2


def step_ratio(border: Array, inside: Array) -> Array:
    """How much larger steps are at the block borders than inside; 1 without blocking."""
    return (border + FLOOR) / (inside + FLOOR)


def block_features(border: Array, inside: Array) -> dict[str, Array]:
    """``boundary_inconsistency``: mean step at block borders over mean step inside blocks, without unit; one per frame.

    After Wang, Sheikh, Bovik, "No-reference perceptual quality assessment of JPEG compressed images", ICIP 2002,
    and Fan, de Queiroz, "Identification of bitmap compression history", IEEE TIP 12(2), 2003.

    The original takes the standard deviation along every 8th row and column. That is contrast: strong JPEG compression
    of a frame does not change it.
    """
    return {"boundary_inconsistency": step_ratio(border, inside)}
