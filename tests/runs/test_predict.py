import csv
import io
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fvc_exp.config.canonical import write_config
from fvc_exp.features import FEATURE_VERSION
from fvc_exp.runs import predict as predict_module
from fvc_exp.runs.portable_model import PortableModel
from fvc_exp.runs.predict import measured_frames, predict, run_videos
from tests.conftest import SMALL_DEMO, Compose
from tests.shell import fvc, modules_of, run_process, run_py, succeeded
from tests.video.clips import moving_frames, rotated, write_clip, x264


@pytest.fixture(scope="module")
def outputs(small_demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus and three runs on it: full-size features, scaled ones too, forensic ones."""
    outputs = Path(shutil.copytree(small_demo, tmp_path_factory.mktemp("predict") / "outputs"))
    (first,) = (outputs / "runs").iterdir()
    first.rename(outputs / "stage2")
    for name in ("all", "forensic"):
        done = run_py(*SMALL_DEMO, f"outputs={outputs}", f"features={name}", f"hydra.run.dir={outputs / name}")
        assert done.returncode == 0, done.stderr
    return outputs


def videos(outputs: Path) -> Path:
    (folder,) = (outputs / "demo").glob("[!.]*")
    return folder / "videos"


@pytest.mark.parametrize("features", ["stage2", "all", "forensic"])
def test_gives_the_probabilities_that_the_run_gave(outputs: Path, features: str) -> None:
    held_out = pl.read_parquet(outputs / features / "predictions.parquet").filter(split="test")
    folder = videos(outputs).parent
    found = predict(outputs / features, [str(folder / name) for name in held_out["video_path"]])
    assert [each.probability for each in found] == pytest.approx(held_out["probability"].to_list(), abs=1e-9)
    assert [each.decision == "fake" for each in found] == [bool(value) for value in held_out["predicted"]]


def test_files_folders_and_patterns(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(videos(outputs))
    one = sorted(Path().glob("*.mp4"))[0].name
    assert [each.video for each in predict(outputs / "stage2", [one])] == [one]
    assert len(predict(outputs / "stage2", [".", one])) == 12
    assert len(predict(outputs / "stage2", ["*_fake_*.mp4"])) == 6


def test_a_bad_file_does_not_hold_up_the_others(outputs: Path, tmp_path: Path) -> None:
    good = sorted(videos(outputs).iterdir())[0]
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "linked.mp4").symlink_to(good)
    bad = ["nothing.mp4", "a\0b.mp4", "**x", "x" * 300, "\x1b[2J.mp4"]
    found = {Path(each.video).name: each for each in predict(outputs / "stage2", [*bad, str(tmp_path)])}
    assert {found[name].error_class for name in bad} == {"missing"}
    assert "\x1b" not in str(found["\x1b[2J.mp4"])
    assert found["text.mp4"].error_class == "not_a_video"
    assert found["text.mp4"].probability is None
    assert found["linked.mp4"].probability is not None


def test_warns_of_what_training_has_not_seen(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = str(min(videos(outputs).iterdir()))
    assert not [text for text in predict(outputs / "stage2", [one])[0].warnings if "version" in text]
    monkeypatch.setattr(predict_module, "FEATURE_VERSION", "99")
    warned = predict(outputs / "stage2", [one])[0].warnings
    assert warned[0] == f"feature version of the training data: {FEATURE_VERSION}; of this program: 99"
    read = PortableModel.from_json

    def narrow(content: dict[str, object], where: object) -> PortableModel:
        found = read(content, where)
        return replace(found, features=tuple(replace(each, low=-2.0, high=-1.0) for each in found.features))

    monkeypatch.setattr(PortableModel, "from_json", narrow)
    assert any("outside the training range" in text for text in predict(outputs / "stage2", [one])[0].warnings)


def test_command_prints_text_json_and_csv(outputs: Path, tmp_path: Path) -> None:
    (tmp_path / 'odd, "name"\udcff.mp4').write_text("not a video")
    arguments = ("predict", str(outputs / "stage2"), str(sorted(videos(outputs).iterdir())[0]), str(tmp_path))
    text, as_json, as_csv = fvc(*arguments), fvc(*arguments, "--json"), fvc(*arguments, "--csv")
    assert [done.returncode for done in (text, as_json, as_csv)] == [1, 1, 1]
    good, bad = json.loads(as_json.stdout)
    assert f"{good['decision']}, probability of fake {good['probability']:.3f}" in text.stdout
    assert (bad["probability"], bad["error_class"]) == (None, "not_a_video")
    rows = list(csv.DictReader(io.StringIO(as_csv.stdout)))
    assert [row["video"] for row in rows] == [good["video"], bad["video"]]
    assert float(rows[0]["probability"]) == pytest.approx(good["probability"], abs=1e-9)


def test_stderr_may_be_closed(outputs: Path) -> None:
    video = min(videos(outputs).iterdir())
    command = (sys.executable, "-m", "fvc_exp", "predict", str(outputs / "stage2"), str(video), "--json")
    done = succeeded(run_process("sh", "-c", 'exec "$@" 2>&-', "sh", *command))
    assert [each["video"] for each in json.loads(done.stdout)] == [str(video)]


def test_the_command_and_its_workers_load_no_scikit_learn(outputs: Path) -> None:
    loaded = modules_of("-m", "fvc_exp", "predict", str(outputs / "stage2"), str(min(videos(outputs).iterdir())))
    assert "numpy" in loaded
    assert not loaded & {"sklearn", "scipy", "skops", "matplotlib"}


def test_two_formats_exclude_each_other(outputs: Path) -> None:
    done = fvc("predict", outputs / "stage2", "x.mp4", "--json", "--csv")
    assert (done.returncode, "exclude each other" in done.stderr.splitlines()[-1]) == (2, True)


def test_videos_lie_where_the_run_found_them(finished_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")  # relative paths of the run are not relative to here
    videos = run_videos(finished_run)
    place = finished_run.parent.resolve()
    assert [Path(file) for file in videos["file"]] == [place / name for name in videos["video_path"]]
    assert not videos["exists"].any()  # it was trained on tables alone


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
