from collections.abc import Sequence
from pathlib import Path

import av
import pytest
from av.stream import Disposition

from fvc_exp.video.container import open_video
from tests.video.clips import LIMITS, moving_frames, write_clip, x264

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
