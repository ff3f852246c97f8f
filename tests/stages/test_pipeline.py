"""The stages through run.py, on a small corpus."""

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import SMALL_DEMO
from tests.shell import one_line, run_py
from tests.video.clips import moving_frames, write_clip


@pytest.fixture(scope="module")
def outputs(small_demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Outputs of a first run on the demo corpus: corpus, features, model."""
    return Path(shutil.copytree(small_demo, tmp_path_factory.mktemp("pipeline") / "outputs"))


def corpus(outputs: Path) -> Path:
    (folder,) = (outputs / "demo").glob("[!.]*")
    return folder


def test_first_run_makes_corpus_features_and_model(outputs: Path) -> None:
    (folder,) = (outputs / "runs").iterdir()
    results = json.loads((folder / "results.json").read_text())
    assert results["data"]["rows"] == 12
    assert len(results["data"]["features"]) + len(results["data"]["constant_features"]) == 15
    assert results["data"]["group_column"] is None  # of one upload per event no two videos are together
    assert results["notes"][0] == "column 'group' names no groups: it has a different value in every row"
    assert len(list((corpus(outputs) / "videos").glob("*.mp4"))) == 12


def test_second_run_makes_nothing_anew_and_agrees(outputs: Path, tmp_path: Path) -> None:
    made = {path: path.stat().st_mtime_ns for path in corpus(outputs).rglob("*") if path.is_file()}
    done = run_py(*SMALL_DEMO, f"outputs={outputs}", f"hydra.run.dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in corpus(outputs).rglob("*") if path.is_file()} == made
    first = next(path for path in (outputs / "runs").iterdir())
    assert (tmp_path / "metrics.json").read_bytes() == (first / "metrics.json").read_bytes()
    assert "synthetic" in done.stdout


def test_all_stages_in_order_then_all_skipped(tmp_path: Path) -> None:
    for number in range(8):
        path = tmp_path / "videos" / ("real", "fake")[number % 2] / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_clip(path, moving_frames(6, height=48, width=64, seed=number))
    data = ("data=videos", f"data.root={tmp_path / 'videos'}", f"outputs={tmp_path / 'out'}")
    few = ("cv.n_splits=2", "cv.test_size=0", "audit.permutations=0", "audit.price=false", "plots=false")
    arguments = (*data, *few, "stage=all", "features=all", "video.augmentations=1", "video.workers=1")
    first = run_py(*arguments, f"hydra.run.dir={tmp_path / 'one'}")
    assert first.returncode == 0, first.stderr
    stages = [line.split(" ")[0] for line in first.stdout.splitlines() if " done, " in line]
    assert stages == ["augment", "features", "scale", "scaled_features"]
    tables = json.loads((tmp_path / "one" / "status.json").read_text())["tables"]
    assert {name: table["done"] + table["skipped"] for name, table in tables.items()} == {
        "augmented.parquet": 16,
        "features_stage2.parquet": 16,
        "scaled_metadata.parquet": 16,
        "features_stage4.parquet": 16,
    }
    results = json.loads((tmp_path / "one" / "results.json").read_text())
    assert (results["data"]["rows"], results["data"]["groups"]) == (16, 8)
    second = run_py(*arguments, f"hydra.run.dir={tmp_path / 'two'}")
    counts = [line.split("): ")[1].split(";")[0] for line in second.stdout.splitlines() if " done, " in line]
    assert counts == ["0 done, 16 skipped, 0 failed"] * 4
    assert (tmp_path / "one" / "metrics.json").read_bytes() == (tmp_path / "two" / "metrics.json").read_bytes()


def test_skipped_files_and_kept_failures_are_named(tmp_path: Path) -> None:
    for label, name in (("real", "broken.mp4"), ("fake", "notes.vob")):
        (tmp_path / "videos" / label).mkdir(parents=True)
        (tmp_path / "videos" / label / name).write_text("this is no video")
    write_clip(tmp_path / "videos" / "fake" / "clip.ts", moving_frames(6))
    arguments = ("data=videos", "stage=features", f"data.root={tmp_path / 'videos'}", f"outputs={tmp_path / 'out'}")
    first, second = run_py(*arguments), run_py(*arguments)
    assert "videos: 1 files are skipped, as their names end in none of .3gp, .avi" in first.stdout + first.stderr
    assert "1 done, 0 skipped, 1 failed, 1 not_a_video; " in one_line(first.stdout)
    kept = "0 done, 1 skipped, 1 failed, 1 not_a_video (1 kept, video.retry_failed=true tries again); "
    assert kept in one_line(second.stdout)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stage=scaled_features"], "stage=scale writes it"),
        (["features=stage4", "data.features_stage4=null"], "set data.features_stage4=PATH"),
    ],
    ids=["order", "no place"],
)
def test_what_a_stage_lacks_is_named(tmp_path: Path, arguments: list[str], message: str) -> None:
    for label in ("real", "fake"):
        (tmp_path / "videos" / label).mkdir(parents=True)
        (tmp_path / "videos" / label / "x.mp4").touch()
    done = run_py("data=videos", f"data.root={tmp_path / 'videos'}", f"outputs={tmp_path / 'out'}", *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
