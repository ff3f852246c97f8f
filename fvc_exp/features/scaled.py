"""The stage-2 pixel features of a frame or of its picture area, and those that stage 4 adds."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fvc_exp._typing import Array, Frame
from fvc_exp.features import blocks, codec, filters
from fvc_exp.features.strips import Frames, padded_strips, stack_frames, standard_deviation, tall_image, without_padding
from fvc_exp.video.rewrite import Letterbox

Columns = dict[str, Array]
"""Feature values by name, one per frame."""

BASE_NAMES = (*filters.NOISE_NAMES, *blocks.DCT_NAMES, *filters.BLUR_NAMES, *blocks.BLOCK_NAMES)
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


def stage2_pixel_features(lumas: Sequence[Frame], box: Letterbox | None = None) -> Columns:
    """The twelve pixel features of frames of one size: noise, block DCT, sharpness, blockiness. Luma 0 to 255.

    One number per frame; for definitions and units see ``filters`` and ``blocks``. With a ``box`` only the pixels
    in it count; 8x8 blocks stay on the grid of the frame, where the codec has them.
    """
    pictures, aligned = _cropped(lumas, box)
    return _base_features(pictures, blocks.border_and_inside(aligned), aligned)


def stage4_pixel_features(lumas: Sequence[Frame], rgbs: Sequence[Frame], box: Letterbox | None) -> Columns:
    """The eighteen pixel features of scaled frames of one size, without the letterbox bars; one number per frame.

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
    pictures, aligned = _cropped(lumas, box)
    steps = blocks.border_and_inside(aligned)
    added = (
        edge_density(pictures),
        1.0 / (1.0 + spread_of_local_deviation(pictures)),
        *colour_deviation([crop(rgb, box) for rgb in rgbs]),
        steps[0] - steps[1],
    )
    return _base_features(pictures, steps, aligned) | dict(zip(ADDED_NAMES, added, strict=True))


def edge_density(frames: Frames) -> Array:
    """Share of the pixels that Canny's detector marks, one number per frame."""
    return np.array([cv2.countNonZero(cv2.Canny(frame, *CANNY_THRESHOLDS)) / frame.size for frame in frames])


def spread_of_local_deviation(frames: Frames) -> Array:
    """Standard deviation over a frame's pixels of the population standard deviation of the 5x5 window around each."""
    count, padding = WINDOW * WINDOW, WINDOW // 2
    sums = np.zeros((len(frames), 2))
    for strips in padded_strips(frames, padding):
        gray = tall_image(strips)
        total, variance = _window_sums(gray), _window_sums(np.square(gray, dtype=np.uint16))
        # 25 * 25 * 255^2 fits into 32 bits, and the difference, 625 variances, into the 24 of a float32.
        variance *= count
        total *= total
        variance -= total
        deviation = without_padding(cv2.sqrt(variance.astype(np.float32)), strips, padding)
        sums += [(cv2.sumElems(each)[0], cv2.norm(each, cv2.NORM_L2SQR)) for each in deviation]
    mean, mean_square = sums.T / frames[0].size
    return standard_deviation(mean / count, mean_square / count**2)


def colour_deviation(rgbs: Sequence[Frame]) -> Array:
    """Population standard deviation in gray levels, channels x frames."""
    # The L1 norm of numbers >= 0 is their sum, in half the time.
    channels = (cv2.split(rgb) for rgb in rgbs)
    sums = [[(cv2.norm(each, cv2.NORM_L1), cv2.norm(each, cv2.NORM_L2SQR)) for each in frame] for frame in channels]
    mean, mean_square = 3 * np.transpose(sums) / rgbs[0].size
    return standard_deviation(mean, mean_square)


def _cropped(lumas: Sequence[Frame], box: Letterbox | None) -> tuple[Frames, Frames]:
    """The picture areas, and those from the first whole block on."""
    pictures = stack_frames([crop(luma, box) for luma in lumas])
    if box is None or (box.box_x % 8 == 0 and box.box_y % 8 == 0):
        return pictures, pictures
    return pictures, stack_frames([crop(luma, box, to_blocks=True) for luma in lumas])


def _window_sums(values: Frame | NDArray[np.uint16]) -> NDArray[np.int32]:
    return np.asarray(cv2.boxFilter(values, cv2.CV_32S, (WINDOW, WINDOW), normalize=False), dtype=np.int32)


def _base_features(pictures: Frames, steps: tuple[Array, Array], aligned: Frames) -> Columns:
    number, pixels = len(pictures), pictures[0].size
    noise_sums, gradient_sums = np.zeros((number, 3)), np.zeros((number, 2))
    for strips in padded_strips(pictures):
        noise_sums += filters.noise_sums(strips)
        gradient_sums += filters.gradient_sums(strips)
    laplacian_sums = np.array([filters.laplacian_sums(picture) for picture in pictures])
    return (
        filters.noise_features(noise_sums, pixels)
        | blocks.dct_features(aligned)
        | filters.blur_features(laplacian_sums, gradient_sums, pixels)
        | {"boundary_inconsistency": blocks.step_ratio(*steps)}
    )
