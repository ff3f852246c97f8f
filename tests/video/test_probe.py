from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition

from fvc_exp.errors import VideoError
from fvc_exp.video.decode import SampledFrames
from fvc_exp.video.probe import open_video
from tests.video.clips import LIMITS, SAMPLING, Encoding, moving_frames, probe, rotated, write_clip, x264


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("probe") / "clip.mp4", moving_frames(30))


def test_a_title_in_another_encoding_says_nothing_of_the_video(clip: Path, tmp_path: Path) -> None:
    content = clip.read_bytes()
    assert content.count(b"Lavf") == 1  # what FFmpeg writes as the encoder
    (tmp_path / "latin.mp4").write_bytes(content.replace(b"Lavf", b"L\xe9\xff."))
    assert probe(tmp_path / "latin.mp4", LIMITS).frame_count == 30


def write(folder: Path, name: str, content: bytes) -> Path:
    """A file beside a good video."""
    write_clip(folder / "victim.mp4", moving_frames(5))
    (folder / name).write_bytes(content)
    return folder / name


def write_no_frames(folder: Path) -> Path:
    content = write_clip(folder / "whole.mp4", moving_frames(10), faststart=True).read_bytes()
    return write(folder, "none.mp4", content[: content.index(b"mdat") + 4])


def concat_name(folder: Path) -> Path:
    victim = write_clip(folder / "victim.mp4", moving_frames(5))
    return Path(f"concat:{victim}|{victim}")


HLS = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nvictim.mp4\n#EXT-X-ENDLIST\n"
PICTURE = cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1].tobytes()


@pytest.mark.parametrize(
    ("make", "error_class", "message"),
    [
        pytest.param(lambda folder: folder / "no.mp4", "missing", "cannot be read", id="missing"),
        pytest.param(lambda folder: folder, "not_a_video", "not a video file", id="directory"),
        pytest.param(write_no_frames, "no_frames", "no frame", id="no-frames"),
        pytest.param(partial(write, name="list.m3u8", content=HLS), "refused", "only local files", id="hls"),
        pytest.param(concat_name, "refused", "only local files", id="concat-protocol"),
        pytest.param(partial(write, name="picture.mp4", content=PICTURE), "refused", "only local files", id="picture"),
    ],
)
def test_refuses(make: Callable[[Path], Path], error_class: str, message: str, tmp_path: Path) -> None:
    path = make(tmp_path)
    with pytest.raises(VideoError, match=message) as raised:
        probe(path, LIMITS)
    assert raised.value.error_class == error_class
    assert path.name in str(raised.value)


@pytest.mark.parametrize("limit", [160 * 120 - 1, 100], ids=["too large", "so large that the decoder refuses it"])
def test_too_large_names_both_sizes(clip: Path, limit: int) -> None:
    with pytest.raises(VideoError, match=f"160x120 = 19200 pixels exceeds max_pixels {limit}$") as raised:
        probe(clip, replace(LIMITS, max_pixels=limit))
    assert raised.value.error_class == "too_large"
    assert probe(clip, replace(LIMITS, max_pixels=160 * 120)).width == 160


def test_facts_of_a_clip(clip: Path) -> None:
    facts = probe(clip, LIMITS)
    assert (facts.frame_count, facts.width, facts.height) == (30, 160, 120)
    assert (facts.codec, facts.container) == ("h264", "mov,mp4,m4a,3gp,3g2,mj2")
    assert (facts.average_rate, facts.base_rate, facts.display) == (25.0, 25.0, (0, 1))
    assert facts.duration == pytest.approx(30 / 25)
    assert facts.has_b_frames
    assert not facts.is_vfr
    assert not facts.is_damaged
    assert facts.packets.keyframe[0]
    steps = np.diff(facts.packets.display_pts)
    assert len(facts.packets.display_pts) == 30
    assert len(set(steps.tolist())) == 1
    pts = facts.packets.pts
    assert list(pts) != sorted(p for p in pts if p is not None), "a clip with B-frames stores them out of order"
    assert facts.bit_rate == facts.stated_bit_rate
    assert facts.bit_rate == pytest.approx(facts.packets.sizes.sum() * 8 / (30 / 25), rel=0.05)


