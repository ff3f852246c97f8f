from __future__ import annotations

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange

from fvc_exp.video.decode import PixelReader
from tests.video.clips import moving_frames


def converted(pixel_format: str, height: int = 71, width: int = 93) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(moving_frames(1, height, width)[0], format="rgb24")
    return frame.reformat(format=pixel_format)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p", "nv12", "yuvj420p", "yuvj444p"])
def test_plane_equals_the_conversion_of_ffmpeg(pixel_format: str) -> None:
    frame = converted(pixel_format)
    assert frame.planes[0].line_size > frame.width, "rows are padded, which must not show"
    np.testing.assert_array_equal(PixelReader().luma(frame), frame.to_ndarray(format="gray"))


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1)], ids=str)
def test_smallest_frames(size: tuple[int, int]) -> None:
    frame = converted("yuv444p", *size)
    np.testing.assert_array_equal(PixelReader().luma(frame), frame.to_ndarray(format="gray"))


def test_limited_range_is_stretched() -> None:
    frame = av.VideoFrame(16, 16, "yuv420p")
    for plane, value in zip(frame.planes, (16, 128, 128), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    assert PixelReader().luma(frame).max() == 0
    frame.planes[0].update(bytes([235]) * frame.planes[0].buffer_size)
    assert PixelReader().luma(frame).min() == 255


def test_every_value_of_limited_range_is_rounded_and_clipped() -> None:
    frame = av.VideoFrame(256, 16, "yuv420p")
    assert frame.planes[0].line_size == 256
    frame.planes[0].update(bytes(range(256)) * 16)
    expected = [min(255, max(0, round((value - 16) * 255 / 219))) for value in range(256)]
    np.testing.assert_array_equal(PixelReader().luma(frame)[0], expected)


def test_full_range_is_left_alone() -> None:
    frame = av.VideoFrame(16, 16, "yuv420p")
    frame.color_range = ColorRange.JPEG
    frame.planes[0].update(bytes([16]) * frame.planes[0].buffer_size)
    assert set(PixelReader().luma(frame).ravel().tolist()) == {16}


def test_ten_bit_luma_agrees_with_eight_bit() -> None:
    eight, ten = PixelReader().luma(converted("yuv420p")), PixelReader().luma(converted("yuv420p10le"))
    assert ten.dtype == np.uint8
    assert np.abs(eight.astype(int) - ten).max() <= 2


def test_luma_outlives_the_frame() -> None:
    frame = converted("yuvj420p")
    pixels = PixelReader().luma(frame)
    before = pixels.copy()
    frame.planes[0].update(bytes(frame.planes[0].buffer_size))
    np.testing.assert_array_equal(pixels, before)


def test_rgb_order() -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 200
    frame = av.VideoFrame.from_ndarray(red, format="rgb24").reformat(format="yuv444p")
    assert np.abs(PixelReader().rgb(frame).astype(int) - red).max() <= 3
