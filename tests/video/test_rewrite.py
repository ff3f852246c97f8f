import io
from collections.abc import Collection
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fvc_exp.video.decode import SampledFrames
from fvc_exp.video.packets import decoding_runs, sample_indices
from fvc_exp.video.rewrite import Letterbox, encode, letterbox, recompress, scale
from tests.video import clips
from tests.video.clips import LIMITS, SAMPLING, Encoding, moving_frames, probe, write_clip, x264

Frame = NDArray[np.uint8]

HEIGHT, WIDTH = 64, 96


def encoded(frames: list[Frame], **changes: object) -> bytes:
    settings = {"fps": 25, "crf": 24, "preset": "veryfast"} | changes
    file = io.BytesIO()
    encode(frames, file, **settings)
    return file.getvalue()


def key_frames(content: bytes) -> list[int]:
    with av.open(io.BytesIO(content)) as container:
        return [index for index, frame in enumerate(container.decode(video=0)) if frame.key_frame]


NTSC = Fraction(30000, 1001)


@pytest.mark.parametrize(("fps", "rate"), [(25, 25), (NTSC, NTSC), (float(NTSC), NTSC), (12.5, Fraction(25, 2))])
def test_file_is_h264_mp4_of_the_given_size_rate_and_length(fps: Any, rate: Fraction | int) -> None:
    content = encoded(moving_frames(12, HEIGHT, WIDTH), fps=fps)
    with av.open(io.BytesIO(content)) as container:
        stream = container.streams.video[0]
        assert "mp4" in container.format.name
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.height, stream.width, stream.average_rate, stream.frames) == (HEIGHT, WIDTH, rate, 12)
    assert len(clips.decode_rgb(io.BytesIO(content))) == 12


def test_pictures_survive_in_order_and_colour() -> None:
    frames = [np.full((32, 48, 3), colour, np.uint8) for colour in ([200, 40, 40], [40, 200, 40], [40, 40, 200])]
    back = clips.decode_rgb(io.BytesIO(encoded(frames, crf=5)))
    assert np.abs(np.array(back, int) - np.array(frames, int)).max() <= 6


def test_same_frames_give_the_same_bytes_on_every_run() -> None:
    assert len({encoded(moving_frames(24, 144, 192), preset="medium") for _ in range(6)}) == 1


@pytest.mark.parametrize("keyframes", [{0, 1, 7}, {3, 4, 5, 11}, range(12), ()])
def test_key_frames_are_those_asked_for_and_the_first(keyframes: Collection[int]) -> None:
    shown = moving_frames(6, HEIGHT, WIDTH)
    frames = [*shown, *(255 - frame for frame in shown)]  # a cut that would get one
    asked = [number in keyframes for number in range(12)]
    content = encoded(frames, keyframes=asked)
    assert key_frames(content) == sorted({0, *keyframes})
    assert encoded(frames, keyframes=iter(asked)) == content


def test_gop_bounds_the_distance_of_key_frames() -> None:
    assert key_frames(encoded(moving_frames(12, HEIGHT, WIDTH), gop=4)) == [0, 4, 8]
    assert key_frames(encoded(moving_frames(12, HEIGHT, WIDTH))) == [0]


def test_recompress_is_encoding_and_decoding() -> None:
    frames = moving_frames(12, HEIGHT, WIDTH)
    again = recompress(frames, fps=25, crf=24, preset="veryfast")
    np.testing.assert_array_equal(again, clips.decode_rgb(io.BytesIO(encoded(frames))))
    assert 25 < clips.psnr(again, frames) < 50


def gray(image: NDArray[np.generic]) -> NDArray[np.float64]:
    """Luma; colour is stored at half the resolution."""
    return image @ np.array([0.299, 0.587, 0.114])


@pytest.mark.parametrize(
    ("size", "square", "box", "scaling"),
    [
        ((1920, 1080), 256, (0, 56, 256, 144), (False, True)),
        ((256, 256), 256, (0, 0, 256, 256), (False, False)),
        ((639, 271), 256, (0, 74, 256, 108), (False, True)),
        ((4000, 2), 64, (0, 30, 64, 2), (False, True)),
        ((1, 1), 32, (0, 0, 32, 32), (True, False)),
    ],
)
def test_letterbox(size: tuple[int, int], square: int, box: tuple[int, ...], scaling: tuple[bool, bool]) -> None:
    found = letterbox(*size, square)
    assert found == Letterbox(*size, square, square, *box)
    assert (found.is_upscaled, found.is_downscaled) == scaling


def test_letterbox_keeps_the_aspect_and_the_centre() -> None:
    random = np.random.default_rng(0)
    for width, height in random.integers(16, 4000, (500, 2)).tolist():
        box = letterbox(width, height, 256)
        assert max(box.box_width, box.box_height) == 256
        wanted = 256 * min(width, height) / max(width, height)
        assert abs(min(box.box_width, box.box_height) - max(2, wanted)) <= 1
        assert {box.box_x % 2, box.box_y % 2, box.box_width % 2, box.box_height % 2} == {0}
        assert 0 <= 256 - box.box_width - 2 * box.box_x <= 2
        assert 0 <= 256 - box.box_height - 2 * box.box_y <= 2


