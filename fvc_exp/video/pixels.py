"""Decoded frames as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, VideoReformatter

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Formats whose first plane is 8-bit luma, one byte a pixel.
LUMA_PLANE_FORMATS = frozenset(
    {
        *(f"yuv{sampling}p" for sampling in ("420", "422", "444", "440", "411", "410")),
        *(f"yuvj{sampling}p" for sampling in ("420", "422", "444", "440", "411")),
        *("nv12", "nv21", "nv16"),
    }
)
# ITU-R BT.601/709 limited range: black at 16, white at 235.
BLACK, WHITE = 16, 235
STRETCH = 255 / (WHITE - BLACK)


class PixelReader:
    """Turns decoded frames into arrays, with one conversion context for all frames and one thread."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def luma(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """The luma of a frame in full range 0 to 255, height x width.

        8-bit planar formats are read from the plane itself; any other format, 10-bit among them, goes through
        FFmpeg's conversion to 8-bit gray, which gives the same values where both apply.
        """
        if frame.format.name not in LUMA_PLANE_FORMATS:
            return self._convert(frame, "gray")
        plane = frame.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        values = rows[: plane.height, : plane.width]
        if frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj"):
            # The copy detaches the pixels from the decoder's buffer, which PyAV frees with the frame.
            return values.copy()
        # Rounded and clipped to 0 and 255. No integer falls halfway, so rounding cannot differ between processors.
        return np.asarray(cv2.addWeighted(values, STRETCH, values, 0, -BLACK * STRETCH), dtype=np.uint8)

    def rgb(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """The frame as height x width x (red, green, blue), converted by FFmpeg."""
        return self._convert(frame, "rgb24")

    def _convert(self, frame: VideoFrame, pixel_format: str) -> NDArray[np.uint8]:
        converted = self._reformatter.reformat(frame, format=pixel_format, threads=1)
        return np.ascontiguousarray(converted.to_ndarray(), dtype=np.uint8)
