"""What a container says about its video, learnt from one pass over the packets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from fvc_exp.config import LimitsConfig
from fvc_exp.errors import VideoError
from fvc_exp.video.failures import Failure

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Without the two lists a text file named .mp4 can make FFmpeg open other files or the network (ffconcat, HLS,
# concat:).
SAFE_OPEN = {
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi",
    "protocol_whitelist": "file",
    # Opening decodes a frame of each stream to learn its pixel format, which takes as long as all the rest of a probe.
    # The option reaches only those decoders.
    "skip_frame": "all",
}
# Two display steps may differ by the rounding of a container clock; Matroska counts in milliseconds.
VFR_TOLERANCE_SECONDS = 0.002
VFR_TOLERANCE_TICKS = 2


@dataclass(frozen=True, eq=False)
class Packets:
    """The video packets in decoding order.

    ``shown`` is False where the container tells players to skip the frame.
    """

    pts: tuple[int | None, ...]
    keyframe: NDArray[np.bool_]
    sizes: NDArray[np.int64]
    shown: NDArray[np.bool_]

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

    @property
    def rotation(self) -> int | None:
        """Counter-clockwise degrees by which a player turns the picture; the decoded pixels are not turned.

        As only frames carry it, the first use opens the file again and decodes one keyframe; None if that fails.
        """
        return self._keyframe.rotation if self._keyframe else None

    @property
    def pixel_format(self) -> str | None:
        """FFmpeg's name of the pixel format, found and cached as ``rotation`` is."""
        return self._keyframe.format.name if self._keyframe else None

    @cached_property
    def _keyframe(self) -> VideoFrame | None:
        with open_video(self.path, self.limits) as (container, stream):
            try:
                packet = next(packet for packet in container.demux(stream) if packet.is_keyframe)
                frames = stream.decode(packet) + stream.decode(None)
            except (FFmpegError, StopIteration) as error:
                reraise_memory_error(error)
                return None
        return frames[0] if frames else None


def failure(kind: Failure, path: Path, reason: str) -> VideoError:
    """A VideoError that names the file."""
    return VideoError(kind.value, f"{path}: {reason}")


@contextmanager
def open_video(path: Path, limits: LimitsConfig) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a local video file and its first video stream, set up for one decoding thread.

    Raises VideoError when the file is missing, is no video, is of a container or protocol that is not
    allowed, has no video stream, or is larger than ``limits.max_pixels`` a frame.
    """
    with _open_container(path, limits) as container:
        stream = _video_stream(path, container)
        if stream.width * stream.height > limits.max_pixels:
            size = f"{stream.width}x{stream.height} = {stream.width * stream.height} pixels"
            raise failure(Failure.too_large, path, f"a frame of {size} exceeds max_pixels {limits.max_pixels}")
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"max_pixels": str(_decoder_pixels(limits))}
        yield container, stream


def probe(path: Path, limits: LimitsConfig) -> Probe:
    """Read every packet header of a video once, without decoding.

    Raises VideoError as ``open_video`` does, and with class ``no_frames`` when the stream holds no packet.
    """
    with open_video(path, limits) as (container, stream):
        packets, is_damaged = _read_packets(container, stream)
        if not packets.shown.any():
            raise failure(Failure.no_frames, path, "the video stream holds no frame")
        duration = _duration(stream, packets)
        is_vfr = _is_vfr(stream, packets)
        count = int(packets.shown.sum())
        return Probe(
            frame_count=count,
            width=stream.width,
            height=stream.height,
            average_rate=_average_rate(stream, count, duration, is_vfr),
            base_rate=float(stream.base_rate) if stream.base_rate else None,
            bit_rate=_bit_rate(stream, packets, duration),
            stated_bit_rate=stream.bit_rate or None,
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


def reraise_memory_error(error: Exception) -> None:
    """Running out of memory says nothing about the file, so it must not be counted as damage."""
    if isinstance(error, MemoryError):
        raise error


def _decoder_pixels(limits: LimitsConfig) -> int:
    # Decoders check the size padded to whole macroblocks or superblocks, 1920x1088 for 1920x1080.
    return limits.max_pixels + limits.max_pixels // 8 + 64 * 64


def _open_container(path: Path, limits: LimitsConfig) -> InputContainer:
    # "file:" keeps a name such as "concat:a|b" from choosing the protocol; only where nothing has that name
    # FFmpeg sees it bare.
    name = f"file:{path}" if path.exists() else str(path)
    try:
        return av.open(name, mode="r", options=SAFE_OPEN | {"max_pixels": str(_decoder_pixels(limits))})
    except (av.error.ArgumentError, av.error.ProtocolNotFoundError) as error:
        allowed = SAFE_OPEN["format_whitelist"]
        raise failure(Failure.refused, path, f"only local files of the containers {allowed} are opened") from error
    except (av.error.InvalidDataError, av.error.IsADirectoryError, av.error.EOFError) as error:
        raise failure(Failure.not_a_video, path, f"not a video file ({error.strerror})") from error
    except OSError as error:
        raise failure(Failure.missing, path, f"cannot be read ({error.strerror})") from error


def _video_stream(path: Path, container: InputContainer) -> VideoStream:
    for stream in container.streams.video:
        if stream.disposition & Disposition.attached_pic:
            continue
        # PyAV leaves the context None where the codec has no decoder, which its annotations do not say.
        if getattr(stream, "codec_context", None) is None:
            raise failure(Failure.decode_failed, path, "no decoder for the codec of the video stream")
        return stream
    raise failure(Failure.no_video_stream, path, "holds no video stream")


def _read_packets(container: InputContainer, stream: VideoStream) -> tuple[Packets, bool]:
    pts: list[int | None] = []
    keyframe: list[bool] = []
    sizes: list[int] = []
    shown: list[bool] = []
    is_damaged = False
    try:
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            pts.append(packet.pts)
            keyframe.append(packet.is_keyframe)
            sizes.append(packet.size)
            shown.append(not packet.is_discard)
            is_damaged |= packet.is_corrupt
    except FFmpegError as error:
        reraise_memory_error(error)
        is_damaged = True
    packets = Packets(tuple(pts), np.array(keyframe, bool), np.array(sizes, np.int64), np.array(shown, bool))
    return packets, is_damaged


def _duration(stream: VideoStream, packets: Packets) -> float | None:
    pts = packets.display_pts
    if len(pts) > 1 and stream.time_base:
        return float((pts[-1] - pts[0]) * stream.time_base) * len(pts) / (len(pts) - 1)
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if stream.average_rate:
        return float(packets.shown.sum() / stream.average_rate)
    return None


def _average_rate(stream: VideoStream, count: int, duration: float | None, is_vfr: bool) -> float | None:
    # A container's rate is exact where it is constant; where it is not, it may only be the rate that was hoped for.
    if stream.average_rate and not is_vfr:
        return float(stream.average_rate)
    return count / duration if duration else None


def _bit_rate(stream: VideoStream, packets: Packets, duration: float | None) -> float | None:
    if stream.bit_rate:
        return float(stream.bit_rate)
    return 8.0 * float(packets.sizes.sum()) / duration if duration else None


def _is_vfr(stream: VideoStream, packets: Packets) -> bool:
    steps = np.diff(packets.display_pts)
    if len(steps) == 0 or not stream.time_base:
        return False
    tolerance = max(VFR_TOLERANCE_TICKS, VFR_TOLERANCE_SECONDS / float(stream.time_base))
    return bool(steps.max() - steps.min() > tolerance)
