from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from fvc_exp.errors import VideoError
from fvc_exp.video.scale import Letterbox, letterbox, scale
from tests.video.clips import LIMITS, Encoding, moving_frames, write_clip, x264

Frame = NDArray[np.uint8]


def decode(path: Path) -> list[Frame]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def gray(image: NDArray[np.generic]) -> NDArray[np.float64]:
    """Luma; colour is stored at half the resolution."""
    return image @ np.array([0.299, 0.587, 0.114])


def psnr(one: NDArray[np.generic], other: NDArray[np.generic]) -> float:
    error = np.mean((one.astype(float) - other.astype(float)) ** 2)
    return float(10 * np.log10(255**2 / error))


@pytest.mark.parametrize(
    ("size", "square", "box", "scaling"),
    [
        ((1920, 1080), 256, (0, 56, 256, 144), (False, True)),
        ((1080, 1920), 256, (56, 0, 144, 256), (False, True)),
        ((256, 256), 256, (0, 0, 256, 256), (False, False)),
        ((100, 100), 256, (0, 0, 256, 256), (True, False)),
        ((160, 120), 256, (0, 32, 256, 192), (True, False)),
        ((639, 271), 256, (0, 74, 256, 108), (False, True)),
        ((4000, 2), 64, (0, 30, 64, 2), (False, True)),
        ((2, 4000), 64, (30, 0, 2, 64), (False, True)),
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
    box, rewritten = scale(source, tmp_path / "b.mp4", 64, LIMITS)
    assert box == Letterbox(256, 144, 64, 64, 0, 14, 64, 36)
    assert (rewritten.decoded.frames_ok, rewritten.decoded.frames_corrupt) == (12, 0)
    scaled, original = decode(tmp_path / "b.mp4"), decode(source)
    assert len(scaled) == len(original) == 12
    for small, large in zip(scaled, original, strict=True):
        assert small.shape == (64, 64, 3)
        # Bars of 14 rows: a compressed edge may ring, so their last rows are left out.
        assert max(small[:12].max(), small[52:].max()) <= 16
        mean = large.reshape(36, 4, 64, 4, 3).mean((1, 3))  # the exact area mean, as the ratio is 4
        assert psnr(gray(small[14:50]), gray(mean)) > 30
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.streams.video[0].average_rate == 25


def rotated(source: Path, target: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write a display matrix (a, b, c, d) into the track header; ISO 14496-12: x' = ax + cy, y' = bx + dy."""
    content = bytearray(source.read_bytes())
    header = content.index(b"tkhd") + 4
    start = header + 4 + (32 if content[header] else 20) + 16
    a, b, c, d = (value << 16 for value in matrix)
    content[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    target.write_bytes(content)
    return target


@pytest.mark.parametrize(
    "matrix", [(0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)], ids=["90-clockwise", "180", "90-counter-clockwise"]
)
def test_rotation_of_the_container_is_applied(matrix: tuple[int, int, int, int], tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", moving_frames(3, height=64, width=128), x264("bframes=0"))
    scale(rotated(clip, tmp_path / "turned.mp4", matrix), tmp_path / "scaled.mp4", 128, LIMITS)
    coded = decode(clip)[0]
    a, b, c, d = matrix
    y, x = np.indices(coded.shape[:2])
    shown_x, shown_y = a * x + c * y, b * x + d * y
    shown_x, shown_y = shown_x - shown_x.min(), shown_y - shown_y.min()
    upright = np.zeros((shown_y.max() + 1, shown_x.max() + 1, 3), np.uint8)
    upright[shown_y, shown_x] = coded
    box = letterbox(upright.shape[1], upright.shape[0], 128)
    picture = decode(tmp_path / "scaled.mp4")[0]
    picture = picture[box.box_y : box.box_y + box.box_height, box.box_x : box.box_x + box.box_width]
    assert psnr(gray(picture), gray(upright)) > 30


@pytest.mark.parametrize(
    ("encoding", "width", "height"),
    [
        (x264(pixel_format="yuv444p"), 159, 71),
        (
            Encoding("libx265", pixel_format="yuv420p10le", options={"x265-params": "log-level=none:pools=none"}),
            160,
            120,
        ),
        (x264(pts=np.cumsum([0] + [20, 200] * 4).tolist()), 160, 120),
        (Encoding("mpeg4", ".avi"), 160, 120),
        (Encoding("libvpx-vp9", ".webm", options={"deadline": "realtime", "threads": "1"}), 160, 120),
    ],
    ids=["odd-yuv444p", "hevc-10-bit", "vfr", "avi", "webm"],
)
def test_every_kind_of_video_keeps_its_frames(encoding: Encoding, width: int, height: int, tmp_path: Path) -> None:
    source = write_clip(tmp_path / f"a{encoding.suffix}", moving_frames(9, height, width), encoding)
    box, _ = scale(source, tmp_path / "b.mp4", 64, LIMITS)
    assert (box.original_width, box.original_height) == (width, height)
    assert len(decode(tmp_path / "b.mp4")) == 9


def test_damaged_video_keeps_its_good_frames(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "a.mp4", moving_frames(60), x264("keyint=20"), faststart=True)
    content = source.read_bytes()
    source.write_bytes(content[: len(content) // 2])
    _, rewritten = scale(source, tmp_path / "b.mp4", 64, LIMITS)
    assert 10 < rewritten.decoded.frames_ok < 50
    assert rewritten.decoded.frames_corrupt > 0
    assert len(decode(tmp_path / "b.mp4")) == rewritten.decoded.frames_ok


def test_no_file_is_left_of_what_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("text")
    with pytest.raises(VideoError, match="not a video file"):
        scale(tmp_path / "a.mp4", tmp_path / "b.mp4", 64, LIMITS)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
