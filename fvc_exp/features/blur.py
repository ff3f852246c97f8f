"""How sharp a frame is."""

import cv2
import numpy as np

from fvc_exp._typing import Array, Frame
from fvc_exp.features.strips import Frames, standard_deviation, tall_image, without_padding

NAMES = ("laplacian_var", "gradient_mean", "gradient_std")


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
