"""Read a whole video, change its frames, write it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fvc_exp.config import LimitsConfig, SamplingConfig
from fvc_exp.video.decode import Decoded, Sample, sampled_frames
from fvc_exp.video.encode import encode
from fvc_exp.video.probe import Probe

Frame = NDArray[np.uint8]
Change = Callable[[Iterator[Frame]], Iterator[Frame]]

DEFAULT_FPS = 25.0  # of a file that states no rate; only players look at it
# A file that is read whole needs no sampled frame in particular.
_ANY_FRAME = SamplingConfig(fraction=1.0, min_frames=1, max_frames=1)
_PRESET = "superfast"


@dataclass(frozen=True)
class Rewritten:
    """What was read: the source's facts, and how many of its frames could be decoded."""

    probe: Probe
    decoded: Decoded


def quarter_turns(probe: Probe) -> int:
    """Counter-clockwise quarter turns that bring the coded frames upright."""
    return round((probe.rotation or 0) / 90) % 4


def rewrite(source: Path, destination: Path, change: Change, *, limits: LimitsConfig, crf: int) -> Rewritten:
    """Write ``change`` of the good frames of a video, upright, as h264 at the source's average rate.

    ``change`` may be called more than once, each time with all frames from the start: a damaged file is read again.
    Frames are (height, width, 3) uint8 RGB; the last odd row or column is cut off, as yuv420p has even sizes.

    Raises:
        VideoError: the source cannot be opened or decoded.
    """
    reader = sampled_frames(source, _ANY_FRAME, limits)
    turns = quarter_turns(reader.probe)
    fps = reader.probe.average_rate or DEFAULT_FPS

    def consume(samples: Iterator[Sample]) -> None:
        frames = (_even(frame) for frame in change(_upright(samples, turns)))
        encode(frames, destination, fps=fps, crf=crf, preset=_PRESET)

    reader.read(consume, every_frame=True)
    if reader.decoded is None:
        raise AssertionError("read() has returned")
    return Rewritten(reader.probe, reader.decoded)


def _upright(samples: Iterator[Sample], turns: int) -> Iterator[Frame]:
    """All frames have the size of the first: some streams change theirs."""
    size: tuple[int, int] | None = None
    for sample in samples:
        frame = np.ascontiguousarray(np.rot90(sample.rgb, turns))
        size = size or (frame.shape[1], frame.shape[0])
        if (frame.shape[1], frame.shape[0]) != size:
            frame = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
        yield frame


def _even(frame: Frame) -> Frame:
    height, width = frame.shape[:2]
    return frame[: height - height % 2, : width - width % 2]
