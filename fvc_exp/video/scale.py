"""Stage 3: bring a video to a square of fixed size, its aspect kept, the rest black."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fvc_exp.config import LimitsConfig
from fvc_exp.video.rewrite import Frame, Rewritten, quarter_turns, rewrite

SCALE_VERSION = "1"  # change it with any change of the pixels that are written
_CRF = 18


@dataclass(frozen=True)
class Letterbox:
    """A picture in a black square, all in pixels; the original size is that of the upright frame."""

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


def fit(frame: Frame, box: Letterbox) -> Frame:
    """Draw a frame into its letterbox."""
    method = cv2.INTER_AREA if box.is_downscaled else cv2.INTER_CUBIC
    square = np.zeros((box.scaled_height, box.scaled_width, 3), np.uint8)
    rows, columns = slice(box.box_y, box.box_y + box.box_height), slice(box.box_x, box.box_x + box.box_width)
    square[rows, columns] = cv2.resize(frame, (box.box_width, box.box_height), interpolation=method)
    return square


def scale(source: Path, destination: Path, size: int, limits: LimitsConfig) -> tuple[Letterbox, Rewritten]:
    """Write the letterboxed copy of a video; frames stay in order, at the average rate of the source.

    Pixels are taken as square. Raises VideoError as ``rewrite`` does.
    """

    def draw(frames: Iterator[Frame]) -> Iterator[Frame]:
        for frame in frames:
            yield fit(frame, letterbox(frame.shape[1], frame.shape[0], size))

    rewritten = rewrite(source, destination, draw, limits=limits, crf=_CRF)
    width, height = rewritten.probe.width, rewritten.probe.height
    if quarter_turns(rewritten.probe) % 2:
        width, height = height, width
    return letterbox(width, height, size), rewritten
