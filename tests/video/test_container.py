from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import pytest
from av.stream import Disposition

from fvc_exp.video.container import open_video
from tests.video.clips import LIMITS, moving_frames, write_clip, x264


@dataclass(frozen=True)
class Track:
    """A video track to write; ``width`` tells it from the others."""

    width: int
    frames: int = 10
    disposition: int = 0


DEFAULT = Disposition.default


def write_tracks(path: Path, tracks: Sequence[Track]) -> Path:
    """One file with several video tracks, the packets of all in turn."""
    packets = []
    with av.open(str(path), "w") as target:
        for number, track in enumerate(tracks):
            single = path.with_name(f"{number}.mp4")
            write_clip(single, moving_frames(track.frames, 64, track.width), x264("bframes=0"))
            with av.open(str(single)) as source:
                stream = target.add_stream_from_template(source.streams.video[0])
                stream.disposition = Disposition(track.disposition)
                for packet in source.demux(video=0):
                    if packet.size:
                        packet.stream = stream
                        packets.append(packet)
        for packet in sorted(packets, key=lambda packet: packet.pts * packet.time_base):
            target.mux(packet)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    ("tracks", "width"),
    [
        pytest.param([Track(64, disposition=DEFAULT), Track(96)], 64, id="marked and smaller"),
        pytest.param([Track(64), Track(96, disposition=DEFAULT)], 96, id="marked and second"),
        pytest.param([Track(64, disposition=DEFAULT), Track(96, disposition=DEFAULT)], 96, id="largest of the marked"),
        pytest.param([Track(64, disposition=DEFAULT), Track(64, disposition=DEFAULT)], 64, id="first of equals"),
        pytest.param([Track(160, 1, DEFAULT), Track(96)], 96, id="one frame"),
        pytest.param([Track(160, 1, DEFAULT)], 160, id="one frame alone"),
    ],
)
def test_the_track_that_players_show_is_read(suffix: str, tracks: list[Track], width: int, tmp_path: Path) -> None:
    with open_video(write_tracks(tmp_path / f"clip{suffix}", tracks), LIMITS) as (container, stream):
        assert stream.width == width
        assert sum(packet.size > 0 for packet in container.demux(stream)) == max(track.frames for track in tracks)


def test_the_largest_track_is_read_where_none_is_marked(tmp_path: Path) -> None:
    path = write_tracks(tmp_path / "clip.mkv", [Track(64), Track(96)])
    with av.open(str(path)) as container:
        marks = {bool(stream.disposition & DEFAULT) for stream in container.streams.video}
    assert marks == {False}
    with open_video(path, LIMITS) as (_, stream):
        assert stream.width == 96
