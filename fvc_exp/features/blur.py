"""How sharp a frame is."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fvc_exp.features.strips import as_one, standard_deviation, without_halo

if TYPE_CHECKING:
    from numpy.typing import NDArray


NAMES = ("laplacian_var", "gradient_mean", "gradient_std")


# A frame of this many pixels is filtered in less time than the calls for its differences take.
SMALL = 1 << 18


def gradient_sums(strips: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Sum and square sum of the Sobel gradient magnitude over haloed strips, a row a frame."""
    along_x, along_y = (
        without_halo(gradient, strips).astype(np.float32) for gradient in cv2.spatialGradient(as_one(strips))
    )
    # The squares are integers below 2^24 and cv2.sqrt rounds correctly, unlike cv2.magnitude with some back ends.
    by_frame = np.square(along_x, out=along_x)
    square = as_one(by_frame)
    cv2.accumulateSquare(as_one(along_y), square)
    squares = [cv2.sumElems(each)[0] for each in by_frame]
    # From here on the frames' parts hold the roots.
    cv2.sqrt(square, square)
    return np.array([(cv2.sumElems(each)[0], total) for each, total in zip(by_frame, squares, strict=True)])


def laplacian_sums(gray: NDArray[np.uint8]) -> tuple[float, float]:
    """Sum and square sum of the 4-neighbour Laplacian over a frame, mirrored at its border without repeating it.

    The weights ``w`` of a Laplacian add up to 0, so that the square of ``sum w_i g_i`` is ``- sum w_i w_j (g_i -
    g_j)^2`` over all pairs of its pixels: no filter is needed, only differences between shifted frames. In the sum
    itself all but the steps across the border cancels out. A small frame is filtered all the same, as that is a
    few calls only.
    """
    if gray.size <= SMALL:
        laplacian = cv2.Laplacian(gray, cv2.CV_16S)
        return cv2.sumElems(laplacian)[0], cv2.norm(laplacian, cv2.NORM_L2SQR)
    padded = np.asarray(cv2.copyMakeBorder(gray, 1, 1, 1, 1, cv2.BORDER_REFLECT_101), dtype=np.uint8)
    columns = padded[1:-1, [0, 1, -2, -1]].sum(axis=0, dtype=np.int64)
    rows = padded[[0, 1, -2, -1], 1:-1].sum(axis=1, dtype=np.int64)
    total = sum(outside - inside for outside, inside, *_ in (columns, columns[::-1], rows, rows[::-1]))
    stride = padded.shape[1]
    pixels = padded.ravel()
    start, stop = stride, pixels.size - stride
    weights = {-stride: 1, -1: 1, 0: -4, 1: 1, stride: 1}
    # Laid out in one row, the frame has ends of padded rows between its own pixels.
    ends = np.arange(start, stop, stride)[:, None] + np.array([0, stride - 1])
    at_ends = sum(weight * pixels[ends + offset].astype(np.int32) for offset, weight in weights.items())
    return float(total), float(_square_sum(pixels, weights, start, stop) - np.square(at_ends).sum())


def _square_sum(pixels: NDArray[np.uint8], weights: Mapping[int, int], start: int, stop: int) -> int:
    """Sum over ``start <= i < stop`` of the square of the sum over ``weights`` of ``weight * pixels[i + offset]``.

    The weights add up to 0, their offsets ascend.
    """
    pairs_by_lag: dict[int, list[int]] = {}
    for one, other in combinations(weights, 2):
        pairs_by_lag.setdefault(other - one, []).append(one)
    total = 0
    for lag, offsets in pairs_by_lag.items():
        first, last = min(offsets), max(offsets)
        all_steps = _squared_steps(pixels, lag, start + first, stop + last)
        for offset in offsets:
            before = _squared_steps(pixels, lag, start + first, start + offset)
            after = _squared_steps(pixels, lag, stop + offset, stop + last)
            total -= weights[offset] * weights[offset + lag] * (all_steps - before - after)
    return total


def _squared_steps(pixels: NDArray[np.uint8], lag: int, start: int, stop: int) -> int:
    if start == stop:
        return 0
    # OpenCV squares the root of this integer, and what is left of a smooth frame in the end is small.
    return round(cv2.norm(pixels[start:stop], pixels[start + lag : stop + lag], cv2.NORM_L2SQR))


def features(
    laplacian_sums: NDArray[np.float64], gradient_sums: NDArray[np.float64], pixels: int
) -> dict[str, NDArray[np.float64]]:
    """Sharpness of frames of ``pixels`` pixels, from the sums of the Laplacian and of the gradient magnitude.

    ``laplacian_var`` is the variance of the 4-neighbour Laplacian (Pech-Pacheco et al., "Diatom autofocusing
    in brightfield microscopy", ICPR 2000); ``gradient_mean`` and ``gradient_std`` describe the magnitude of
    the 3x3 Sobel gradient. Gray levels, as in the original, whose definitions were sound; only the luma they
    are taken from differs. They depend on the resolution of the frame. A row of sums a frame.
    """
    laplacian, gradient = laplacian_sums.T / pixels, gradient_sums.T / pixels
    return {
        "laplacian_var": standard_deviation(*laplacian) ** 2,
        "gradient_mean": gradient[0],
        "gradient_std": standard_deviation(*gradient),
    }
