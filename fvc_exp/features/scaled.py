"""The stage-2 pixel features of a frame or of its picture area, and those that stage 4 adds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fvc_exp.features import blocks, blur, codec, dct, edges, noise
from fvc_exp.features.strips import haloed_strips, standard_deviation

if TYPE_CHECKING:
    from numpy.typing import NDArray

BASE_NAMES = (*noise.NAMES, *dct.NAMES, *blur.NAMES, *blocks.NAMES)
STAGE2_NAMES = (*BASE_NAMES, *codec.NAMES)
ADDED_NAMES = (
    "edge_density",
    "texture_uniformity",
    "color_consistency_r",
    "color_consistency_g",
    "color_consistency_b",
    "compression_artifacts",
)
FLAG_NAMES = ("is_upscaled", "is_downscaled")
STAGE4_NAMES = (*STAGE2_NAMES, *ADDED_NAMES, *FLAG_NAMES)
CANNY_THRESHOLDS = (50, 150)
WINDOW = 5


@dataclass(frozen=True)
class Scaling:
    """Where in its square frame the picture of a scaled video lies, in pixels, and which way scaling went."""

    box_x: int
    box_y: int
    box_width: int
    box_height: int
    is_upscaled: bool
    is_downscaled: bool


def crop(image: NDArray[np.uint8], box: Scaling | None, *, to_blocks: bool = False) -> NDArray[np.uint8]:
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


def base_features(luma: NDArray[np.uint8], box: Scaling | None = None) -> dict[str, float]:
    """The twelve pixel features of one frame: noise, block DCT, sharpness, blockiness. Luma 0 to 255.

    With a ``box`` only the pixels in it count; 8x8 blocks stay on the grid of the frame, where the codec has
    them.
    """
    aligned = crop(luma, box, to_blocks=True)
    return _base_features(crop(luma, box), blocks.border_and_inside(aligned), aligned)


def stage4_features(luma: NDArray[np.uint8], rgb: NDArray[np.uint8], box: Scaling | None) -> dict[str, float]:
    """The pixel features of one scaled frame, bars left out.

    ``edge_density`` is the share of Canny edge pixels (thresholds 50, 150). ``texture_uniformity`` is ``1 /
    (1 + s)`` with ``s`` the standard deviation of the local (5x5) standard deviation: 1 where texture is the
    same all over. ``color_consistency_*`` is the standard deviation of a channel in gray levels; the name is
    the original's, and a high value means varied colour. ``compression_artifacts`` is the blocking step in
    gray levels: the mean |step| at block borders less the mean inside blocks, by Wang, Sheikh, Bovik, ICIP
    2002.

    The original measures bars and all; its uniformity is the contrast of the blurred frame; its artifact
    measure looks only inside blocks, wraps differences of 8-bit numbers around 0 (-1 counts as 255), leaves
    out the last block row and column, and falls when blocking grows.
    """
    measured = features_but_edges(luma, rgb, box) | {"edge_density": edge_density(crop(luma, box))}
    return {name: measured[name] for name in (*BASE_NAMES, *ADDED_NAMES)}


def features_but_edges(luma: NDArray[np.uint8], rgb: NDArray[np.uint8], box: Scaling | None) -> dict[str, float]:
    """Those of ``stage4_features`` that need one frame at a time; ``EdgeDensity`` is faster with several."""
    picture, aligned = crop(luma, box), crop(luma, box, to_blocks=True)
    steps = blocks.border_and_inside(aligned)
    added = (
        1.0 / (1.0 + spread_of_local_deviation(picture)),
        *colour_deviation(crop(rgb, box)),
        steps[0] - steps[1],
    )
    return _base_features(picture, steps, aligned) | dict(zip(ADDED_NAMES[1:], added, strict=True))


class EdgeDensity:
    """The mean ``edge_density`` of frames, of which only the picture area counts."""

    def __init__(self, box: Scaling | None) -> None:
        self._box = box
        self._sizes: list[int] = []
        self._counter = edges.EdgeCounter(*CANNY_THRESHOLDS)

    def add(self, luma: NDArray[np.uint8]) -> None:
        """Take one frame."""
        picture = crop(luma, self._box)
        self._sizes.append(picture.size)
        self._counter.add(picture)

    def mean(self) -> float:
        """The mean over the frames so far, of which there must be one."""
        return float(np.mean(np.divide(self._counter.counts(), self._sizes)))


def edge_density(gray: NDArray[np.uint8]) -> float:
    """Share of the pixels that Canny's detector marks."""
    return edges.count(gray, *CANNY_THRESHOLDS) / gray.size


def spread_of_local_deviation(gray: NDArray[np.uint8]) -> float:
    """Standard deviation over the pixels of the population standard deviation of the 5x5 window around each."""
    count, halo = WINDOW * WINDOW, WINDOW // 2
    sums = np.zeros(2)
    for strip in haloed_strips(gray, halo):
        total = _window_sums(strip)[halo:-halo]
        variance = _window_sums(np.square(strip, dtype=np.uint16))[halo:-halo]
        # 25 * 25 * 255^2 fits into 32 bits, and the difference, 625 variances, into the 24 of a float32.
        variance *= count
        variance -= total * total
        deviation = cv2.sqrt(variance.astype(np.float32))
        sums += (cv2.sumElems(deviation)[0], cv2.norm(deviation, cv2.NORM_L2SQR))
    mean, mean_square = sums / gray.size
    return standard_deviation(float(mean) / count, float(mean_square) / count**2)


def colour_deviation(rgb: NDArray[np.uint8]) -> tuple[float, ...]:
    """Population standard deviation of each channel, in gray levels."""
    return tuple(
        standard_deviation(cv2.mean(channel)[0], cv2.norm(channel, cv2.NORM_L2SQR) / channel.size)
        for channel in cv2.split(rgb)
    )


def _window_sums(values: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.int32]:
    return np.asarray(cv2.boxFilter(values, cv2.CV_32S, (WINDOW, WINDOW), normalize=False), dtype=np.int32)


def _base_features(
    picture: NDArray[np.uint8], steps: tuple[float, float], aligned: NDArray[np.uint8]
) -> dict[str, float]:
    noise_sums, gradient_sums = np.zeros(3), np.zeros(2)
    for strip in haloed_strips(picture):
        noise_sums += noise.strip_sums(strip)
        gradient_sums += blur.gradient_sums(strip)
    return (
        noise.features(noise_sums, picture.size)
        | dct.features(aligned)
        | blur.features(blur.laplacian_sums(picture), gradient_sums, picture.size)
        | blocks.features(*steps)
    )
