"""How strong the noise of a frame is."""

from math import pi, sqrt

import cv2
import numpy as np
from numpy.typing import NDArray

from fvc_exp._typing import Array
from fvc_exp.features.strips import Frames, standard_deviation, tall_image, without_padding

NAMES = ("noise_energy", "noise_mean", "noise_std")

# Applied along rows and columns this is the difference of two Laplacians; a linear ramp of brightness gives 0.
SECOND_DIFFERENCE = np.array([1, -2, 1], np.float32)

# White noise of variance 1 leaves the mask with the sum of its squared weights.
MASK_ENERGY = 36.0

# The largest number whose square fits into 16 bits; few responses to natural pictures are larger.
ROOT_OF_UINT16 = 255


def noise_sums(strips: Frames) -> Array:
    """Sums of ``|r|``, ``r^2`` and ``r^4`` of the noise mask's response over padded strips; frames x 3."""
    response = cv2.sepFilter2D(tall_image(strips), cv2.CV_16S, SECOND_DIFFERENCE, SECOND_DIFFERENCE)
    return np.array([response_sums(each) for each in without_padding(np.asarray(response, np.int16), strips)])


def response_sums(response: NDArray[np.int16]) -> Array:
    """Sums of ``|r|``, ``r^2`` and ``r^4`` over a high-pass response; exact for ``|r|`` up to 4095."""
    squares: NDArray[np.uint16] | NDArray[np.float32]
    if cv2.norm(response, cv2.NORM_INF) <= ROOT_OF_UINT16:
        # numpy has no product of int16 in uint16; that of int16 has the right bits.
        squares = np.multiply(response, response).view(np.uint16)
    else:
        squares = response.astype(np.float32)
        squares *= squares
    absolute = cv2.norm(response, cv2.NORM_L1)
    return np.array([absolute, cv2.sumElems(squares)[0], cv2.norm(squares, cv2.NORM_L2SQR)])


def noise_features(sums: Array, pixels: int) -> dict[str, Array]:
    """Noise of frames of ``pixels`` pixels, one number per frame, from ``noise_sums``, frames x 3.

    With ``r`` the response of Immerkaer's noise mask ("Fast noise variance estimation", CVIU 64(2), 1996):

    - ``noise_mean``, gray levels: the noise standard deviation, ``sqrt(pi/2) * mean|r| / 6``, after that paper.
    - ``noise_energy``, squared gray levels: the mean of ``r^2 / 36``, which is the noise variance where the scene is
      smooth. Edges raise it more than ``noise_mean``.
    - ``noise_std``, squared gray levels: the standard deviation of ``r^2 / 36`` over the pixels.

    The original measures ``9 * (gray - 3x3 mean)``, which responds to every edge and ramp. Its mean is a mean of
    squares, and its energy is that mean times the number of pixels, so it holds the resolution a second time.
    """
    absolute, square, fourth = sums.T / pixels
    energy = square / MASK_ENERGY
    return {
        "noise_energy": energy,
        "noise_mean": sqrt(pi / 2) * absolute / sqrt(MASK_ENERGY),
        "noise_std": standard_deviation(energy, fourth / MASK_ENERGY**2),
    }
