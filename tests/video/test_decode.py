from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from fvc_exp.errors import VideoError
from fvc_exp.video.decode import Sample, SampledFrames
from fvc_exp.video.packets import SeenFrame, decoding_runs, sample_indices, trusted_frames
from tests.video import clips
from tests.video.clips import LIMITS, SAMPLING, Encoding, moving_frames, write_clip, x264

VFR_PTS = np.cumsum([0] + [20 if step % 2 else 200 for step in range(59)]).tolist()
ENCODINGS = {
    "h264-b-frames": x264("bframes=3"),
    "h264-no-b-frames": x264("bframes=0"),
    "h264-short-gop": x264("keyint=8:min-keyint=8"),
    "h264-open-gop": x264("open-gop=1:keyint=12:min-keyint=12:bframes=3"),
    "h264-intra-refresh": x264("intra-refresh=1:keyint=12"),
    "h264-interlaced": x264("interlaced=1:keyint=15"),
    "h264-vfr": x264("bframes=3", pts=VFR_PTS),
    "h264-yuv444p": x264(pixel_format="yuv444p"),
    "h264-mkv": x264("bframes=3", suffix=".mkv"),
    "hevc": Encoding("libx265", options=clips.X265),
    "hevc-10-bit": clips.HEVC_10_BIT,
    "vp8-webm": Encoding("libvpx", ".webm", options={**clips.REALTIME, "auto-alt-ref": "1", "lag-in-frames": "10"}),
    "vp9-webm": Encoding("libvpx-vp9", ".webm", options=clips.REALTIME),
    "vp9-webm-hidden-frames": Encoding("libvpx-vp9", ".webm", options={"deadline": "good", "cpu-used": "5"}),
    "av1": Encoding("libsvtav1", options={"preset": "12", "svtav1-params": "lp=1:keyint=20"}),
    "mpeg4-avi": Encoding("mpeg4", ".avi"),
    "mpeg4-b-frames-avi": Encoding("mpeg4", ".avi", options={"bf": "2"}),
    "mpeg4-3gp": Encoding("mpeg4", ".3gp"),
}
OTHER_CONTAINERS = {
    **{f"h264-{suffix}": x264("bframes=3", suffix=f".{suffix}") for suffix in ("ts", "mts", "m2ts", "flv")},
    "mpeg2-mpg": Encoding("mpeg2video", ".mpg", options={"bf": "2"}),
    "mpeg1-mpeg": Encoding("mpeg1video", ".mpeg"),
    "wmv": Encoding("wmv2", ".wmv"),
    "gif": Encoding("gif", ".gif", "rgb8"),
}
ENCODINGS |= OTHER_CONTAINERS
# AVI has no time stamps, and those of the others are not relied on; intra refresh has no keyframe to start from
# without flagged frames.
FULL_DECODE_ONLY = {"mpeg4-avi", "mpeg4-b-frames-avi", "h264-intra-refresh", *OTHER_CONTAINERS}


def collect(samples: Iterator[Sample]) -> dict[int, NDArray[np.uint8]]:
    return {sample.index: sample.luma for sample in samples}


def decode_all(path: Path) -> list[NDArray[np.uint8]]:
    """Straight through with PyAV; the frames in the order in which they are shown."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_count = 1
        return [clips.sample(frame).luma for frame in container.decode(video=0)]


@pytest.fixture(scope="module", params=ENCODINGS)
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    encoding = ENCODINGS[request.param]
    path = tmp_path_factory.mktemp("clips") / f"{request.param}{encoding.suffix}"
    return write_clip(path, moving_frames(60), encoding)


def test_sampled_frames_equal_a_full_decode(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which only those do that need it."""
    if clip.stem not in FULL_DECODE_ONLY:
        monkeypatch.setattr(SampledFrames, "_full", lambda *_, **__: pytest.fail("decoded in full"))
    source = SampledFrames(clip, SAMPLING, LIMITS)
    frames, expected = source.read(collect), decode_all(clip)
    assert len(expected) == 60
    assert tuple(frames) == sample_indices(60, SAMPLING) == source.decoded.indices
    for index, frame in frames.items():
        np.testing.assert_array_equal(frame, expected[index], err_msg=f"frame {index}")
    assert source.decoded.frames_total == 60
    assert source.decoded.frames_corrupt == 0


def test_every_frame_comes_once_and_the_same_are_sampled(clip: Path) -> None:
    source = SampledFrames(clip, SAMPLING, LIMITS)
    seen = source.read(lambda samples: [(sample.index, sample.is_sampled) for sample in samples], every_frame=True)
    assert [index for index, _ in seen] == list(range(60))
    assert tuple(index for index, is_sampled in seen if is_sampled) == sample_indices(60, SAMPLING)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("damaged") / "whole.mp4"
    return write_clip(path, moving_frames(100), x264("keyint=20"), faststart=True)


def test_cut_file_uses_its_good_frames(whole: Path, tmp_path: Path) -> None:
    source = SampledFrames(clips.cut_in_half(whole, tmp_path / "cut.mp4"), SAMPLING, LIMITS)
    frames, expected = source.read(collect), decode_all(whole)
    result = source.decoded
    assert 30 <= result.frames_ok < 70
    assert result.frames_corrupt >= 1
    assert result.frames_total == result.frames_ok + result.frames_corrupt == source.probe.frame_count
    assert tuple(frames) == result.indices == sample_indices(result.frames_ok, SAMPLING)
    for index, frame in frames.items():
        np.testing.assert_array_equal(frame, expected[index], err_msg=f"frame {index}")