@pytest.mark.parametrize("encoding", [x264(suffix=".mkv"), Encoding("mpeg1video", ".mpg")], ids=["none", "a mark"])
def test_bit_rate_where_none_is_stated_or_only_the_mark_of_a_variable_one(encoding: Encoding, tmp_path: Path) -> None:
    facts = probe(write_clip(tmp_path / f"clip{encoding.suffix}", moving_frames(30), encoding), LIMITS)
    assert facts.stated_bit_rate is None
    assert facts.bit_rate == pytest.approx(facts.packets.sizes.sum() * 8 / (30 / 25), rel=1e-2)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_variable_rate(suffix: str, tmp_path: Path) -> None:
    pts = np.cumsum([0] + [20 if step % 2 else 200 for step in range(29)]).tolist()
    path = write_clip(tmp_path / f"vfr{suffix}", moving_frames(30), x264(pts=pts))
    facts = probe(path, LIMITS)
    assert facts.is_vfr
    assert facts.average_rate == pytest.approx(30 / (pts[-1] / 1000), rel=0.1)


def test_millisecond_clock_is_not_variable_rate(tmp_path: Path) -> None:
    pts = [round(number * 1000 / 30) for number in range(30)]
    path = write_clip(tmp_path / "cfr.mkv", moving_frames(30), x264(pts=pts))
    assert len(set(np.diff(probe(path, LIMITS).packets.display_pts).tolist())) == 2
    assert not probe(path, LIMITS).is_vfr


@pytest.mark.parametrize(("matrix", "degrees"), [((0, -1, 1, 0), 90), ((0, 1, -1, 0), -90), ((-1, 0, 0, -1), 180)])
def test_rotation(matrix: tuple[int, int, int, int], degrees: int, clip: Path, tmp_path: Path) -> None:
    path = rotated(clip, tmp_path / "rotated.mp4", matrix)
    facts = probe(path, LIMITS)
    source = SampledFrames(path, SAMPLING, LIMITS)
    source.read(lambda samples: [sample.index for sample in samples])
    assert source.decoded.rotation % 360 == 90 * facts.display[0] == degrees % 360
    assert (facts.width, facts.height) == (160, 120), "the coded size stays"


DEFAULT = Disposition.default
Track = tuple[int, int, int]  # width, which tells it from the others, number of frames, and disposition


def write_tracks(path: Path, tracks: Sequence[Track]) -> Path:
    """One file with several video tracks, the packets of all in turn."""
    packets = []
    with av.open(str(path), "w") as target:
        for width, frames, disposition in tracks:
            single = write_clip(path.with_name("single.mp4"), moving_frames(frames, 64, width), x264("bframes=0"))
            with av.open(str(single)) as source:
                stream = target.add_stream_from_template(source.streams.video[0])
                stream.disposition = Disposition(disposition)
                for packet in source.demux(video=0):
                    packet.stream = stream
                    packets += [packet] if packet.size else []
        for packet in sorted(packets, key=lambda packet: packet.pts * packet.time_base):
            target.mux(packet)
    return path


@pytest.mark.parametrize(
    ("suffix", "tracks", "width"),
    [
        pytest.param(".mp4", [(64, 9, DEFAULT), (96, 9, 0)], 64, id="marked and smaller"),
        pytest.param(".mkv", [(64, 9, 0), (96, 9, DEFAULT)], 96, id="marked and second"),
        pytest.param(".mp4", [(64, 9, DEFAULT), (96, 9, DEFAULT)], 96, id="largest of the marked"),
        pytest.param(".mkv", [(64, 9, 0), (96, 9, 0)], 96, id="none marked"),
        pytest.param(".mp4", [(160, 1, DEFAULT), (96, 9, 0)], 96, id="one frame"),
        pytest.param(".mp4", [(160, 1, DEFAULT)], 160, id="one frame alone"),
    ],
)
def test_the_track_that_players_show_is_read(suffix: str, tracks: list[Track], width: int, tmp_path: Path) -> None:
    with open_video(write_tracks(tmp_path / f"clip{suffix}", tracks), LIMITS) as (container, stream):
        assert stream.width == width
        assert sum(packet.size > 0 for packet in container.demux(stream)) == max(frames for _, frames, _ in tracks)