def test_picture_is_the_source_made_smaller_and_bars_are_black(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "a.mp4", moving_frames(12, height=144, width=256), x264("bframes=2"))
    box, rewritten = scale(source, tmp_path / "b.mp4", 64, SAMPLING, LIMITS)
    assert box == Letterbox(256, 144, 64, 64, 0, 14, 64, 36)
    assert (rewritten.decoded.frames_ok, rewritten.decoded.frames_corrupt) == (12, 0)
    scaled, original = clips.decode_rgb(tmp_path / "b.mp4"), clips.decode_rgb(source)
    assert len(scaled) == len(original) == 12
    for small, large in zip(scaled, original, strict=True):
        assert small.shape == (64, 64, 3)
        # Bars of 14 rows: a compressed edge may ring, so their last rows are left out.
        assert max(small[:12].max(), small[52:].max()) <= 16
        mean = large.reshape(36, 4, 64, 4, 3).mean((1, 3))  # the exact area mean, as the ratio is 4
        assert clips.psnr(gray(small[14:50]), gray(mean)) > 30
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.streams.video[0].average_rate == 25


@pytest.mark.parametrize(
    "matrix", [(0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)], ids=["90-clockwise", "180", "90-counter-clockwise"]
)
def test_rotation_of_the_container_is_applied(matrix: tuple[int, int, int, int], tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", moving_frames(3, height=64, width=128), x264("bframes=0"))
    scale(clips.rotated(clip, tmp_path / "turned.mp4", matrix), tmp_path / "scaled.mp4", 128, SAMPLING, LIMITS)
    coded = clips.decode_rgb(clip)[0]
    a, b, c, d = matrix
    y, x = np.indices(coded.shape[:2])
    shown_x, shown_y = a * x + c * y, b * x + d * y
    shown_x, shown_y = shown_x - shown_x.min(), shown_y - shown_y.min()
    upright = np.zeros((shown_y.max() + 1, shown_x.max() + 1, 3), np.uint8)
    upright[shown_y, shown_x] = coded
    box = letterbox(upright.shape[1], upright.shape[0], 128)
    picture = clips.decode_rgb(tmp_path / "scaled.mp4")[0]
    picture = picture[box.box_y : box.box_y + box.box_height, box.box_x : box.box_x + box.box_width]
    assert clips.psnr(gray(picture), gray(upright)) > 30


def test_damaged_video_keeps_its_good_frames(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mp4", moving_frames(60), x264("keyint=20"), faststart=True)
    source = clips.cut_in_half(whole, tmp_path / "a.mp4")
    _, rewritten = scale(source, tmp_path / "b.mp4", 64, SAMPLING, LIMITS)
    assert 10 < rewritten.decoded.frames_ok < 50
    assert rewritten.decoded.frames_corrupt > 0
    assert len(clips.decode_rgb(tmp_path / "b.mp4")) == rewritten.decoded.frames_ok


def test_only_the_sampled_frames_of_the_copy_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_clip(tmp_path / "a.mp4", moving_frames(97), x264("bframes=2"))
    scale(source, tmp_path / "b.mp4", 64, SAMPLING, LIMITS)
    other = SampledFrames(tmp_path / "b.mp4", replace(SAMPLING, fraction=0.25), LIMITS)
    read_otherwise = other.read(lambda samples: [(sample.index, sample.rgb) for sample in samples])
    reader, wanted = SampledFrames(tmp_path / "b.mp4", SAMPLING, LIMITS), sample_indices(97, SAMPLING)
    packets = reader.probe.packets
    alone = [packets.pts.index(packets.display_pts[index]) for index in wanted]
    assert decoding_runs(reader.probe, wanted) == tuple(range(packet, packet + 1) for packet in alone)
    monkeypatch.setattr(SampledFrames, "_full", lambda *_, **__: pytest.fail("decoded in full"))
    found = reader.read(lambda samples: {sample.index: sample.rgb for sample in samples})
    full = clips.decode_rgb(tmp_path / "b.mp4")
    assert tuple(found) == wanted
    for index, frame in [*found.items(), *read_otherwise]:
        np.testing.assert_array_equal(frame, full[index])


NARROW = Fraction(2)
ASPECTS = {
    "mp4": (x264(pixel_aspect=NARROW), False),
    "mp4-turned": (x264(pixel_aspect=NARROW), True),  # the rotation is written into an mp4 header
    "mkv": (x264(pixel_aspect=NARROW, suffix=".mkv"), False),  # only the coded stream says it
    "avi": (Encoding("mpeg4", ".avi", pixel_aspect=NARROW), False),
}


@pytest.mark.parametrize(("encoding", "is_turned"), ASPECTS.values(), ids=ASPECTS)
def test_picture_has_the_shape_that_players_show(encoding: Encoding, is_turned: bool, tmp_path: Path) -> None:
    """A circle in square pixels, stored with half its columns, is a circle again in the copy."""
    picture = np.zeros((128, 128, 3), np.uint8)
    cv2.circle(picture, (64, 64), 40, (255, 255, 255), -1)
    stored = cv2.resize(picture, (64, 128), interpolation=cv2.INTER_AREA)
    source = write_clip(tmp_path / f"a{encoding.suffix}", [stored] * 3, encoding)
    if is_turned:
        source = clips.rotated(source, tmp_path / "turned.mp4", (0, 1, -1, 0))
    assert probe(source, LIMITS).display == ((3, Fraction(1, 2)) if is_turned else (0, 2))
    box, _ = scale(source, tmp_path / "b.mp4", 128, SAMPLING, LIMITS)
    assert box == Letterbox(128, 128, 128, 128, 0, 0, 128, 128)
    y, x = np.nonzero(gray(clips.decode_rgb(tmp_path / "b.mp4")[0]) > 128)
    assert abs(np.ptp(x) - 80) <= 2
    assert abs(np.ptp(y) - 80) <= 2
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.streams.video[0].sample_aspect_ratio in (None, 1)
