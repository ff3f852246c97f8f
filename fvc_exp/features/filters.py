"""Noise and sharpness of a frame, from 3x3 filters, and traces of coding in blocks of 8x8 pixels."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from fvc_exp._typing import Array, Array32, Frame

NOISE_NAMES = ("noise_energy", "noise_mean", "noise_std")
BLUR_NAMES = ("laplacian_var", "gradient_mean", "gradient_std")
DCT_NAMES = ("dct_dc_mean", "dct_dc_std", "dct_ac_mean", "dct_ac_std", "dct_ac_energy")

# Applied along rows and columns this is the difference of two Laplacians; a linear ramp of brightness gives 0.
SECOND_DIFFERENCE = np.array([1, -2, 1], np.float32)

# White noise of variance 1 leaves the mask with the sum of its squared weights.
MASK_ENERGY = 36.0

# Gray levels added to both sides of a ratio, so that a frame without any step scores 1.
FLOOR = 1e-3

COEFFICIENTS_AC = 63

# The orthonormal DCT-II: row k holds the k-th basis vector.
EXACT_BASIS = np.asarray(cv2.dct(np.eye(8), flags=cv2.DCT_ROWS).T, dtype=np.float64)
BASIS = EXACT_BASIS.astype(np.float32)


def mean_powers(response: NDArray[np.int16]) -> tuple[float, ...]:
    """Means of ``|r|``, ``r^2`` and ``r^4`` over a high-pass response; their sums are exact for ``|r|`` up to 4095."""
    squares = np.square(response, dtype=np.float32)
    sums = (*(cv2.norm(response, kind) for kind in (cv2.NORM_L1, cv2.NORM_L2SQR)), cv2.norm(squares, cv2.NORM_L2SQR))
    return tuple(each / response.size for each in sums)


def noise_features(gray: Frame) -> dict[str, float]:
    """Noise of a frame.

    With ``r`` the response of Immerkaer's noise mask ("Fast noise variance estimation", CVIU 64(2), 1996):

    - ``noise_mean``, gray levels: the noise standard deviation, ``sqrt(pi/2) * mean|r| / 6``, after that paper.
    - ``noise_energy``, squared gray levels: the mean of ``r^2 / 36``, which is the noise variance where the scene is
      smooth. Edges raise it more than ``noise_mean``.
    - ``noise_std``, squared gray levels: the standard deviation of ``r^2 / 36`` over the pixels.

    The original measures ``9 * (gray - 3x3 mean)``, which responds to every edge and ramp. Its mean is a mean of
    squares, and its energy is that mean times the number of pixels, so it holds the resolution a second time.
    """
    response = cv2.sepFilter2D(gray, cv2.CV_16S, SECOND_DIFFERENCE, SECOND_DIFFERENCE)
    absolute, square, fourth = mean_powers(np.asarray(response, np.int16))
    energy = square / MASK_ENERGY
    return {
        "noise_energy": energy,
        "noise_mean": math.sqrt(math.pi / 2) * absolute / math.sqrt(MASK_ENERGY),
        "noise_std": standard_deviation(energy, fourth / MASK_ENERGY**2),
    }


def blur_features(gray: Frame) -> dict[str, float]:
    """Sharpness of a frame.

    - ``laplacian_var``, squared gray levels: the variance of the 4-neighbour Laplacian (Pech-Pacheco et al., "Diatom
      autofocusing in brightfield microscopy", ICPR 2000).
    - ``gradient_mean`` and ``gradient_std``, gray levels: mean and standard deviation of the magnitude of the 3x3 Sobel
      gradient.

    The original defines them in the same way; only the luma they are computed from differs. They depend on the
    resolution of the frame.
    """
    laplacian = cv2.Laplacian(gray, cv2.CV_16S)
    mean, mean_square = cv2.sumElems(laplacian)[0] / gray.size, cv2.norm(laplacian, cv2.NORM_L2SQR) / gray.size
    # The squares are integers below 2^24 and cv2.sqrt rounds correctly, unlike cv2.magnitude with some back ends.
    square, along_y = (gradient.astype(np.float32) for gradient in cv2.spatialGradient(gray))
    cv2.accumulateSquare(along_y, np.square(square, out=square))
    gradient_square = cv2.sumElems(square)[0] / gray.size
    gradient = cv2.sumElems(cv2.sqrt(square, square))[0] / gray.size
    return {
        "laplacian_var": standard_deviation(mean, mean_square) ** 2,
        "gradient_mean": gradient,
        "gradient_std": standard_deviation(gradient, gradient_square),
    }


def standard_deviation(mean: float, mean_square: float) -> float:
    """Population standard deviation from the first two moments; rounding must not make its root imaginary."""
    return math.sqrt(max(mean_square - mean * mean, 0.0))


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
    values = frame.astype(np.float32)
    dc = 8 * block_means(values, 8)
    return dc.ravel(), (64 * block_means(np.square(values, out=values), 8) - dc * dc).ravel()


def block_means(values: Array32, side: int) -> Array:
    """The mean of each whole block of an image, by block row and block column."""
    height, width = (size // side for size in values.shape)
    stripes, ones = values[: side * height, : side * width].reshape(height, side, -1), np.ones(side, np.float32)
    sums = np.matmul(ones, stripes).reshape(height, width, side) @ ones
    return np.asarray(sums * np.float32(1 / side**2), np.float64)
