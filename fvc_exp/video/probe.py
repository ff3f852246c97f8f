"""What a container says about its video, learnt from one pass over the packets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import av
import numpy as np

from fvc_exp._typing import Indices, Mask
from fvc_exp.config.schema import LimitsConfig
from fvc_exp.errors import VideoError
from fvc_exp.video.container import open_video, reraise_memory_error

# Two display steps may differ by the rounding of a container clock; Matroska counts in milliseconds.
VFR_TOLERANCE_SECONDS = 0.002
VFR_TOLERANCE_TICKS = 2

# What FFmpeg makes of the mark that MPEG-1 video stores instead of a rate (ISO/IEC 11172-2, 2.4.3.2, bit_rate).
MPEG_VARIABLE_RATE = 0x3FFFF * 400


@dataclass(frozen=True, eq=False)
class Packets:
    """The video packets in decoding order.

    ``shown`` is False where the container tells players to skip the frame. ``corrupt`` are the places of the packets
    that the container says are damaged.
    """

    pts: tuple[int | None, ...]
    keyframe: Mask
    sizes: Indices
    shown: Mask
    corrupt: tuple[int, ...] = ()

    @cached_property
    def display_pts(self) -> tuple[int, ...]:
        """Time stamps of the shown frames in display order; empty where the container stores none."""
        shown = [pts for pts, is_shown in zip(self.pts, self.shown, strict=True) if is_shown]
        if any(pts is None for pts in shown):
            return ()
        return tuple(sorted(pts for pts in shown if pts is not None))


@dataclass(frozen=True, eq=False)
class Probe:
    """Facts of a video stream; sizes in pixels as coded, rates per second, durations in seconds, None unknown.

    ``bit_rate`` is the container's value, else the packets' bits over the duration; ``stated_bit_rate`` is only the
    former. ``is_damaged`` means that the container could not be read to its end or flags broken packets.
    """

    frame_count: int
    width: int
    height: int
    average_rate: float | None
    base_rate: float | None
    bit_rate: float | None
    stated_bit_rate: int | None
    duration: float | None
    container: str
    codec: str
    is_vfr: bool
    has_b_frames: bool
    is_damaged: bool
    packets: Packets
    path: Path
    limits: LimitsConfig

    @cached_property
    def display(self) -> tuple[int, Fraction]:
        """Counter-clockwise quarter turns that bring the decoded frames upright, and then width over height of a pixel.

        As only frames carry the turns, the first use opens the file again and decodes one key frame; they are 0 if that
        fails. The aspect is 1 where nothing states it.
        """
        with open_video(self.path, self.limits) as (container, stream):
            try:
                packet = next(packet for packet in container.demux(stream) if packet.is_keyframe)
                frames = stream.decode(packet) + stream.decode(None)
            except (av.FFmpegError, StopIteration) as error:
                reraise_memory_error(error)
                frames = []
            # What the container says counts, as for players; only the decoder knows what the coded stream says.
            aspect = Fraction(stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or 1)
            turns = round(frames[0].rotation / 90) % 4 if frames else 0
            return turns, 1 / aspect if turns % 2 else aspect


def probe_video(path: Path, limits: LimitsConfig) -> Probe:
    """The facts of a video from the headers of its container and packets; nothing is decoded.

    Raises VideoError as ``open_video`` does, and with class ``no_frames`` when the stream holds no packet.
    """
    with open_video(path, limits) as (container, stream):
        packets, is_damaged = _read_packets(container.demux(stream))
        if not packets.shown.any():
            raise VideoError("no_frames", f"{path}: the video stream holds no frame")
        duration, is_vfr = _duration(stream, packets), _is_vfr(stream, packets)
        count = int(packets.shown.sum())
        stated = stream.bit_rate if stream.bit_rate not in (0, MPEG_VARIABLE_RATE) else None
        measured = 8.0 * float(packets.sizes.sum()) / duration if duration else None
        return Probe(
            frame_count=count,
            width=stream.width,
            height=stream.height,
            average_rate=_average_rate(stream, count, duration, is_vfr),
            base_rate=float(stream.base_rate) if stream.base_rate else None,
            bit_rate=float(stated) if stated else measured,
            stated_bit_rate=stated,
            duration=duration,
            container=container.format.name,
            codec=stream.codec_context.codec.canonical_name,
            is_vfr=is_vfr,
            has_b_frames=bool(stream.codec_context.has_b_frames),
            is_damaged=is_damaged,
            packets=packets,
            path=path,
            limits=limits,
        )


def _read_packets(demuxed: Iterable[av.Packet[av.VideoStream]]) -> tuple[Packets, bool]:
    facts: list[tuple[int | None, bool, int, bool, bool]] = []
    is_cut = False
    try:
        for packet in demuxed:
            if packet.size:
                facts.append((packet.pts, packet.is_keyframe, packet.size, not packet.is_discard, packet.is_corrupt))
    except av.FFmpegError as error:
        reraise_memory_error(error)
        is_cut = True
    pts, keyframe, sizes, shown, is_corrupt = zip(*facts, strict=True) if facts else [()] * 5
    corrupt = tuple(np.flatnonzero(is_corrupt).tolist())
    arrays = np.array(keyframe, bool), np.array(sizes, np.int64), np.array(shown, bool)
    return Packets(pts, *arrays, corrupt), is_cut or bool(corrupt)


def _duration(stream: av.VideoStream, packets: Packets) -> float | None:
    pts = packets.display_pts
    if len(pts) > 1 and stream.time_base:
        return float((pts[-1] - pts[0]) * stream.time_base) * len(pts) / (len(pts) - 1)
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if stream.average_rate:
        return float(packets.shown.sum() / stream.average_rate)
    return None


def _average_rate(stream: av.VideoStream, count: int, duration: float | None, is_vfr: bool) -> float | None:
    # A container's rate is exact where it is constant; where it is not, it may only be the rate that was hoped for.
    if stream.average_rate and not is_vfr:
        return float(stream.average_rate)
    return count / duration if duration else None


def _is_vfr(stream: av.VideoStream, packets: Packets) -> bool:
    steps = np.diff(packets.display_pts)
    if len(steps) == 0 or not stream.time_base:
        return False
    tolerance = max(VFR_TOLERANCE_TICKS, VFR_TOLERANCE_SECONDS / float(stream.time_base))
    return bool(steps.max() - steps.min() > tolerance)
