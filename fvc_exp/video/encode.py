"""Frames -> h264 in mp4: the same frames and settings give the same bytes on every run."""

import io
from collections.abc import Container, Iterable
from contextlib import nullcontext
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np

from fvc_exp._typing import Frame
from fvc_exp.io.files import atomic_file

SQUARE = Fraction(1)  # the aspect of square pixels

# libx264's macroblock tree is not reproducible from run to run, and its kernels differ from processor to processor.
_REPRODUCIBLE = {"threads": "1", "x264-params": "cpu-independent=1:mbtree=0"}
# No key frames at cuts; CAVLC in place of CABAC loses nothing, takes a tenth more space and half the time to decode.
_FOR_SAMPLING = ":scenecut=0:cabac=0"
_LARGEST_FPS_DENOMINATOR = 1001  # as in 30000/1001; a float rate is taken to mean the nearest such fraction


def encode(
    frames: Iterable[Frame],
    destination: Path | BinaryIO,
    *,
    fps: Fraction | float,
    crf: int,
    preset: str,
    gop: int | None = None,
    keyframes: Container[int] | None = None,
    pixel_aspect: Fraction = SQUARE,
) -> None:
    """Write frames, each (height, width, 3) uint8 RGB of one even size, as mp4: libx264, yuv420p, constant frame rate.

    Frames are taken one by one. A path appears whole or not at all; an open file must be seekable, and keeps what was
    written before an error. ``crf`` is libx264's constant rate factor, 0 (lossless) to 51, and ``gop`` the largest
    distance of two key frames; None leaves it to libx264. ``pixel_aspect`` is the width over the height of a pixel.

    ``keyframes`` is for files that are read by sampling: the numbers of frames, from 0, that become key frames. Besides
    these only the first frame does, and what ``gop`` adds, but no cut in the picture. It is asked for a number when
    that frame has been taken.
    """
    iterator = iter(frames)
    first = next(iterator)
    rate = Fraction(fps).limit_denominator(_LARGEST_FPS_DENOMINATOR)
    options = _REPRODUCIBLE | {"preset": preset, "crf": str(crf)}
    if keyframes is not None:
        options["x264-params"] += _FOR_SAMPLING
    opened = atomic_file(destination) if isinstance(destination, Path) else nullcontext(destination)
    with opened as file, av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p"
        if pixel_aspect != SQUARE:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        if gop is not None:
            stream.gop_size = gop
        for number, frame in enumerate(chain([first], iterator)):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            if keyframes is not None and number in keyframes:
                picture.pict_type = av.video.frame.PictureType.I
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def recompress(frames: Iterable[Frame], *, fps: Fraction | float, crf: int, preset: str) -> list[Frame]:
    """The frames as they look after one generation of h264 loss, encoded and decoded in memory."""
    buffer = io.BytesIO()
    encode(frames, buffer, fps=fps, crf=crf, preset=preset)
    buffer.seek(0)
    with av.open(buffer, "r") as container:
        container.streams.video[0].thread_count = 1
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)]
