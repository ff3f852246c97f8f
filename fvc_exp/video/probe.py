"""Video files, perhaps damaged or hostile: opening them, and what the container and its packets say of the video."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

from fvc_exp._typing import Indices, Mask
from fvc_exp.config.schema import LimitsConfig
from fvc_exp.errors import VideoError

# Two display steps may differ by the rounding of a container clock; Matroska counts in milliseconds.
VFR_TOLERANCE_SECONDS = 0.002
VFR_TOLERANCE_TICKS = 2

# What FFmpeg makes of the mark that MPEG-1 video stores instead of a rate (ISO/IEC 11172-2, 2.4.3.2, bit_rate).
MPEG_VARIABLE_RATE = 0x3FFFF * 400

# Without the two lists a text file named .mp4 can make FFmpeg open other files or the network (ffconcat, HLS,
# concat:).
SAFE_OPEN = {
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,gif",
    "protocol_whitelist": "file",
    # Opening decodes a frame of each stream to learn its pixel format, which takes as long as all the rest of a probe.
    # The option reaches only those decoders.
    "skip_frame": "all",
}


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
        known = [pts for pts, is_shown in zip(self.pts, self.shown, strict=True) if is_shown and pts is not None]
        return tuple(sorted(known)) if len(known) == self.shown.sum() else ()


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
        counted_rate = count / duration if duration else None
        return Probe(
            frame_count=count,
            width=stream.width,
            height=stream.height,
            # A container's rate is exact where it is constant; else it may only be the rate that was hoped for.
            average_rate=float(stream.average_rate) if stream.average_rate and not is_vfr else counted_rate,
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
    return float(packets.shown.sum() / stream.average_rate) if stream.average_rate else None


def _is_vfr(stream: av.VideoStream, packets: Packets) -> bool:
    steps = np.diff(packets.display_pts)
    if len(steps) == 0 or not stream.time_base:
        return False
    return bool(steps.max() - steps.min() > max(VFR_TOLERANCE_TICKS, VFR_TOLERANCE_SECONDS / float(stream.time_base)))


@contextmanager
def open_video(path: Path, limits: LimitsConfig) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Open a local video file and the video stream that players show, set up for one decoding thread.

    Raises VideoError when the file is missing, is no video, is of a container or protocol that is not
    allowed, has no video stream, or is larger than ``limits.max_pixels`` a frame.
    """
    with _open_container(path, limits) as container:
        stream = _video_stream(path, container)
        if stream.width * stream.height > limits.max_pixels:
            size = f"{stream.width}x{stream.height} = {stream.width * stream.height} pixels"
            raise VideoError("too_large", f"{path}: a frame of {size} exceeds max_pixels {limits.max_pixels}")
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"max_pixels": str(_decoder_pixels(limits))}
        yield container, stream


def reraise_memory_error(error: Exception) -> None:
    """Running out of memory says nothing about the file, so it must not be counted as damage."""
    if isinstance(error, MemoryError):
        raise error


def _decoder_pixels(limits: LimitsConfig) -> int:
    # Decoders check the size padded to whole macroblocks or superblocks, 1920x1088 for 1920x1080.
    return limits.max_pixels + limits.max_pixels // 8 + 64 * 64


def _open_container(path: Path, limits: LimitsConfig) -> av.container.InputContainer:
    # "file:" keeps a name such as "concat:a|b" from choosing the protocol; only where nothing has that name
    # FFmpeg sees it bare.
    name = f"file:{path}" if path.exists() else str(path)
    try:
        options = SAFE_OPEN | {"max_pixels": str(_decoder_pixels(limits))}
        return av.open(name, mode="r", options=options, metadata_errors="replace")  # a title need not be UTF-8
    except (av.error.ArgumentError, av.error.ProtocolNotFoundError) as error:
        allowed = SAFE_OPEN["format_whitelist"]
        raise VideoError("refused", f"{path}: only local files of the containers {allowed} are opened") from error
    except (av.error.InvalidDataError, av.error.IsADirectoryError, av.error.EOFError) as error:
        raise VideoError("not_a_video", f"{path}: not a video file ({error.strerror})") from error
    except OSError as error:
        raise VideoError("missing", f"{path}: cannot be read ({error.strerror})") from error


def _video_stream(path: Path, container: av.container.InputContainer) -> av.VideoStream:
    """The track that a player shows: one with several frames, marked as default, and the largest of these."""
    tracks = [track for track in container.streams.video if not track.disposition & Disposition.attached_pic]
    if not tracks:
        raise VideoError("no_video_stream", f"{path}: holds no video stream")
    # PyAV leaves the context None where the codec has no decoder, which its annotations do not say.
    readable = [track for track in tracks if getattr(track, "codec_context", None) is not None]
    if not readable:
        raise VideoError("decode_failed", f"{path}: no decoder for the codec of the video stream")

    def rank(track: av.VideoStream) -> tuple[bool, bool, int]:
        return track.frames != 1, bool(track.disposition & Disposition.default), track.width * track.height

    return max(readable, key=rank)
