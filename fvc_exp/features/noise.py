"""How strong the noise of a frame is."""

from __future__ import annotations

from math import pi, sqrt
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fvc_exp.features.strips import as_one, standard_deviation, without_halo

if TYPE_CHECKING:
    from numpy.typing import NDArray


NAMES = ("noise_energy", "noise_mean", "noise_std")


# Applied along rows and columns this is the difference of two Laplacians, blind to any linear ramp of
# brightness.
SECOND_DIFFERENCE = np.array([1, -2, 1], np.float32)


# White noise of variance 1 leaves the mask with the sum of its squared weights.
MASK_ENERGY = 36.0


# The largest number whose square fits into 16 bits; few responses to natural pictures are larger.
ROOT_OF_UINT16 = 255


def strip_sums(strips: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Sums of ``|r|``, ``r^2`` and ``r^4`` of the noise mask's response over haloed strips; exact integers.

    A row a frame.
    """
    response = cv2.sepFilter2D(as_one(strips), cv2.CV_16S, SECOND_DIFFERENCE, SECOND_DIFFERENCE)
    return np.array([response_sums(each) for each in without_halo(np.asarray(response, np.int16), strips)])


def response_sums(response: NDArray[np.int16]) -> NDArray[np.float64]:
    """Sums of ``|r|``, ``r^2`` and ``r^4`` over a high-pass response; ``|r|`` up to 4095 is exact."""
    squares: NDArray[np.uint16] | NDArray[np.float32]
    if cv2.norm(response, cv2.NORM_INF) <= ROOT_OF_UINT16:
        # numpy has no mixed product; that of int16 has the right bits.
        squares = np.multiply(response, response).view(np.uint16)
    else:
        squares = response.astype(np.float32)
        squares *= squares
    absolute = cv2.norm(response, cv2.NORM_L1)
    return np.array([absolute, cv2.sumElems(squares)[0], cv2.norm(squares, cv2.NORM_L2SQR)])


def features(sums: NDArray[np.float64], pixels: int) -> dict[str, NDArray[np.float64]]:
    """Noise of frames of ``pixels`` pixels, from the sums of their strips, a row a frame.

    ``noise_mean`` is the noise standard deviation in gray levels by Immerkaer, "Fast noise variance
    estimation", CVIU 64(2), 1996: ``sqrt(pi/2) * mean|r| / 6``. ``noise_energy`` is the mean of ``r^2 / 36``,
    the noise variance where the scene is smooth; edges raise it more than the former. ``noise_std`` is the
    standard deviation of ``r^2 / 36`` over the pixels. All are per pixel.

    The original measures ``9 * (gray - 3x3 mean)``, which answers to every edge and ramp; its mean is a mean
    of squares and its energy that mean times the number of pixels, hence the resolution once more.
    """
    absolute, square, fourth = sums.T / pixels
    energy = square / MASK_ENERGY
    return {
        "noise_energy": energy,
        "noise_mean": sqrt(pi / 2) * absolute / sqrt(MASK_ENERGY),
        "noise_std": standard_deviation(energy, fourth / MASK_ENERGY**2),
    }
