"""Decoded frames of a video: only the sampled ones where that is exact, all of them where it is not."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TypeVar

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from fvc_exp._typing import Frame
from fvc_exp.config.schema import LimitsConfig, SamplingConfig
from fvc_exp.errors import VideoError
from fvc_exp.video import packets, probe, worker_pool

# ITU-R BT.601/709 limited range: black at 16, white at 235.
BLACK, WHITE = 16, 235

# Formats whose first plane is luma: of 8 bits, or of more in two bytes. Grey is in full range.
PLANAR_LUMA = re.compile(r"yuvj?4\d\dp|nv(?:12|21|16)|(?:yuva?4\d\dp|gray)(9|10|12|14|16)(le|be)")


@cache
def _levels_of(bits: int, is_full: bool) -> Frame:
    """The 8-bit luma of each value of deeper luma, rounded half up."""
    black, white = (0, 2**bits - 1) if is_full else (BLACK << bits - 8, WHITE << bits - 8)
    above = np.arange(2**bits) - black
    return ((2 * 255 * above + white - black) // (2 * (white - black))).clip(0, 255).astype(np.uint8)


Result = TypeVar("Result")


@dataclass(frozen=True)
class Sample:
    """One decoded frame; ``index`` counts displayed frames from 0.

    ``is_sampled`` tells a frame to measure from one seen in passing. All frames share one ``reformatter``.
    """

    index: int
    is_sampled: bool
    frame: av.VideoFrame
    reformatter: VideoReformatter

    @cached_property
    def stored(self) -> tuple[Frame, float]:
        """The 8-bit luma of a frame, height x width, and what a step of it is in gray levels of the full range.

        Planar formats are read from the plane itself, rounded once; those of 8 bits are a view, which PyAV frees with
        the frame. Any other format goes through FFmpeg's conversion to 8-bit gray, which gives the same values of 8-bit
        planes without a tag of their colours; of those with one it changes the matrix.
        """
        frame, name = self.frame, self.frame.format.name
        if (planar := PLANAR_LUMA.fullmatch(name)) is None:
            # Packed luma of more than 8 bits keeps its matrix, too.
            return self._convert("gray", matrix=Colorspace.ITU601 if frame.format.components[0].bits > 8 else None), 1.0
        bits, order = planar.groups()
        is_full = frame.color_range == ColorRange.JPEG or name.startswith(("yuvj", "gray"))
        kind, plane = np.dtype({None: "u1", "le": "<u2", "be": ">u2"}[order]), frame.planes[0]
        rows = np.frombuffer(memoryview(plane), kind).reshape(-1, plane.line_size // kind.itemsize)
        values = rows[: plane.height, : plane.width]
        if bits:
            return np.take(_levels_of(int(bits), is_full), values, mode="clip"), 1.0
        return values, 1.0 if is_full else 255 / (WHITE - BLACK)

    @cached_property
    def luma(self) -> Frame:
        """The luma of a frame in full range 0 to 255, height x width; it outlives the frame."""
        values, step = self.stored
        if step == 1:
            return values.copy()
        # Rounded and clipped to 0 and 255. No integer falls halfway, so rounding cannot differ between processors.
        return np.asarray(cv2.addWeighted(values, step, values, 0, -BLACK * step), dtype=np.uint8)

    @cached_property
    def rgb(self) -> Frame:
        """Red, green, blue 0 to 255, height x width x 3, converted by FFmpeg."""
        return self._convert("rgb24")

    def _convert(self, pixel_format: str, matrix: Colorspace | None = None) -> Frame:
        converted = self.reformatter.reformat(
            self.frame, format=pixel_format, src_colorspace=matrix, dst_colorspace=matrix, threads=1
        )
        return np.ascontiguousarray(converted.to_ndarray(), dtype=np.uint8)


@dataclass(frozen=True)
class Decoded:
    """How many frames were decoded, and what they are.

    ``frames_total`` counts the displayed frames. ``frames_ok`` are those that no fault can have reached, and
    ``frames_corrupt`` the others, from a fault up to the next key frame, plus packets that could not be decoded at
    all; a selective decode sees only the sampled frames, so there ``frames_ok`` is their number. Corrupt frames are
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
    """Not all frames can be used: raised with the ordinals of those that can, and whether all sampled ones are."""


