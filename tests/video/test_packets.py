from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fvc_exp.video import packets
from fvc_exp.video.container import open_video
from fvc_exp.video.decode import SampledFrames
from fvc_exp.video.packets import decoding_runs, sample_indices
from tests.video.clips import LIMITS, SAMPLING, cut_in_half, moving_frames, probe, write_clip, x264


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
    source = SampledFrames(clip, SAMPLING, LIMITS)
    first = read(source, every_frame=every_frame)
    assert len(opened) == times
    again = read(source, every_frame=every_frame)
    assert len(opened) == times + 1, "packets are kept for one reading"
    np.testing.assert_array_equal(first, again)


def test_packets_of_a_damaged_file_are_read_again(clip: Path, opened: list[Path], tmp_path: Path) -> None:
    path = cut_in_half(clip, tmp_path / "cut.mp4")
    source = SampledFrames(path, SAMPLING, LIMITS)
    assert source.probe.is_damaged
    assert opened == [path]
    read(source, every_frame=False)
    assert len(opened) > 1


def test_a_source_that_is_never_read_closes_its_file(clip: Path) -> None:
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("needs /proc")
    before = len(list(descriptors.iterdir()))
    source = SampledFrames(clip, SAMPLING, LIMITS)
    assert len(list(descriptors.iterdir())) == before + 1
    del source
    assert len(list(descriptors.iterdir())) == before


@pytest.mark.parametrize(
    ("total", "count"),
    [(1, 1), (2, 2), (4, 4), (5, 5), (20, 5), (59, 5), (60, 6), (300, 30), (500, 50), (5000, 50)],
)
def test_sample_count(total: int, count: int) -> None:
    indices = sample_indices(total, SAMPLING)
    assert len(indices) == len(set(indices)) == count
    assert (indices[0], indices[-1]) == (0, total - 1)


def test_samples_are_evenly_spread() -> None:
    steps = np.diff(sample_indices(300, SAMPLING))
    assert steps.max() - steps.min() <= 1


def test_runs_start_at_keyframes_and_skip_the_rest(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", moving_frames(60), x264("keyint=6:min-keyint=6:scenecut=0"))
    facts = probe(path, LIMITS)
    runs = decoding_runs(facts, (0, 30, 59))
    assert runs is not None
    assert all(facts.packets.keyframe[run.start] for run in runs)
    assert sum(run.stop - run.start for run in runs) <= 1 + 1 + 6


# Where only a full decode is exact, and time stamps that cannot be right.
NO_RUNS = {
    "container without time stamps": {"container": "avi"},
    "damaged": {"is_damaged": True},
    "missing": {"pts": (None, 1, 2, 3)},
    "repeated": {"pts": (0, 1, 1, 3)},
    "monotone with B-frames": {"pts": (0, 1, 2, 3)},
}


@pytest.mark.parametrize("changes", NO_RUNS.values(), ids=NO_RUNS)
def test_no_runs(changes: dict[str, Any], tmp_path: Path) -> None:
    facts = probe(write_clip(tmp_path / "clip.mp4", moving_frames(4)), LIMITS)
    assert facts.has_b_frames
    assert decoding_runs(facts, (0, 2)) is not None
    if "pts" in changes:
        changes = {"packets": replace(facts.packets, **changes)}
    assert decoding_runs(replace(facts, **changes), (0, 2)) is None
