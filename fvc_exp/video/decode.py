"""Decoded frames of a video: only the sampled ones where that is exact, all of them where it is not."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, VideoReformatter

from fvc_exp._typing import Frame
from fvc_exp.config.schema import LimitsConfig, SamplingConfig
from fvc_exp.video import container, packets, probe

# Formats whose first plane is 8-bit luma, one byte per pixel.
LUMA_PLANE_FORMATS = frozenset(
    {
        *(f"yuv{sampling}p" for sampling in ("420", "422", "444", "440", "411", "410")),
        *(f"yuvj{sampling}p" for sampling in ("420", "422", "444", "440", "411")),
        *("nv12", "nv21", "nv16"),
    }
)

# ITU-R BT.601/709 limited range: black at 16, white at 235.
BLACK, WHITE = 16, 235
STRETCH = 255 / (WHITE - BLACK)


class PixelReader:
    """Turns decoded frames into arrays, with one conversion context for all frames and one thread."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def luma(self, frame: av.VideoFrame) -> Frame:
        """The luma of a frame in full range 0 to 255, height x width.

        8-bit planar formats are read from the plane itself; any other format, 10-bit among them, goes through
        FFmpeg's conversion to 8-bit gray, which gives the same values where both apply.
        """
        if frame.format.name not in LUMA_PLANE_FORMATS:
            return self._convert(frame, "gray")
        plane = frame.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        values = rows[: plane.height, : plane.width]
        if frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj"):
            # The copy detaches the pixels from the decoder's buffer, which PyAV frees with the frame.
            return values.copy()
        # Rounded and clipped to 0 and 255. No integer falls halfway, so rounding cannot differ between processors.
        return np.asarray(cv2.addWeighted(values, STRETCH, values, 0, -BLACK * STRETCH), dtype=np.uint8)

    def rgb(self, frame: av.VideoFrame) -> Frame:
        """The frame as height x width x (red, green, blue), converted by FFmpeg."""
        return self._convert(frame, "rgb24")

    def _convert(self, frame: av.VideoFrame, pixel_format: str) -> Frame:
        converted = self._reformatter.reformat(frame, format=pixel_format, threads=1)
        return np.ascontiguousarray(converted.to_ndarray(), dtype=np.uint8)


Result = TypeVar("Result")


@dataclass(frozen=True)
class Sample:
    """One decoded frame; ``index`` counts displayed frames from 0.

    ``is_sampled`` tells a frame to measure from one seen in passing.
    """

    index: int
    is_sampled: bool
    frame: av.VideoFrame
    pixels: PixelReader

    @cached_property
    def luma(self) -> Frame:
        """Luma 0 to 255, height x width."""
        return self.pixels.luma(self.frame)

    @cached_property
    def rgb(self) -> Frame:
        """Red, green, blue 0 to 255, height x width x 3."""
        return self.pixels.rgb(self.frame)


@dataclass(frozen=True)
class Decoded:
    """How many frames were decoded, and what they are.

    ``frames_total`` counts the displayed frames. ``frames_ok`` are the frames decoded without fault and
    ``frames_corrupt`` those that the decoder flagged, plus packets that it could not decode at all; a
    selective decode sees only the sampled frames, so there ``frames_ok`` is their number. Corrupt frames are
    never handed on. ``rotation`` is the counter-clockwise angle in degrees by which a player turns the picture; the
    pixels are not turned.
    """

    indices: tuple[int, ...]
    frames_total: int
    frames_ok: int
    frames_corrupt: int
    rotation: int
    pixel_format: str


class _NotExactError(Exception):
    """The selective decode cannot promise the frames that a full decode gives."""


class _ResampleError(Exception):
    """The frames to sample cannot all be used; ``good`` are the ordinals of those that can."""

    def __init__(self, good: Sequence[int]) -> None:
        super().__init__()
        self.good = good


class SampledFrames:
    """The evenly sampled frames of one video.

    The video is probed when this is made, which raises VideoError as ``probe`` does, and decoded when ``read`` is
    called. ``decoded`` is set when ``read`` returns.
    """

    decoded: Decoded

    def __init__(self, path: Path, sampling: SamplingConfig, limits: LimitsConfig) -> None:
        self.path = path
        self.sampling = sampling
        self._source = packets.PacketSource(path, limits)
        self.probe: probe.Probe = self._source.probe
        self._pixels = PixelReader()

    def read(self, consume: Callable[[Iterator[Sample]], Result], *, every_frame: bool = False) -> Result:
        """What ``consume`` makes of the frames, which reach it one at a time in display order.

        ``consume`` must exhaust its iterator and keep its state inside the call: where a fault shows up
        midway it is called again from the start, with a full decode and then with frames sampled from the
        good ones alone. ``every_frame`` hands on all good frames, sampled or not. Raises VideoError
        ``decode_failed`` if none is good.
        """
        indices = packets.sample_indices(self.probe.frame_count, self.sampling)
        runs = None if every_frame else packets.decoding_runs(self.probe, indices)
        if runs is not None:
            with suppress(_NotExactError):
                return consume(self._selective(runs, indices))
        try:
            return consume(self._full(indices, every_frame))
        except _ResampleError as fault:
            good = fault.good
        if not good:
            raise container.video_error(
                container.Failure.decode_failed, self.path, "no frame could be decoded without fault"
            )
        kept = tuple(good[position] for position in packets.sample_indices(len(good), self.sampling))
        try:
            return consume(self._full(kept, every_frame, is_resampled=True))
        except _ResampleError as fault:
            raise container.video_error(
                container.Failure.decode_failed, self.path, "decodes differently each time"
            ) from fault

    def _selective(self, runs: Sequence[packets.Run], indices: Sequence[int]) -> Iterator[Sample]:
        pending = {self.probe.packets.display_pts[index]: index for index in indices}
        facts = (0, "")
        try:
            for frame in packets.decode_runs(self._source, runs, frozenset(pending)):
                if frame.pts in pending:
                    if frame.is_corrupt:
                        raise _NotExactError
                    facts = (frame.rotation, frame.format.name)
                    yield Sample(pending.pop(frame.pts), True, frame, self._pixels)
        except av.FFmpegError as error:
            container.reraise_memory_error(error)
            raise _NotExactError from error
        if pending:
            raise _NotExactError
        self.decoded = Decoded(tuple(indices), self.probe.frame_count, len(indices), 0, *facts)

    def _full(self, indices: Sequence[int], every_frame: bool, *, is_resampled: bool = False) -> Iterator[Sample]:
        wanted = frozenset(indices)
        good: list[int] = []
        bad_frames = bad_packets = 0
        facts = (0, "")
        must_resample = False
        for frame in packets.decode_all(self._source):
            if frame is None:
                bad_packets += 1
                continue
            ordinal = len(good) + bad_frames
            if frame.is_corrupt:
                bad_frames += 1
                must_resample |= ordinal in wanted
                continue
            good.append(ordinal)
            facts = (frame.rotation, frame.format.name)
            if not must_resample and (every_frame or ordinal in wanted):
                yield Sample(ordinal, ordinal in wanted, frame, self._pixels)
        total = len(good) + bad_frames
        is_clean = bad_frames + bad_packets == 0
        if not is_resampled and total != self.probe.frame_count:
            must_resample = True
        if must_resample or not wanted.issubset(good):
            raise _ResampleError(good)
        frames_total = total if is_clean else max(total, self.probe.frame_count)
        self.decoded = Decoded(tuple(indices), frames_total, len(good), bad_frames + bad_packets, *facts)
