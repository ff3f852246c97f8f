import json
from pathlib import Path

import numpy as np
import pytest
from tests.video.test_letterbox import rotated

from fvc_exp.config.canonical import write_config
from fvc_exp.errors import ArtifactError, DataError
from fvc_exp.runs.find import newest_run
from fvc_exp.runs.videos import measured_frames, run_videos
from tests.conftest import Compose
from tests.video.clips import moving_frames, write_clip, x264


def write_run(folder: Path, ended: str, state: str = "done", *, trained: bool = True) -> None:
    folder.mkdir(parents=True)
    (folder / "status.json").write_text(json.dumps({"state": state, "ended": ended}))
    if trained:
        (folder / "results.json").write_text("{}")


def test_newest_run_is_the_last_that_trained_and_is_done(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "2026-01-03T00:00:00+00:00")
    write_run(tmp_path / "b", "2026-01-01T00:00:00+00:00")
    write_run(tmp_path / "sweep" / "c", "2026-01-05T00:00:00+00:00", "failed")
    write_run(tmp_path / "d", "2026-01-06T00:00:00+00:00", trained=False)
    assert newest_run(tmp_path) == tmp_path / "a"


def test_hidden_folders_hold_no_runs(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "2026-01-01T00:00:00+00:00")
    write_run(tmp_path / ".best-x7" / "new", "2026-01-02T00:00:00+00:00")  # of a driver that was killed
    assert newest_run(tmp_path) == tmp_path / "a"


@pytest.mark.parametrize(("state", "trained"), [("failed", True), ("done", False)], ids=["failed", "video stage"])
def test_folder_without_a_finished_training_run_is_named(tmp_path: Path, state: str, trained: bool) -> None:
    write_run(tmp_path / "a", "2026-01-03T00:00:00+00:00", state, trained=trained)
    with pytest.raises(DataError, match=r"1 runs in it, but no training run that is done"):
        newest_run(tmp_path)


def test_videos_lie_where_the_run_found_them(finished_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")  # relative paths of the run are not relative to here
    videos = run_videos(finished_run)
    place = finished_run.parent.resolve()
    assert [Path(file) for file in videos["file"]] == [place / name for name in videos["video_path"]]
    assert not videos["exists"].any()  # it was trained on tables alone


def test_a_folder_without_predictions_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"predictions\.parquet: is missing"):
        run_videos(tmp_path)


def test_frames_are_those_that_are_measured(tmp_path: Path, compose_config: Compose) -> None:
    config = compose_config("video.sampling.min_frames=3", "video.sampling.max_frames=3")
    write_config(tmp_path / "config.yaml", config)
    drawn = moving_frames(9)
    frames = measured_frames(tmp_path, write_clip(tmp_path / "clip.mp4", drawn))
    assert [frame.shape for frame in frames] == [drawn[0].shape] * 3
    for frame, number in zip(frames, (0, 4, 8), strict=True):
        errors = [np.abs(frame.astype(float) - other).mean() for other in drawn]
        assert int(np.argmin(errors)) == number


def test_frames_stand_upright(tmp_path: Path, compose_config: Compose) -> None:
    write_config(tmp_path / "config.yaml", compose_config())
    clip = write_clip(tmp_path / "clip.mp4", moving_frames(3, height=64, width=128), x264("bframes=0"))
    turned = rotated(clip, tmp_path / "turned.mp4", (0, 1, -1, 0))  # by a quarter, clockwise
    for shown, coded in zip(measured_frames(tmp_path, turned), measured_frames(tmp_path, clip), strict=True):
        assert np.array_equal(shown, np.rot90(coded, -1))
