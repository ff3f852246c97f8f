"""Traces of coding in blocks of 8x8 pixels: steps at the block borders, and the discrete cosine transform (DCT)."""

import cv2
import numpy as np

from fvc_exp._typing import Array, Array32, Frame

BLOCK_NAMES = ("boundary_inconsistency",)
DCT_NAMES = ("dct_dc_mean", "dct_dc_std", "dct_ac_mean", "dct_ac_std", "dct_ac_energy")

# Gray levels added to both sides of a ratio, so that a frame without any step scores 1.
FLOOR = 1e-3

COEFFICIENTS_AC = 63

# The orthonormal DCT-II: row k holds the k-th basis vector.
EXACT_BASIS = np.asarray(cv2.dct(np.eye(8), flags=cv2.DCT_ROWS).T, dtype=np.float64)
BASIS = EXACT_BASIS.astype(np.float32)


def mean_steps(frame: Frame) -> list[tuple[float, float]]:
    """Mean |difference| of neighbours in gray levels at block borders and inside blocks, along rows and along columns.

    Blocks are counted from the top left pixel. NaN for a frame with a side of less than 9 pixels.
    """
    height, width = frame.shape
    if min(height, width) <= 8:
        return [(np.nan, np.nan)] * 2
    # A difference of uint8 in numpy would wrap around 0; absdiff does not.
    across = cv2.reduce(cv2.absdiff(frame[:, 1:], frame[:, :-1]), 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[0]
    down = cv2.reduce(cv2.absdiff(frame[1:], frame[:-1]), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[:, 0]
    return [
        (float(steps[7::8].mean() / length), float(np.delete(steps, np.s_[7::8]).mean() / length))
        for steps, length in ((across, height), (down, width))
    ]


def step_ratio(border: float, inside: float) -> float:
    """Mean step at block borders over mean step inside blocks, without unit; 1 without blocking.

    This is ``boundary_inconsistency``, after Wang, Sheikh, Bovik, "No-reference perceptual quality assessment of JPEG
    compressed images", ICIP 2002, and Fan, de Queiroz, "Identification of bitmap compression history", IEEE TIP 12(2),
    2003.

    The original takes the standard deviation along every 8th row and column. That is contrast: strong JPEG compression
    of a frame does not change it.
    """
    return (border + FLOOR) / (inside + FLOOR)


def dct_coefficients(frame: Frame, vertical: int) -> Array32:
    """Orthonormal 8x8 DCT of the whole blocks of a frame, of which the first ``vertical`` vertical frequencies.

    The result is indexed by block row, vertical frequency, block column, horizontal frequency.
    """
    height, width = (size // 8 for size in frame.shape)
    blocks = frame[: 8 * height, : 8 * width].astype(np.float32).reshape(height, 8, 8 * width)
    transformed = np.matmul(BASIS[:vertical], blocks).reshape(-1, 8) @ BASIS.T
    return np.asarray(transformed.reshape(height, vertical, width, 8), dtype=np.float32)


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
    if min(frame.shape) < 8:
        return dict.fromkeys(DCT_NAMES, np.nan)
    dc, energy = block_moments(frame)
    energy /= COEFFICIENTS_AC
    values = (dc.mean(), dc.std(), np.sqrt(energy).mean(), energy.std(), energy.mean())
    return {name: float(value) for name, value in zip(DCT_NAMES, values, strict=True)}


def block_moments(frame: Frame) -> tuple[Array, Array]:
    """DC and AC energy of each whole 8x8 block of a frame, in reading order, without a transform.

    DC is 8 x block mean, and by Parseval's theorem the AC energy is the block's sum of squares less DC^2. The
    sums are integers below 2^24, hence exact in float32, and so are their 64th parts.
    """
    dc = 8 * block_means(frame.astype(np.float32), 8)
    energy = 64 * block_means(np.square(frame, dtype=np.float32), 8) - dc * dc
    return dc.ravel(), energy.ravel()


def block_means(values: Array32, side: int) -> Array:
    """The mean of each whole block of an image, by block row and block column."""
    height, width = (size // side for size in values.shape)
    whole = values[: side * height, : side * width]
    return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.float64)
