"""Which frames of a video are measured, which packets must be decoded for exactly those, and the decoding itself."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from fvc_exp.config.schema import LimitsConfig, SamplingConfig
from fvc_exp.video.container import open_video, reraise_memory_error
from fvc_exp.video.probe import Probe, probe_stream

# The containers whose time stamps belong to frames; AVI has none of its own.
TIMED_CONTAINERS = frozenset({"mov", "mp4", "matroska", "webm"})

# Packets of files up to this size stay in memory between the probe and the decoding.
KEPT_BYTES = 16 * 2**20


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


class PacketSource:
    """A video file whose packets can be had as often as they are wanted, each time with a decoder that has seen none.

    It is probed when this is made, which raises VideoError as ``open_video`` and ``probe_stream`` do. A small file that
    is read to its end stays open and its packets in memory, so that the first use after that reads nothing.
    """

    def __init__(self, path: Path, limits: LimitsConfig) -> None:
        self._path = path
        self._limits = limits
        self._kept: list[av.Packet[av.VideoStream]] = []
        self._stream: av.VideoStream | None = None
        with ExitStack() as stack:
            container, stream = stack.enter_context(open_video(path, limits))
            packets = self._keep(container.demux(stream))
            self.probe: Probe = probe_stream(container, stream, packets, path, limits)
            if self.probe.is_damaged:
                self._kept.clear()
            if self._kept:
                self._stream, self._open = stream, stack.pop_all()

    @contextmanager
    def packets(self) -> Iterator[tuple[Iterator[av.Packet[av.VideoStream]], av.VideoStream]]:
        """All packets in decoding order, the empty one at the end included, and the stream to decode them with."""
        stream, self._stream = self._stream, None
        if stream is None:
            with open_video(self._path, self._limits) as (container, stream):
                yield container.demux(stream), stream
            return
        kept, self._kept = self._kept, []
        with self._open:
            yield iter(kept), stream

    def _keep(self, packets: Iterable[av.Packet[av.VideoStream]]) -> Iterator[av.Packet[av.VideoStream]]:
        total = 0
        for packet in packets:
            total += packet.size
            if total <= KEPT_BYTES:
                self._kept.append(packet)
            else:
                self._kept.clear()
            yield packet


def decode_runs(source: PacketSource, runs: Sequence[range], wanted: frozenset[int]) -> Iterator[av.VideoFrame]:
    """The frames of the packets in ``runs``: those with a time stamp in ``wanted`` and those they need."""
    with source.packets() as (packets, stream):
        context = stream.codec_context
        remaining = iter(runs)
        run = next(remaining)
        for position, packet in enumerate(packet for packet in packets if packet.size):
            if position < run.start:
                continue
            if position == run.start:
                first = packet.pts or 0
            # Frames that nothing refers to cost their decoding only if they are wanted themselves.
            context.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
            is_last = position + 1 == run.stop
            frames = stream.decode(packet) + (stream.decode(None) if is_last else [])
            # Frames that are shown before the first key frame refer to earlier ones, which are not decoded.
            yield from (frame for frame in frames if frame.pts is not None and frame.pts >= first)
            if not is_last:
                continue
            context.flush_buffers()
            following = next(remaining, None)
            if following is None:
                return
            run = following


def decode_all(source: PacketSource) -> Iterator[av.VideoFrame | int]:
    """Every frame in display order, and of each packet that cannot be read or decoded its place in decoding order."""
    with source.packets() as (packets, stream):
        position = -1
        while True:
            position += 1
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.FFmpegError as error:
                reraise_memory_error(error)
                yield position
                return
            try:
                frames = stream.decode(packet if packet.size else None)
            except av.FFmpegError as error:
                reraise_memory_error(error)
                yield position
                continue
            yield from frames
