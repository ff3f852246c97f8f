"""The packets of a video file and the frames decoded from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from fvc_exp.config.schema import LimitsConfig
from fvc_exp.video.container import open_video, reraise_memory_error
from fvc_exp.video.probe import Probe, probe_stream
from fvc_exp.video.sampling import Run

# Packets of files up to this size stay in memory between the probe and the decoding.
KEPT_BYTES = 16 * 2**20


class PacketSource:
    """A video file whose packets can be had as often as they are wanted, each time with a decoder that has seen none.

    It is probed when this is made, which raises VideoError as ``probe`` does; a small file that is read to its end
    stays open and its packets in memory, so that the first use after that reads nothing.
    """

    def __init__(self, path: Path, limits: LimitsConfig) -> None:
        self._path = path
        self._limits = limits
        self._kept: list[Packet[VideoStream]] = []
        self._stream: VideoStream | None = None
        with ExitStack() as stack:
            container, stream = stack.enter_context(open_video(path, limits))
            packets = self._keep(container.demux(stream))
            self.probe: Probe = probe_stream(container, stream, packets, path, limits)
            if self.probe.is_damaged:
                self._kept.clear()
            if self._kept:
                self._stream, self._open = stream, stack.pop_all()

    @contextmanager
    def packets(self) -> Iterator[tuple[Iterator[Packet[VideoStream]], VideoStream]]:
        """All packets in decoding order, the empty one at the end included, and the stream to decode them with."""
        stream, self._stream = self._stream, None
        if stream is None:
            with open_video(self._path, self._limits) as (container, stream):
                yield container.demux(stream), stream
            return
        kept, self._kept = self._kept, []
        with self._open:
            yield iter(kept), stream

    def _keep(self, packets: Iterable[Packet[VideoStream]]) -> Iterator[Packet[VideoStream]]:
        total = 0
        for packet in packets:
            total += packet.size
            if total <= KEPT_BYTES:
                self._kept.append(packet)
            else:
                self._kept.clear()
            yield packet


def decode_runs(source: PacketSource, runs: Sequence[Run], wanted: frozenset[int]) -> Iterator[VideoFrame]:
    """The frames of the packets in ``runs``: those with a time stamp in ``wanted`` and those they need."""
    with source.packets() as (packets, stream):
        context = stream.codec_context
        remaining = iter(runs)
        run = next(remaining)
        for position, packet in enumerate(packet for packet in packets if packet.size):
            if position < run.start:
                continue
            # Frames that nothing refers to cost their decoding only if they are wanted themselves.
            context.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
            yield from stream.decode(packet)
            if position + 1 < run.stop:
                continue
            yield from stream.decode(None)
            context.flush_buffers()
            following = next(remaining, None)
            if following is None:
                return
            run = following


def decode_all(source: PacketSource) -> Iterator[VideoFrame | None]:
    """Every frame in display order, and None for each packet that cannot be read or decoded."""
    with source.packets() as (packets, stream):
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except FFmpegError as error:
                reraise_memory_error(error)
                yield None
                return
            try:
                frames = stream.decode(packet if packet.size else None)
            except FFmpegError as error:
                reraise_memory_error(error)
                yield None
                continue
            yield from frames
