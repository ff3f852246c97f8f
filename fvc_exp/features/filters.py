"""How strong the noise of a frame is and how sharp it is: features from 3x3 filters."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from fvc_exp._typing import Frame

NOISE_NAMES = ("noise_energy", "noise_mean", "noise_std")
BLUR_NAMES = ("laplacian_var", "gradient_mean", "gradient_std")

# Applied along rows and columns this is the difference of two Laplacians; a linear ramp of brightness gives 0.
SECOND_DIFFERENCE = np.array([1, -2, 1], np.float32)

# White noise of variance 1 leaves the mask with the sum of its squared weights.
MASK_ENERGY = 36.0


def mean_powers(response: NDArray[np.int16]) -> tuple[float, ...]:
    """Means of ``|r|``, ``r^2`` and ``r^4`` over a high-pass response; their sums are exact for ``|r|`` up to 4095."""
    squares = np.square(response, dtype=np.float32)
    sums = (cv2.norm(response, cv2.NORM_L1), cv2.sumElems(squares)[0], cv2.norm(squares, cv2.NORM_L2SQR))
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
    square, along_y = (np.square(gradient, dtype=np.float32) for gradient in cv2.spatialGradient(gray))
    square += along_y
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
