"""Statistics of the 8x8 block DCT, the transform of JPEG, MPEG-2 and MPEG-4 part 2."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fvc_exp.features.strips import block_strips, standard_deviation

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAMES = ("dct_dc_mean", "dct_dc_std", "dct_ac_mean", "dct_ac_std", "dct_ac_energy")
COEFFICIENTS_AC = 63
ONES = np.ones(8, np.float32)
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


def features(gray: NDArray[np.uint8]) -> dict[str, float]:
    """Block-DCT statistics of a frame, gray levels in the orthonormal scale (DC = 8 x block mean).

    ``dct_dc_mean`` and ``dct_dc_std`` describe the DC over the blocks. ``dct_ac_mean`` is the mean of |AC|,
    ``dct_ac_energy`` the mean of AC^2, each per AC coefficient, and ``dct_ac_std`` the standard deviation
    over the blocks of a block's root mean square AC: how unevenly detail is spread. NaN for a frame without a
    whole block.

    In the original ``dct_ac_mean`` is a sum of signed terms close to zero, ``dct_ac_std`` repeats the energy,
    the energy is a total that grows with the resolution, and incomplete blocks are filled up with repeated
    pixels.
    """
    dc_sums, ac_sums, blocks = np.zeros(2), np.zeros(3), 0
    for strip in block_strips(gray):
        dc, energy = block_moments(strip)
        absolute = cv2.norm(coefficients(strip).reshape(-1, 8), cv2.NORM_L1) - float(dc.sum())
        block_rms = np.sqrt(energy / COEFFICIENTS_AC)
        dc_sums += (dc.sum(), (dc**2).sum())
        ac_sums += (absolute, block_rms.sum(), (block_rms**2).sum())
        blocks += dc.size
    if blocks == 0:
        return dict.fromkeys(NAMES, nan)
    dc_mean, dc_square = (float(total) / blocks for total in dc_sums)
    absolute_mean, rms_mean, mean_energy = (float(total) / blocks for total in ac_sums)
    return {
        "dct_dc_mean": dc_mean,
        "dct_dc_std": standard_deviation(dc_mean, dc_square),
        "dct_ac_mean": absolute_mean / COEFFICIENTS_AC,
        "dct_ac_std": standard_deviation(rms_mean, mean_energy),
        "dct_ac_energy": mean_energy,
    }


def block_moments(blocks: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """DC and AC energy of each 8x8 block, without a transform.

    DC is 8 x block mean, and by Parseval's theorem the AC energy is the block's sum of squares less DC^2. The
    sums are integers below 2^24, hence exact in float32.
    """
    values = blocks.astype(np.float32)
    total, square = _block_sums(values), _block_sums(values * values)
    return total / 8, square - total * total / 64


def _block_sums(values: NDArray[np.float32]) -> NDArray[np.float64]:
    height, width = values.shape
    columns = np.add.reduce(values.reshape(height // 8, 8, width), axis=1)
    sums = columns.reshape(-1, 8) @ ONES
    return np.asarray(sums.reshape(height // 8, width // 8), dtype=np.float64)
