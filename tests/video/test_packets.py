from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fvc_exp.video.packets import decoding_runs, sample_indices
from tests.video.clips import LIMITS, SAMPLING, moving_frames, probe, write_clip, x264


@pytest.mark.parametrize(
    ("total", "count"),
    [(1, 1), (2, 2), (4, 4), (5, 5), (20, 5), (59, 5), (60, 6), (300, 30), (500, 50), (5000, 50)],
)
def test_sample_count(total: int, count: int) -> None:
    indices = sample_indices(total, SAMPLING)
    assert len(indices) == len(set(indices)) == count
    assert (indices[0], indices[-1]) == (0, total - 1)


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
