from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fvc_exp.video.probe import probe
from fvc_exp.video.sampling import decoding_runs, sample_indices
from tests.video.clips import LIMITS, SAMPLING, Encoding, moving_frames, write_clip, x264


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


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"container": "avi"}, id="container-without-time-stamps"),
        pytest.param({"is_damaged": True}, id="damaged"),
    ],
)
def test_no_runs_where_only_a_full_decode_is_exact(changes: dict[str, object], tmp_path: Path) -> None:
    facts = probe(write_clip(tmp_path / "clip.mp4", moving_frames(12)), LIMITS)
    assert decoding_runs(facts, (0, 5)) is not None
    assert decoding_runs(replace(facts, **changes), (0, 5)) is None


@pytest.mark.parametrize(
    "pts",
    [
        pytest.param((None, 1, 2, 3), id="missing"),
        pytest.param((0, 1, 1, 3), id="repeated"),
        pytest.param((0, 1, 2, 3), id="monotone-with-b-frames"),
    ],
)
def test_no_runs_for_time_stamps_that_cannot_be_right(pts: tuple[int | None, ...], tmp_path: Path) -> None:
    facts = probe(write_clip(tmp_path / "clip.mp4", moving_frames(4)), LIMITS)
    assert facts.has_b_frames
    packets = replace(facts.packets, pts=pts)
    assert decoding_runs(replace(facts, packets=packets), (0, 2)) is None


def test_avi_has_no_runs(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.avi", moving_frames(12), Encoding("mpeg4", ".avi"))
    assert decoding_runs(probe(path, LIMITS), (0, 5)) is None
