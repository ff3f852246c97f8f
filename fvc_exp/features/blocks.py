"""Traces of coding in blocks of 8x8 pixels: steps at the block borders, and the discrete cosine transform (DCT)."""

import cv2
import numpy as np
from numpy.typing import NDArray

from fvc_exp._typing import Array, Array32, Frame
from fvc_exp.features.strips import block_strips, strip_rows

BLOCK_NAMES = ("boundary_inconsistency",)
DCT_NAMES = ("dct_dc_mean", "dct_dc_std", "dct_ac_mean", "dct_ac_std", "dct_ac_energy")

# Gray levels added to both sides of a ratio, so that a frame without any step scores 1.
FLOOR = 1e-3

COEFFICIENTS_AC = 63
EIGHT_ONES = np.ones(8, np.float32)

# The orthonormal DCT-II: row k holds the k-th basis vector.
EXACT_BASIS = np.asarray(cv2.dct(np.eye(8), flags=cv2.DCT_ROWS).T, dtype=np.float64)
BASIS = EXACT_BASIS.astype(np.float32)

# Two blocks per matrix row: per pixel, BLAS takes half as long for a 16x16 product as for an 8x8 one.
ROW_TRANSFORM = np.kron(np.eye(2, dtype=np.float32), BASIS.T)


def mean_steps(frame: Frame) -> list[tuple[float, float]]:
    """Mean |difference| of neighbours in gray levels at block borders and inside blocks, along rows and along columns.

    Blocks are counted from the top left pixel. NaN for a frame with a side of less than 9 pixels.
    """
    height, width = frame.shape
    if min(height, width) <= 8:
        return [(np.nan, np.nan)] * 2
    across, down, rows = np.zeros(width - 1), np.zeros(height - 1), strip_rows(width)
    for top in range(0, height, rows):
        strip = frame[top : top + rows + 1]
        # A difference of uint8 in numpy would wrap around 0; absdiff does not.
        sideways = cv2.absdiff(strip[:rows, 1:], strip[:rows, :-1])
        across += cv2.reduce(sideways, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[0]
        if len(strip) > 1:
            sums = cv2.reduce(cv2.absdiff(strip[1:], strip[:-1]), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[:, 0]
            down[top : top + len(sums)] = sums
    means = []
    for steps, length in ((across, height), (down, width)):
        total, border, borders = float(steps.sum()), float(steps[7::8].sum()), len(steps) // 8
        means.append((border / borders / length, (total - border) / (len(steps) - borders) / length))
    return means


def step_ratio(border: float, inside: float) -> float:
    """Mean step at block borders over mean step inside blocks, without unit; 1 without blocking.

    This is ``boundary_inconsistency``, after Wang, Sheikh, Bovik, "No-reference perceptual quality assessment of JPEG
    compressed images", ICIP 2002, and Fan, de Queiroz, "Identification of bitmap compression history", IEEE TIP 12(2),
    2003.

    The original takes the standard deviation along every 8th row and column. That is contrast: strong JPEG compression
    of a frame does not change it.
    """
    return (border + FLOOR) / (inside + FLOOR)


def dct_coefficients(blocks: Frame, vertical: int = 8) -> Array32:
    """Orthonormal 8x8 DCT of an image of whole blocks, of which the first ``vertical`` vertical frequencies.

    The result is indexed by block row, vertical frequency, block column, horizontal frequency.
    """
    height, width = blocks.shape
    columns = np.matmul(BASIS[:vertical], blocks.astype(np.float32).reshape(height // 8, 8, width))
    transformed = columns.reshape(-1, 16) @ ROW_TRANSFORM
    return np.asarray(transformed.reshape(height // 8, vertical, width // 8, 8), dtype=np.float32)


def dct_features(frame: Frame) -> dict[str, float]:
    """Block-DCT statistics of a frame; NaN for one without a whole block.

    Coefficients are in gray levels in the orthonormal scale, so the DC is 8 x the block's mean. With ``e`` the mean of
    AC^2 over the 63 AC coefficients of a block:

    - ``dct_dc_mean`` and ``dct_dc_std``, gray levels x 8: mean and standard deviation of the DC over the blocks.
    - ``dct_ac_mean``, gray levels: the mean of ``sqrt(e)``, a typical AC amplitude, which a few blocks of rich detail
      change less than the energy.
    - ``dct_ac_energy`` and ``dct_ac_std``, squared gray levels: mean and standard deviation of ``e`` over the blocks,
      that is how much detail there is and how unevenly it is spread.

    In the original ``dct_ac_mean`` is a sum of signed terms close to zero, ``dct_ac_std`` repeats the energy, the
    energy is a total that grows with the resolution, and incomplete blocks are filled up with repeated pixels.
    """
    parts = [block_moments(strip) for strip in block_strips(frame)]
    if not parts:
        return dict.fromkeys(DCT_NAMES, np.nan)
    dc, energy = (np.concatenate(moments) for moments in zip(*parts, strict=True))
    energy /= COEFFICIENTS_AC
    # One call of OpenCV takes less time than two of numpy, above all for small frames.
    (dc_mean, dc_std), (energy_mean, energy_std) = (
        (float(mean[0, 0]), float(deviation[0, 0])) for mean, deviation in map(cv2.meanStdDev, (dc, energy))
    )
    values = (dc_mean, dc_std, cv2.mean(np.sqrt(energy))[0], energy_std, energy_mean)
    return dict(zip(DCT_NAMES, values, strict=True))


def block_moments(blocks: Frame) -> tuple[Array, Array]:
    """DC and AC energy of each 8x8 block of an image of whole blocks, in reading order, without a transform.

    DC is 8 x block mean, and by Parseval's theorem the AC energy is the block's sum of squares less DC^2. The
    sums are integers below 2^24, hence exact in float32.
    """
    # The first rows of all blocks, then all second rows: so a column of a block is a column of the matrix.
    rows = blocks.reshape(-1, 8, blocks.shape[1]).transpose(1, 0, 2).astype(np.uint16, order="C").reshape(8, -1)
    dc = _block_sums(rows) / 8
    rows *= rows
    return dc, _block_sums(rows) - dc * dc


def _block_sums(rows: NDArray[np.uint16]) -> Array:
    columns = cv2.reduce(rows, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32F)
    return np.asarray(columns.reshape(-1, 8) @ EIGHT_ONES, dtype=np.float64)
