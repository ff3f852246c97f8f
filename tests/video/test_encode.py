import io
from collections.abc import Collection
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from fvc_exp._typing import Frame
from fvc_exp.video.encode import encode, recompress
from tests.video.clips import decode_rgb, moving_frames, psnr

HEIGHT, WIDTH = 64, 96


def encoded(frames: list[Frame], **changes: object) -> bytes:
    settings = {"fps": 25, "crf": 24, "preset": "veryfast"} | changes
    file = io.BytesIO()
    encode(frames, file, **settings)
    return file.getvalue()


def key_frames(content: bytes) -> list[int]:
    with av.open(io.BytesIO(content)) as container:
        return [index for index, frame in enumerate(container.decode(video=0)) if frame.key_frame]


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        pytest.param(25, Fraction(25), id="whole"),
        pytest.param(Fraction(30000, 1001), Fraction(30000, 1001), id="ntsc-fraction"),
        pytest.param(30000 / 1001, Fraction(30000, 1001), id="ntsc-float"),
        pytest.param(12.5, Fraction(25, 2), id="half"),
    ],
)
def test_file_is_h264_mp4_of_the_given_size_rate_and_length(tmp_path: Path, fps: Any, rate: Fraction) -> None:
    path = tmp_path / "clip.mp4"
    encode(iter(moving_frames(12, HEIGHT, WIDTH)), path, fps=fps, crf=20, preset="veryfast")
    with av.open(path) as container:
        stream = container.streams.video[0]
        assert "mp4" in container.format.name
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.height, stream.width, stream.average_rate, stream.frames) == (HEIGHT, WIDTH, rate, 12)
    assert len(decode_rgb(path)) == 12
    assert path.read_bytes() == encoded(moving_frames(12, HEIGHT, WIDTH), fps=fps, crf=20), "as an open file gets them"


def test_pictures_survive_in_order_and_colour() -> None:
    frames = [np.full((32, 48, 3), colour, np.uint8) for colour in ([200, 40, 40], [40, 200, 40], [40, 40, 200])]
    back = decode_rgb(io.BytesIO(encoded(frames, crf=5)))
    assert np.abs(np.array(back, int) - np.array(frames, int)).max() <= 6


def test_same_frames_give_the_same_bytes_on_every_run() -> None:
    frames = moving_frames(24, 144, 192)
    assert len({encoded(frames, preset="medium") for _ in range(6)}) == 1


@pytest.mark.parametrize("keyframes", [{0, 1, 7}, {3, 4, 5, 11}, range(12), ()])
def test_key_frames_are_those_asked_for_and_the_first(keyframes: Collection[int]) -> None:
    frames = moving_frames(6, HEIGHT, WIDTH) + [
        255 - frame for frame in moving_frames(6, HEIGHT, WIDTH)
    ]  # a cut that would get one
    assert key_frames(encoded(frames, keyframes=keyframes)) == sorted({0, *keyframes})
    assert encoded(frames, keyframes=keyframes) == encoded(frames, keyframes=keyframes)


def test_gop_bounds_the_distance_of_key_frames() -> None:
    assert key_frames(encoded(moving_frames(12, HEIGHT, WIDTH), gop=4)) == [0, 4, 8]
    assert key_frames(encoded(moving_frames(12, HEIGHT, WIDTH))) == [0]


def test_recompress_is_encoding_and_decoding() -> None:
    frames = moving_frames(12, HEIGHT, WIDTH)
    again = recompress(frames, fps=25, crf=24, preset="veryfast")
    np.testing.assert_array_equal(again, decode_rgb(io.BytesIO(encoded(frames))))
    assert 25 < psnr(again, frames) < 50
