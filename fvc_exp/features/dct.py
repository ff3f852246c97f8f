"""Statistics of the 8x8 block DCT, the transform of JPEG, MPEG-2 and MPEG-4 part 2."""

from __future__ import annotations

from math import nan, sqrt
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fvc_exp.features.strips import as_one, block_strips

if TYPE_CHECKING:
    from numpy.typing import NDArray


NAMES = ("dct_dc_mean", "dct_dc_std", "dct_ac_mean", "dct_ac_std", "dct_ac_energy")


COEFFICIENTS_AC = 63


EIGHT_ONES = np.ones(8, np.float32)


# The orthonormal DCT-II: row k holds the k-th basis vector.
EXACT_BASIS = np.asarray(cv2.dct(np.eye(8), flags=cv2.DCT_ROWS).T, dtype=np.float64)


BASIS = EXACT_BASIS.astype(np.float32)


# Two blocks a matrix row: BLAS takes half as long for a 16x16 product a pixel as for an 8x8 one.
ROW_TRANSFORM = np.kron(np.eye(2, dtype=np.float32), BASIS.T)


def coefficients(blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Orthonormal 8x8 DCT of an image of whole blocks.

    The result is indexed by block row, vertical frequency, block column, horizontal frequency.
    """
    height, width = blocks.shape
    columns = np.matmul(BASIS, blocks.astype(np.float32).reshape(height // 8, 8, width))
    transformed = columns.reshape(-1, 16) @ ROW_TRANSFORM
    return np.asarray(transformed.reshape(height // 8, 8, width // 8, 8), dtype=np.float32)


def features(frames: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """Block-DCT statistics, a number a frame, of frames x rows x columns.

    Gray levels in the orthonormal scale (DC = 8 x block mean).

    ``dct_dc_mean`` and ``dct_dc_std`` describe the DC over the blocks. With ``e`` the mean of AC^2 over the 63 AC
    coefficients of a block: ``dct_ac_energy`` and ``dct_ac_std`` are the mean and the standard deviation of ``e``
    over the blocks, that is how much detail there is and how unevenly it is spread, and ``dct_ac_mean`` is the mean of
    ``sqrt(e)``, a typical AC amplitude, which a few rich blocks move less. NaN for frames without a whole block.

    In the original ``dct_ac_mean`` is a sum of signed terms close to zero, ``dct_ac_std`` repeats the energy, the
    energy is a total that grows with the resolution, and incomplete blocks are filled up with repeated pixels.
    """
    parts = [block_moments(as_one(strip)) for strip in block_strips(frames)]
    number = len(frames)
    if not parts:
        return {name: np.full(number, nan) for name in NAMES}
    dc, energy = (
        np.concatenate([moments.reshape(number, -1) for moments in strips], axis=1)
        for strips in zip(*parts, strict=True)
    )
    dc_mean, dc_std = _mean_and_deviation(dc)
    energy_mean, energy_std = _mean_and_deviation(energy)
    amplitude = np.add.reduce(np.sqrt(energy), axis=1) / energy.shape[1]
    ac = (amplitude / sqrt(COEFFICIENTS_AC), energy_std / COEFFICIENTS_AC, energy_mean / COEFFICIENTS_AC)
    return dict(zip(NAMES, (dc_mean, dc_std, *ac), strict=True))


def block_moments(blocks: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """DC and AC energy of each 8x8 block of an image of whole blocks, in reading order, without a transform.

    DC is 8 x block mean, and by Parseval's theorem the AC energy is the block's sum of squares less DC^2. The
    sums are integers below 2^24, hence exact in float32.
    """
    # First all first rows of the blocks, then all second ones: so a column of a block is one of the matrix.
    rows = blocks.reshape(-1, 8, blocks.shape[1]).transpose(1, 0, 2).astype(np.uint16, order="C").reshape(8, -1)
    dc = _block_sums(rows) / 8
    rows *= rows
    return dc, _block_sums(rows) - dc * dc


def _block_sums(rows: NDArray[np.uint16]) -> NDArray[np.float64]:
    columns = cv2.reduce(rows, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32F)
    return np.asarray(columns.reshape(-1, 8) @ EIGHT_ONES, dtype=np.float64)


def _mean_and_deviation(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and population standard deviation of each row, in half the time of np.std."""
    mean = np.add.reduce(values, axis=1) / values.shape[1]
    rest = values - mean[:, None]
    return mean, np.sqrt(np.einsum("ij,ij->i", rest, rest) / values.shape[1])