class SampledFrames:
    """The evenly sampled frames of one video.

    The video is probed when this is made, which raises VideoError as ``probe_video`` does, and decoded when ``read``
    is called. ``decoded`` is set when ``read`` returns.
    """

    decoded: Decoded

    def __init__(self, path: Path, sampling: SamplingConfig, limits: LimitsConfig) -> None:
        self.sampling = sampling
        self.probe = probe.probe_video(path, limits)
        self._reformatter = VideoReformatter()

    def read(self, consume: Callable[[Iterator[Sample]], Result], *, every_frame: bool = False) -> Result:
        """What ``consume`` makes of the frames, which reach it one at a time in display order.

        ``consume`` must exhaust its iterator and keep its state inside the call: where a fault shows up
        midway it is called again from the start, with a full decode and then with the good frames alone.
        ``every_frame`` hands on all good frames, sampled or not. Raises VideoError ``decode_failed`` if none is good.
        """
        indices = packets.sample_indices(self.probe.frame_count, self.sampling)
        runs = None if every_frame else packets.decoding_runs(self.probe, indices)
        if runs is not None:
            self._allow_time(sum(map(len, runs)))
            with suppress(_NotExactError):
                return consume(self._selective(runs, indices))
        try:
            return consume(self._full(indices, every_frame))
        except _ResampleError as fault:
            good, has_sampled = fault.args
        if not good:
            raise VideoError("decode_failed", f"{self.probe.path}: no frame could be decoded without fault")
        if not has_sampled:
            indices = tuple(good[position] for position in packets.sample_indices(len(good), self.sampling))
        try:
            return consume(self._full(indices, every_frame, good))
        except _ResampleError as fault:
            raise VideoError("decode_failed", f"{self.probe.path}: decodes differently each time") from fault

    def _selective(self, runs: Sequence[range], indices: Sequence[int]) -> Iterator[Sample]:
        pending = {self.probe.packets.display_pts[index]: index for index in indices}
        facts = (0, "")
        try:
            for frame in packets.decode_runs(self.probe, runs, frozenset(pending)):
                if frame.is_corrupt:
                    raise _NotExactError
                if frame.pts in pending:
                    facts = (frame.rotation, frame.format.name)
                    yield Sample(pending.pop(frame.pts), True, frame, self._reformatter)
        except av.FFmpegError as error:
            probe.reraise_memory_error(error)
            raise _NotExactError from error
        if pending:
            raise _NotExactError
        self.decoded = Decoded(tuple(indices), self.probe.frame_count, len(indices), 0, *facts)

    def _full(self, indices: Sequence[int], every_frame: bool, good: Sequence[int] | None = None) -> Iterator[Sample]:
        """All frames in display order, or of a video with faults those that an earlier call found ``good``."""
        probed = self.probe.packets
        self._allow_time(len(probed.pts))
        place = {pts: packet for packet, pts in enumerate(probed.pts)}
        wanted, usable = frozenset(indices), None if good is None else frozenset(good)
        seen: list[packets.SeenFrame] = []
        lost: list[int] = []
        facts = (0, "")
        is_faulty = bool(probed.corrupt)
        for frame in packets.decode_all(self.probe):
            if isinstance(frame, int):
                lost.append(frame)
                is_faulty = True
                continue
            ordinal, counted = len(seen), len(seen) + len(lost)
            packet = counted if frame.pts is None else place.get(frame.pts, counted)
            seen.append(packets.SeenFrame(packet, bool(frame.key_frame), frame.is_corrupt))
            is_faulty |= frame.is_corrupt
            if not is_faulty if usable is None else ordinal in usable:
                facts = (frame.rotation, frame.format.name)
                if every_frame or ordinal in wanted:
                    yield Sample(ordinal, ordinal in wanted, frame, self._reformatter)
        found = packets.trusted_frames(seen, [*probed.corrupt, *lost])
        is_as_probed = len(seen) == self.probe.frame_count
        if found != good and (is_faulty or good is not None or not is_as_probed):
            raise _ResampleError(found, is_as_probed and wanted.issubset(found))
        frames_total = max(len(seen), self.probe.frame_count) if is_faulty else len(seen)
        self.decoded = Decoded(tuple(indices), frames_total, len(found), len(seen) - len(found) + len(lost), *facts)

    def _allow_time(self, frames: int) -> None:
        pixels = frames * self.probe.width * self.probe.height
        worker_pool.allow_more(self.probe.limits, pixels, int(self.probe.packets.sizes.sum()))