def test_flipped_bytes_are_counted_and_their_frames_left_out(whole: Path, tmp_path: Path) -> None:
    path = clips.flip_bytes(whole, tmp_path / "flipped.mp4", 6)
    source = SampledFrames(path, SAMPLING, LIMITS)
    frames = source.read(collect)
    with av.open(str(path)) as container:
        container.streams.video[0].thread_count = 1
        flagged = [number for number, frame in enumerate(container.decode(video=0)) if frame.is_corrupt]
    untrusted = {number for fault in flagged for number in range(fault, fault // 20 * 20 + 20)}
    assert (source.decoded.frames_corrupt, source.decoded.frames_ok) == (len(untrusted), 100 - len(untrusted))
    assert 0 < len(flagged) < len(untrusted) < 60
    assert not untrusted & set(frames)
    assert 5 <= len(frames) == len(source.decoded.indices)


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".ts"])
def test_no_frame_after_damage_differs_from_the_original(suffix: str, tmp_path: Path) -> None:
    encoding = Encoding("mpeg2video" if suffix == ".ts" else "mpeg4", suffix, options={"bf": "2"})
    path = write_clip(tmp_path / f"clip{suffix}", moving_frames(120), encoding)
    expected, content = decode_all(path), bytearray(path.read_bytes())
    for start in (len(content) // 3, len(content) * 3 // 5):
        content[start : start + 60] = np.random.default_rng(0).bytes(60)
    path.write_bytes(content)
    assert any((frame != good).any() for frame, good in zip(decode_all(path), expected, strict=False))
    source = SampledFrames(path, SAMPLING, LIMITS)
    frames = source.read(collect, every_frame=True)
    assert 5 < source.decoded.frames_corrupt < 60
    for index, frame in frames.items():
        # A lost packet moves the frames after it.
        assert any((frame == good).all() for good in expected[index : index + 3]), f"frame {index}"


# The packets of a closed group, I P B B, then of an open one whose two B-frames are shown before its key frame.
GROUPS = [(0, True), (2, False), (3, False), (1, False), (5, False), (6, False), (4, True), (7, False)]


@pytest.mark.parametrize(
    ("faulty", "trusted"),
    [((), "01234567"), ((1,), "067"), ((2,), "0367"), ((4,), "0123"), ((5,), "01236")],
    ids=["none", "P-frame", "B-frame", "key frame", "leading B-frame"],
)
def test_a_fault_reaches_what_is_decoded_from_it_on(faulty: tuple[int, ...], trusted: str) -> None:
    good = [SeenFrame(packet, is_key, is_corrupt=False) for packet, is_key in GROUPS]
    flagged = [SeenFrame(packet, is_key, is_corrupt=packet in faulty) for packet, is_key in GROUPS]
    assert trusted_frames(good, faulty) == trusted_frames(flagged, ()) == list(map(int, trusted))


def test_nothing_decodable_is_an_error(whole: Path, tmp_path: Path) -> None:
    content = bytearray(whole.read_bytes())
    start = content.index(b"mdat") + 4
    content[start:] = bytes(len(content) - start)
    path = tmp_path / "zeros.mp4"
    path.write_bytes(content)
    source = SampledFrames(path, SAMPLING, LIMITS)
    with pytest.raises(VideoError, match="no frame could be decoded") as raised:
        source.read(collect)
    assert raised.value.error_class == "decode_failed"


def test_wrong_frame_count_of_the_container_is_mended(whole: Path) -> None:
    source = SampledFrames(whole, SAMPLING, LIMITS)
    packets = replace(source.probe.packets, pts=(None,) * 100)
    source.probe = replace(source.probe, packets=packets, frame_count=120)
    assert decoding_runs(source.probe, (0,)) is None
    assert tuple(source.read(collect)) == sample_indices(100, SAMPLING)
    assert source.decoded.frames_total == 100


def converted(pixel_format: str, height: int = 71, width: int = 93) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(moving_frames(1, height, width)[0], format="rgb24")
    return frame.reformat(format=pixel_format)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p", "nv12", "yuvj420p", "yuvj444p"])
def test_plane_equals_the_conversion_of_ffmpeg(pixel_format: str) -> None:
    frame = converted(pixel_format)
    assert frame.planes[0].line_size > frame.width, "rows are padded, which must not show"
    np.testing.assert_array_equal(clips.sample(frame).luma, frame.to_ndarray(format="gray"))


def test_every_value_of_limited_range_is_rounded_and_clipped() -> None:
    frame = av.VideoFrame(256, 16, "yuv420p")
    assert frame.planes[0].line_size == 256
    frame.planes[0].update(bytes(range(256)) * 16)
    expected = [min(255, max(0, round((value - 16) * 255 / 219))) for value in range(256)]
    np.testing.assert_array_equal(clips.sample(frame).luma[0], expected)


def test_luma_outlives_the_frame() -> None:
    frame = converted("yuvj420p")
    pixels = clips.sample(frame).luma
    before = pixels.copy()
    frame.planes[0].update(bytes(frame.planes[0].buffer_size))
    np.testing.assert_array_equal(pixels, before)
