from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fvc_exp.video import packets
from fvc_exp.video.container import open_video
from fvc_exp.video.decode import SampledFrames, sampled_frames
from tests.video.clips import LIMITS, SAMPLING, moving_frames, write_clip, x264


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packets") / "clip.mp4"
    return write_clip(path, moving_frames(60), x264("keyint=20"), faststart=True)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The paths opened so far, in order."""
    paths: list[Path] = []

    def counted(path: Path, *arguments: object) -> object:
        paths.append(path)
        return open_video(path, *arguments)

    monkeypatch.setattr(packets, "open_video", counted)
    return paths


def read(source: SampledFrames, *, every_frame: bool) -> list[np.ndarray]:
    return source.read(lambda samples: [sample.luma for sample in samples], every_frame=every_frame)


@pytest.mark.parametrize("every_frame", [False, True], ids=["sampled", "every-frame"])
@pytest.mark.parametrize(("kept", "times"), [(10**9, 1), (1000, 2)], ids=["kept", "too-large-to-keep"])
def test_times_opened(
    kept: int, times: int, every_frame: bool, clip: Path, opened: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packets, "KEPT_BYTES", kept)
    source = sampled_frames(clip, SAMPLING, LIMITS)
    first = read(source, every_frame=every_frame)
    assert len(opened) == times
    again = read(source, every_frame=every_frame)
    assert len(opened) == times + 1, "packets are kept for one reading"
    np.testing.assert_array_equal(first, again)


def test_packets_of_a_damaged_file_are_read_again(clip: Path, opened: list[Path], tmp_path: Path) -> None:
    content = clip.read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(content[: len(content) // 2])
    source = sampled_frames(path, SAMPLING, LIMITS)
    assert source.probe.is_damaged
    assert opened == [path]
    read(source, every_frame=False)
    assert len(opened) > 1


def test_a_source_that_is_never_read_closes_its_file(clip: Path) -> None:
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("needs /proc")
    before = len(list(descriptors.iterdir()))
    source = sampled_frames(clip, SAMPLING, LIMITS)
    assert len(list(descriptors.iterdir())) == before + 1
    del source
    assert len(list(descriptors.iterdir())) == before
