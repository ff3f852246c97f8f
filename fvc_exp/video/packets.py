"""Which frames of a video are measured, which packets must be decoded for exactly those, and the decoding itself."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import av
import numpy as np

from fvc_exp.config.schema import SamplingConfig
from fvc_exp.video.probe import Probe, open_video, reraise_memory_error

# The containers whose time stamps belong to frames; AVI has none of its own.
TIMED_CONTAINERS = frozenset({"mov", "mp4", "matroska", "webm"})


def sample_indices(total: int, sampling: SamplingConfig) -> tuple[int, ...]:
    """Display indices of evenly spread frames, first and last included, each at most once.

    ``sampling.fraction`` of the ``total`` frames is taken, kept between ``min_frames`` and ``max_frames``; a
    video with fewer frames than that gives all it has.
    """
    count = max(sampling.min_frames, min(sampling.max_frames, int(total * sampling.fraction)))
    return tuple(np.unique(np.linspace(0, total - 1, count, dtype=np.int64)).tolist())


def decoding_runs(probe: Probe, indices: Sequence[int]) -> tuple[range, ...] | None:
    """The runs of packets, by their place in decoding order, that suffice for the frames at display ``indices``.

    Each begins with a keyframe. None where only a full decode is exact. A frame needs every packet from the keyframe
    before it, in display order, up to its own. That holds only if time stamps exist, are unique and are trustworthy:
    those of a stream with B-frames that never go back are not.
    """
    packets = probe.packets
    known = [pts for pts in packets.pts if pts is not None]
    if (
        TIMED_CONTAINERS.isdisjoint(probe.container.split(","))
        or probe.is_damaged
        or len(set(known)) != len(packets.pts)
        or (probe.has_b_frames and known == sorted(known))
    ):
        return None
    position = {pts: packet for packet, pts in enumerate(known)}
    keyframes = sorted((known[packet], packet) for packet in np.flatnonzero(packets.keyframe).tolist())
    needed: set[int] = set()
    for index in indices:
        pts = packets.display_pts[index]
        before = bisect_right(keyframes, (pts, len(known))) - 1
        if before < 0 or keyframes[before][1] > position[pts]:
            return None
        needed.update(range(keyframes[before][1], position[pts] + 1))
    places = np.array(sorted(needed))
    runs = np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)
    return tuple(range(int(run[0]), int(run[-1]) + 1) for run in runs)


@dataclass(frozen=True)
class SeenFrame:
    """What tells whether a decoded frame can be relied on; ``packet`` is the place of its packet in decoding order."""

    packet: int
    is_key: bool
    is_corrupt: bool


def trusted_frames(seen: Sequence[SeenFrame], faulty_packets: Iterable[int]) -> list[int]:
    """Places in ``seen``, all frames in display order, of those that no fault can have reached.

    A frame depends on its key frame, the last one that is shown no later, and on the packets from there to its own. It
    is trusted where none of these is faulty and none of their frames is flagged as corrupt.
    """
    faulty = {*faulty_packets, *(frame.packet for frame in seen if frame.is_corrupt)}
    packets = np.array([frame.packet for frame in seen], np.int64)
    faults_before = np.zeros(max([*faulty, *packets], default=0) + 2, np.int64)
    faults_before[[packet + 1 for packet in faulty]] = 1
    faults_before = faults_before.cumsum()
    keys = np.maximum.accumulate([frame.packet if frame.is_key else 0 for frame in seen], dtype=np.int64)
    return np.flatnonzero(faults_before[packets + 1] == faults_before[keys]).tolist()


def decode_runs(probe: Probe, runs: Sequence[range], wanted: frozenset[int]) -> Iterator[av.VideoFrame]:
    """The frames of the packets in ``runs``: those with a time stamp in ``wanted`` and those they need."""
    with open_video(probe.path, probe.limits) as (container, stream):
        context = stream.codec_context
        starts, ends = {run.start for run in runs}, {run.stop - 1 for run in runs}
        needed = {position for run in runs for position in run}
        for position, packet in enumerate(packet for packet in container.demux(stream) if packet.size):
            if position not in needed:
                continue
            if position in starts:
                first = packet.pts or 0
            # Frames that nothing refers to cost their decoding only if they are wanted themselves.
            context.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
            frames = stream.decode(packet) + (stream.decode(None) if position in ends else [])
            # Frames that are shown before the first key frame refer to earlier ones, which are not decoded.
            yield from (frame for frame in frames if frame.pts is not None and frame.pts >= first)
            if position == runs[-1][-1]:
                return
            if position in ends:
                context.flush_buffers()


def decode_all(probe: Probe) -> Iterator[av.VideoFrame | int]:
    """Every frame in display order, and of each packet that cannot be read or decoded its place in decoding order."""
    with open_video(probe.path, probe.limits) as (container, stream):
        packets = container.demux(stream)
        for position in count():
            packet = None
            try:
                packet = next(packets)
                frames = stream.decode(packet if packet.size else None)
            except StopIteration:
                return
            except av.FFmpegError as error:
                reraise_memory_error(error)
                yield position
                if packet is None:  # nothing more can be read
                    return
            else:
                yield from frames
