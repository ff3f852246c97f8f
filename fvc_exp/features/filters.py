"""How strong the noise of a frame is and how sharp it is: features from 3x3 filters."""

import cv2
import numpy as np
from numpy.typing import NDArray

from fvc_exp._typing import Array, Array32, Frame
from fvc_exp.features.strips import Frames, standard_deviation, tall_image, without_padding

NOISE_NAMES = ("noise_energy", "noise_mean", "noise_std")
BLUR_NAMES = ("laplacian_var", "gradient_mean", "gradient_std")

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
    squares: NDArray[np.uint16] | Array32
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
        "noise_mean": np.sqrt(np.pi / 2) * absolute / np.sqrt(MASK_ENERGY),
        "noise_std": standard_deviation(energy, fourth / MASK_ENERGY**2),
    }


def gradient_sums(strips: Frames) -> Array:
    """Sum and sum of squares of the Sobel gradient magnitude over padded strips; frames x 2."""
    along_x, along_y = (
        without_padding(gradient, strips).astype(np.float32) for gradient in cv2.spatialGradient(tall_image(strips))
    )
    # The squares are integers below 2^24 and cv2.sqrt rounds correctly, unlike cv2.magnitude with some back ends.
    by_frame = np.square(along_x, out=along_x)
    square = tall_image(by_frame)
    cv2.accumulateSquare(tall_image(along_y), square)
    squares = [cv2.sumElems(each)[0] for each in by_frame]
    # From here on by_frame holds the roots.
    cv2.sqrt(square, square)
    return np.array([(cv2.sumElems(each)[0], total) for each, total in zip(by_frame, squares, strict=True)])


def laplacian_sums(gray: Frame) -> tuple[float, float]:
    """Sum and sum of squares of the 4-neighbour Laplacian over a frame, mirrored at its border without repeating it."""
    laplacian = cv2.Laplacian(gray, cv2.CV_16S)
    return cv2.sumElems(laplacian)[0], cv2.norm(laplacian, cv2.NORM_L2SQR)


def blur_features(laplacian_sums: Array, gradient_sums: Array, pixels: int) -> dict[str, Array]:
    """Sharpness of frames of ``pixels`` pixels, one number per frame, from the two kinds of sums, frames x 2.

    - ``laplacian_var``, squared gray levels: the variance of the 4-neighbour Laplacian (Pech-Pacheco et al., "Diatom
      autofocusing in brightfield microscopy", ICPR 2000).
    - ``gradient_mean`` and ``gradient_std``, gray levels: mean and standard deviation of the magnitude of the 3x3 Sobel
      gradient.

    The original defines them in the same way; only the luma they are computed from differs. They depend on the
    resolution of the frame.
    """
    laplacian, gradient = laplacian_sums.T / pixels, gradient_sums.T / pixels
    return {
        "laplacian_var": standard_deviation(*laplacian) ** 2,
        "gradient_mean": gradient[0],
        "gradient_std": standard_deviation(*gradient),
    }
