"""The stage-2 pixel features of a frame or of its picture area, and those that stage 4 adds."""

import cv2
import numpy as np
from numpy.typing import NDArray

from fvc_exp._typing import Frame
from fvc_exp.features import codec, filters
from fvc_exp.video.rewrite import Letterbox

BASE_NAMES = (*filters.NOISE_NAMES, *filters.DCT_NAMES, *filters.BLUR_NAMES, "boundary_inconsistency")
STAGE2_NAMES = (*BASE_NAMES, *codec.NAMES)

COLOUR_NAMES = ("color_consistency_r", "color_consistency_g", "color_consistency_b")
ADDED_NAMES = ("edge_density", "texture_uniformity", *COLOUR_NAMES, "compression_artifacts")
FLAG_NAMES = ("is_upscaled", "is_downscaled")
STAGE4_NAMES = (*STAGE2_NAMES, *ADDED_NAMES, *FLAG_NAMES)

CANNY_THRESHOLDS = (50, 150)  # of the L1 magnitude of the 3x3 Sobel gradient, in gray levels

WINDOW = 5  # pixels per side


def crop(image: Frame, box: Letterbox | None, *, to_blocks: bool = False) -> Frame:
    """The picture area of a frame; with ``to_blocks`` from the first coded 8x8 block that lies inside it."""
    if box is None:
        return image
    left, top = box.box_x, box.box_y
    right, bottom = left + box.box_width, top + box.box_height
    if not (0 <= left < right <= image.shape[1] and 0 <= top < bottom <= image.shape[0]):
        raise ValueError(f"the picture area {box} is not inside the frame of {image.shape[1]}x{image.shape[0]}")
    if to_blocks:
        left, top = -(-left // 8) * 8, -(-top // 8) * 8
    return image[top:bottom, left:right]


def stage2_pixel_features(luma: Frame, box: Letterbox | None = None) -> dict[str, float]:
    """The twelve pixel features of a frame: noise, block DCT, sharpness, blockiness. Luma 0 to 255.

    For definitions and units see ``filters``. With a ``box`` only the pixels in it count; 8x8 blocks
    stay on the grid of the frame, where the codec has them.
    """
    picture, aligned = crop(luma, box), crop(luma, box, to_blocks=True)
    border, inside = _mean_steps(aligned)
    return (
        filters.noise_features(picture)
        | filters.dct_features(aligned)
        | filters.blur_features(picture)
        | {"boundary_inconsistency": filters.step_ratio(border, inside)}
    )


def stage4_pixel_features(luma: Frame, rgb: Frame, box: Letterbox | None) -> dict[str, float]:
    """The eighteen pixel features of a scaled frame, without the letterbox bars.

    The twelve of stage 2, and:

    - ``edge_density``, share of pixels: edges by Canny's detector with thresholds 50 and 150 ("A computational approach
      to edge detection", IEEE PAMI 8(6), 1986).
    - ``texture_uniformity``, without unit: ``1 / (1 + s)`` with ``s`` the standard deviation of the local (5x5)
      standard deviation in gray levels. It is 1 where texture is the same everywhere.
    - ``color_consistency_*``, gray levels: the standard deviation of a channel. The name is the original's; a high
      value means varied colour.
    - ``compression_artifacts``, gray levels: the mean |step| at block borders less the mean inside blocks, after
      Wang, Sheikh, Bovik, ICIP 2002.

    The original includes the bars. Its uniformity is the contrast of the blurred frame. Its artifact measure looks only
    inside blocks, wraps differences of 8-bit numbers around 0 (-1 counts as 255), leaves out the last block row and
    column, and falls when blocking grows.
    """
    picture = crop(luma, box)
    border, inside = _mean_steps(crop(luma, box, to_blocks=True))
    added = (
        edge_density(picture),
        1.0 / (1.0 + spread_of_local_deviation(picture)),
        *cv2.meanStdDev(crop(rgb, box))[1][:, 0].tolist(),
        border - inside,
    )
    return stage2_pixel_features(luma, box) | dict(zip(ADDED_NAMES, added, strict=True))


def edge_density(frame: Frame) -> float:
    """Share of the pixels that Canny's detector marks."""
    return cv2.countNonZero(cv2.Canny(frame, *CANNY_THRESHOLDS)) / frame.size


def spread_of_local_deviation(frame: Frame) -> float:
    """Standard deviation over a frame's pixels of the population standard deviation of the 5x5 window around each."""
    total, squares = _window_sums(frame), _window_sums(np.square(frame, dtype=np.uint16))
    # 25 * 25 * 255^2 fits into 32 bits, and the difference, 625 variances, into the 24 of a float32.
    deviation = cv2.sqrt((WINDOW**2 * squares - total * total).astype(np.float32))
    mean, mean_square = cv2.sumElems(deviation)[0] / frame.size, cv2.norm(deviation, cv2.NORM_L2SQR) / frame.size
    return filters.standard_deviation(mean / WINDOW**2, mean_square / WINDOW**4)


def _mean_steps(frame: Frame) -> tuple[float, float]:
    """Mean step at block borders and inside blocks; both directions have the same weight."""
    across, down = filters.mean_steps(frame)
    return (across[0] + down[0]) / 2, (across[1] + down[1]) / 2


def _window_sums(values: Frame | NDArray[np.uint16]) -> NDArray[np.int32]:
    return np.asarray(cv2.boxFilter(values, cv2.CV_32S, (WINDOW, WINDOW), normalize=False), dtype=np.int32)
