"""How sharp a frame is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from fvc_exp.features.strips import standard_deviation

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAMES = ("laplacian_var", "gradient_mean", "gradient_std")


def strip_sums(strip: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Sum and square sum of the Laplacian and of the Sobel gradient magnitude over a haloed strip."""
    laplacian = cv2.Laplacian(strip, cv2.CV_16S)[1:-1]
    along_x, along_y = (gradient[1:-1] for gradient in cv2.spatialGradient(strip))
    # The squares are integers below 2^24 and cv2.sqrt rounds correctly, unlike cv2.magnitude with some back ends.
    square = along_x.astype(np.float32)
    square *= square
    cv2.accumulateSquare(along_y.astype(np.float32), square)
    magnitude = cv2.sqrt(square, square)
    return np.array(
        [
            cv2.sumElems(laplacian)[0],
            cv2.norm(laplacian, cv2.NORM_L2SQR),
            cv2.sumElems(magnitude)[0],
            cv2.norm(along_x, cv2.NORM_L2SQR) + cv2.norm(along_y, cv2.NORM_L2SQR),
        ]
    )


def features(sums: NDArray[np.float64], pixels: int) -> dict[str, float]:
    """Sharpness of a frame of ``pixels`` pixels, from the sums of its strips.

    ``laplacian_var`` is the variance of the 4-neighbour Laplacian (Pech-Pacheco et al., "Diatom autofocusing
    in brightfield microscopy", ICPR 2000); ``gradient_mean`` and ``gradient_std`` describe the magnitude of
    the 3x3 Sobel gradient. Gray levels, as in the original, whose definitions were sound; only the luma they
    are taken from differs. They depend on the resolution of the frame.
    """
    laplacian, laplacian_square, gradient, gradient_square = (float(total) / pixels for total in sums)
    return {
        "laplacian_var": standard_deviation(laplacian, laplacian_square) ** 2,
        "gradient_mean": gradient,
        "gradient_std": standard_deviation(gradient, gradient_square),
    }
