"""Stage 3: bring a video to a square of fixed size, its aspect kept, the rest black."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from fvc_exp._typing import Frame
from fvc_exp.config.schema import LimitsConfig, SamplingConfig
from fvc_exp.video.decode import sampled_frames
from fvc_exp.video.encode import SQUARE
from fvc_exp.video.rewrite import Rewritten, rewrite, upright_pixel_aspect, upright_size

SCALE_VERSION = "2"  # change it with any change of the pixels that are written


_CRF = 18


@dataclass(frozen=True)
class Letterbox:
    """A picture in a black square, in pixels; the original size is that of the upright frame in square pixels."""

    original_width: int
    original_height: int
    scaled_width: int
    scaled_height: int
    box_x: int
    box_y: int
    box_width: int
    box_height: int

    @property
    def is_upscaled(self) -> bool:
        """The picture is enlarged."""
        return max(self.original_width, self.original_height) < self.scaled_width

    @property
    def is_downscaled(self) -> bool:
        """The picture is reduced."""
        return max(self.original_width, self.original_height) > self.scaled_width


def letterbox(width: int, height: int, size: int) -> Letterbox:
    """Fit a picture into a square of ``size``: longer side full, shorter side in proportion, centred.

    Box edges are even, so that no chroma sample mixes picture and bar.
    """
    longer = max(width, height)
    box_width, box_height = (max(2, 2 * round(size * side / longer / 2)) for side in (width, height))
    box_x, box_y = ((size - side) // 4 * 2 for side in (box_width, box_height))
    return Letterbox(width, height, size, size, box_x, box_y, box_width, box_height)


def fit_into_box(frame: Frame, box: Letterbox) -> Frame:
    """Draw a frame into its letterbox."""
    method = cv2.INTER_AREA if box.is_downscaled else cv2.INTER_CUBIC
    square = np.zeros((box.scaled_height, box.scaled_width, 3), np.uint8)
    rows, columns = slice(box.box_y, box.box_y + box.box_height), slice(box.box_x, box.box_x + box.box_width)
    square[rows, columns] = cv2.resize(frame, (box.box_width, box.box_height), interpolation=method)
    return square


def displayed_size(width: int, height: int, pixel_aspect: Fraction) -> tuple[int, int]:
    """The size in square pixels of a picture whose pixels are not: one side is stretched, none made smaller."""
    return max(width, round(width * pixel_aspect)), max(height, round(height / pixel_aspect))


def scale(
    source: Path, destination: Path, size: int, sampling: SamplingConfig, limits: LimitsConfig
) -> tuple[Letterbox, Rewritten]:
    """Write the letterboxed copy of a video; frames stay in order, at the average rate of the source.

    The frames that ``sampling`` selects from the copy are its key frames. So they are decoded without any other, and
    all have the quality of intra coding: the copy adds the same trace to each, whatever its neighbours. Read with
    another sampling the copy gives exact frames, too, only more slowly; so does, as a rule, that of a damaged source
    whose bad frames are not among the sampled ones, as the copy then has fewer frames than were counted on.

    The picture has the aspect that players show, also where pixels are not square. Raises VideoError as
    ``sampled_frames`` and ``rewrite`` do.
    """
    reader = sampled_frames(source, sampling, limits)
    aspect = upright_pixel_aspect(reader.probe)

    def draw(frames: Iterator[Frame]) -> Iterator[Frame]:
        for frame in frames:
            height, width = frame.shape[:2]
            yield fit_into_box(frame, letterbox(*displayed_size(width, height, aspect), size))

    rewritten = rewrite(reader, destination, draw, crf=_CRF, pixel_aspect=SQUARE, has_sampled_keyframes=True)
    return letterbox(*displayed_size(*upright_size(reader.probe), aspect), size), rewritten
