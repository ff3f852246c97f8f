"""Small clips encoded on the spot, and the limits and sampling that the video tests use."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import ArrayLike, NDArray

from fvc_exp.config.schema import LimitsConfig, SamplingConfig
from fvc_exp.video.decode import Sample
from fvc_exp.video.probe import Probe, probe_video

SAMPLING = SamplingConfig(fraction=0.1, min_frames=5, max_frames=50)
LIMITS = LimitsConfig(max_pixels=8_847_360, cpu_seconds=60, wall_seconds=60, memory_mb=1000)
# One thread and no macroblock tree: libx264 is not reproducible otherwise.
X264 = {"threads": "1", "preset": "veryfast", "crf": "23"}
X264_PARAMS = "cpu-independent=1:mbtree=0"
X265 = {"preset": "ultrafast", "x265-params": "log-level=none:pools=none:frame-threads=1:bframes=3:keyint=20"}
REALTIME = {"deadline": "realtime", "cpu-used": "8", "threads": "1"}


@dataclass(frozen=True)
class Encoding:
    """An encoder and its settings; ``suffix`` picks the container."""

    codec: str
    suffix: str = ".mp4"
    pixel_format: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    pts: Sequence[int] | None = None
    pixel_aspect: Fraction = Fraction(1)


def x264(params: str = "", **changes: object) -> Encoding:
    joined = ":".join(part for part in (X264_PARAMS, params) if part)
    return Encoding("libx264", options=X264 | {"x264-params": joined}, **changes)


HEVC_10_BIT = Encoding("libx265", pixel_format="yuv420p10le", options=X265)


def moving_frames(count: int, height: int = 120, width: int = 160, seed: int = 0) -> list[NDArray[np.uint8]]:
    """A textured scene that drifts, with fresh noise in each frame; height x width x 3, RGB."""
    random = np.random.default_rng(seed)
    scene = cv2.GaussianBlur(random.uniform(0, 255, (height + 40, width + 40, 3)), (0, 0), 2)
    scene = 128 + 4 * (scene - 128)
    frames = []
    for number in range(count):
        top, left = int(20 + 19 * np.sin(number / 5)), int(20 + 19 * np.cos(number / 7))
        view = scene[top : top + height, left : left + width] + random.normal(0, 3, (height, width, 1))
        frames.append(np.clip(view, 0, 255).astype(np.uint8))
    return frames


def write_clip(
    path: Path, frames: Sequence[NDArray[np.uint8]], encoding: Encoding | None = None, *, faststart: bool = False
) -> Path:
    """Encode RGB frames at 25 frames a second, or at ``encoding.pts`` in milliseconds."""
    encoding = encoding or x264()
    with av.open(str(path), "w", options={"movflags": "+faststart"} if faststart else {}) as container:
        stream = container.add_stream(encoding.codec, rate=25, options=encoding.options)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = encoding.pixel_format
        stream.codec_context.sample_aspect_ratio = encoding.pixel_aspect
        if encoding.pts is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=encoding.pixel_format)
            if encoding.pts is not None:
                frame.pts, frame.time_base = encoding.pts[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path) -> Path:
    """A file with an audio stream only."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        for number in range(10):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44100, number * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def cut_in_half(source: Path, target: Path) -> Path:
    """The first half of a file's bytes."""
    content = source.read_bytes()
    target.write_bytes(content[: len(content) // 2])
    return target


def flip_bytes(source: Path, target: Path, count: int) -> Path:
    """A copy of an mp4 file in which bytes of coded pictures are changed at random."""
    content, random = bytearray(source.read_bytes()), np.random.default_rng(1)
    for position in random.integers(content.index(b"mdat") + 1000, len(content), count):
        content[position] ^= int(random.integers(1, 256))
    target.write_bytes(content)
    return target


def rotated(source: Path, target: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write a display matrix (a, b, c, d) into the track header; ISO 14496-12: x' = ax + cy, y' = bx + dy."""
    content = bytearray(source.read_bytes())
    header = content.index(b"tkhd") + 4
    start = header + 4 + (32 if content[header] else 20) + 16
    a, b, c, d = (value << 16 for value in matrix)
    content[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    target.write_bytes(content)
    return target


def repeat(source: Path, target: Path, times: int) -> Path:
    """The packets of a clip without B-frames again and again, each round beginning with a key frame."""
    with av.open(str(source)) as container, av.open(str(target), "w") as copy:
        stream = copy.add_stream_from_template(container.streams.video[0])
        packets = [packet for packet in container.demux(video=0) if packet.size]
        step = sum(packet.duration or 0 for packet in packets)
        for number in range(times):
            for packet in packets:
                again = av.Packet(bytes(packet))
                again.stream, again.time_base, again.is_keyframe = stream, packet.time_base, packet.is_keyframe
                again.pts, again.dts = packet.pts + number * step, packet.dts + number * step
                copy.mux(again)
    return target


def probe(path: Path, limits: LimitsConfig = LIMITS) -> Probe:
    """What the container of a video says about it."""
    return probe_video(path, limits)


def sample(frame: av.VideoFrame) -> Sample:
    """A frame as the reader hands it on."""
    return Sample(0, True, frame, VideoReformatter())


def decode_rgb(source: Path | BinaryIO) -> list[NDArray[np.uint8]]:
    """All frames, in the order in which they are shown."""
    with av.open(source) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def psnr(one: ArrayLike, other: ArrayLike) -> float:
    """Peak signal-to-noise ratio of pictures, in dB."""
    error = np.mean((np.asarray(one, np.float64) - np.asarray(other, np.float64)) ** 2)
    return float(10 * np.log10(255**2 / error))
