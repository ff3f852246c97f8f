"""Read a whole video, change its frames, write it again."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from fvc_exp._typing import Frame
from fvc_exp.config.schema import SamplingConfig
from fvc_exp.video.decode import Decoded, Sample, SampledFrames
from fvc_exp.video.encode import encode
from fvc_exp.video.probe import Probe

Change = Callable[[Iterator[Frame]], Iterator[Frame]]


DEFAULT_FPS = 25.0  # of a file that states no rate; only players look at it


# For a file that is read whole and needs no sampled frame in particular.
ANY_FRAME = SamplingConfig(fraction=1.0, min_frames=1, max_frames=1)


_PRESET = "superfast"


@dataclass(frozen=True)
class Rewritten:
    """What was read: the source's facts, and how many of its frames could be decoded."""

    probe: Probe
    decoded: Decoded


def quarter_turns(probe: Probe) -> int:
    """Counter-clockwise quarter turns that bring the coded frames upright."""
    return round((probe.rotation or 0) / 90) % 4


def upright_size(probe: Probe) -> tuple[int, int]:
    """Width and height of the upright frames in pixels as stored."""
    return (probe.height, probe.width) if quarter_turns(probe) % 2 else (probe.width, probe.height)


def upright_pixel_aspect(probe: Probe) -> Fraction:
    """Width over height of a pixel of the upright frames."""
    return 1 / probe.pixel_aspect if quarter_turns(probe) % 2 else probe.pixel_aspect


def rewrite(
    reader: SampledFrames,
    destination: Path,
    change: Change,
    *,
    crf: int,
    pixel_aspect: Fraction,
    has_sampled_keyframes: bool = False,
) -> Rewritten:
    """Write ``change`` of the good frames of a video, upright, as h264 at the source's average rate.

    ``change`` may be called more than once, each time with all frames from the start: a damaged file is read again.
    Frames are (height, width, 3) uint8 RGB; the last odd row or column is cut off, as yuv420p has even sizes.
    ``pixel_aspect`` is that of what ``change`` gives. With ``has_sampled_keyframes`` the frames that the reader samples
    become key frames, and ``change`` must keep the number and the order of frames.

    Raises:
        VideoError: the source cannot be decoded.
    """
    turns = quarter_turns(reader.probe)
    fps = reader.probe.average_rate or DEFAULT_FPS

    def consume(samples: Iterator[Sample]) -> None:
        sampled: set[int] = set()
        frames = (_even(frame) for frame in change(_upright(_noting_sampled(samples, sampled), turns)))
        keyframes = sampled if has_sampled_keyframes else None
        encode(frames, destination, fps=fps, crf=crf, preset=_PRESET, keyframes=keyframes, pixel_aspect=pixel_aspect)

    reader.read(consume, every_frame=True)
    if reader.decoded is None:
        raise AssertionError("read() has returned")
    return Rewritten(reader.probe, reader.decoded)


def _noting_sampled(samples: Iterator[Sample], sampled: set[int]) -> Iterator[Sample]:
    """Put the positions of the sampled frames among the good ones into ``sampled``, each before its frame is taken."""
    for position, sample in enumerate(samples):
        if sample.is_sampled:
            sampled.add(position)
        yield sample


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
