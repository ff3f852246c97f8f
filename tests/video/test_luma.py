"""The luma of deep, tagged and full-range files against the 8-bit original that they were made of."""

from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from fvc_exp.video.decode import SampledFrames
from tests.video.clips import LIMITS, SAMPLING, Encoding, moving_frames, sample

FORMATS = {8: "yuv420p", 10: "yuv420p10le", 12: "yuv420p12le"}
X265 = {"preset": "ultrafast", "x265-params": "lossless=1:log-level=none:pools=none:frame-threads=1"}
VP9 = {"lossless": "1", "threads": "1", "cpu-used": "8", "deadline": "realtime"}
LOSSLESS = {
    **{f"ffv1-{bits}": Encoding("ffv1", ".mkv", name) for bits, name in FORMATS.items()},
    **{f"x265-{bits}": Encoding("libx265", ".mp4", name, X265) for bits, name in FORMATS.items()},
    "vp9-8": Encoding("libvpx-vp9", ".webm", options=VP9),  # PyAV's libvpx encodes no more bits
}
MATRICES = {"bt601": 6, "bt709": 1, "bt2020": 9}
RANGES = {"limited": ColorRange.MPEG, "full": ColorRange.JPEG}


def original(color_range: ColorRange) -> NDArray[np.uint8]:
    """Values of an 8-bit luma plane, in limited range all from 16 to 235."""
    grey = moving_frames(1, 64, 128)[0].mean(axis=2)
    return (grey if color_range == ColorRange.JPEG else 16 + grey * 219 / 255).round().astype(np.uint8)


def make_frame(luma: NDArray[np.uint8], pixel_format: str, color_range: ColorRange, matrix: int) -> av.VideoFrame:
    """A frame with this luma at the depth of the format (ITU-R BT.2100: limited range is shifted)."""
    frame = av.VideoFrame(luma.shape[1], luma.shape[0], pixel_format)
    depth = frame.format.components[0].bits
    kind = np.dtype(np.uint8 if depth == 8 else ">u2" if pixel_format.endswith("be") else "<u2")
    factor = (2**depth - 1) / 255 if color_range == ColorRange.JPEG else 2.0 ** (depth - 8)
    for number, plane in enumerate(frame.planes):
        colour = 2**depth * (1 + 2 * number) // 8  # which a wrong matrix mixes into the luma
        values = np.full((plane.height, plane.line_size // kind.itemsize), colour, kind)
        if number == 0:
            values[:, : plane.width] = (luma * factor).round()
        plane.update(values.tobytes())
    frame.color_range, frame.colorspace = color_range, matrix
    return frame


def luma_errors(path: Path, encoding: Encoding, color_range: ColorRange, matrix: int) -> NDArray[np.int64]:
    """Differences in grey levels of a file's luma to that of its 8-bit original."""
    luma, depth = original(color_range), av.VideoFormat(encoding.pixel_format, 16, 16).components[0].bits
    with av.open(str(path), "w") as container:
        stream = container.add_stream(encoding.codec, rate=25, options=encoding.options)
        stream.height, stream.width, stream.pix_fmt = *luma.shape, encoding.pixel_format
        stream.codec_context.color_range, stream.codec_context.colorspace = color_range, matrix
        for _ in range(3):
            container.mux(stream.encode(make_frame(luma, encoding.pixel_format, color_range, matrix)))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        assert (frame.color_range, frame.colorspace) == (color_range, matrix)
        assert frame.format.components[0].bits >= depth
    expected = sample(make_frame(luma, "yuv420p", color_range, matrix)).luma
    found = SampledFrames(path, SAMPLING, LIMITS).read(lambda samples: [each.luma for each in samples])
    return np.stack(found).astype(np.int64) - expected


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("color_range", RANGES)
@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_files_have_the_luma_of_the_original(name: str, color_range: str, matrix: str, tmp_path: Path) -> None:
    encoding = LOSSLESS[name]
    errors = luma_errors(tmp_path / f"clip{encoding.suffix}", encoding, RANGES[color_range], MATRICES[matrix])
    assert np.abs(errors).max() == 0


@pytest.mark.parametrize("pixel_format", ["gray10le", "gray12le", "yuv444p16le", "yuva420p10le", "yuv422p10be"])
def test_other_deep_formats(pixel_format: str) -> None:
    luma = original(ColorRange.JPEG)
    np.testing.assert_array_equal(sample(make_frame(luma, pixel_format, ColorRange.JPEG, 1)).luma, luma)


@pytest.mark.parametrize("pixel_format", ["p010le", "y210le"])
def test_packed_deep_formats_keep_their_matrix(pixel_format: str) -> None:
    frame = make_frame(original(ColorRange.MPEG), "yuv422p", ColorRange.MPEG, MATRICES["bt709"])
    errors = sample(frame.reformat(format=pixel_format)).luma - sample(frame).luma.astype(np.int64)
    assert np.abs(errors).mean() < 0.6
