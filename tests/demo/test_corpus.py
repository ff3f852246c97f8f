import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import NoReturn

import av
import numpy as np
import polars as pl
import pytest

from fvc_exp.config.hydra_app import compose_configs
from fvc_exp.config.schema import DemoConfig
from fvc_exp.demo import corpus
from fvc_exp.demo.corpus import Clip, corpus_folder, ensure_demo
from fvc_exp.demo.manipulate import MANIPULATIONS
from fvc_exp.errors import ConfigError, DataError
from fvc_exp.video import worker_pool
from tests.conftest import Compose
from tests.shell import ROOT

DEMO = DemoConfig(events=4, uploads=2, seed=3)
VIDEOS = sorted(
    f"videos/ev{event:03d}_{label}_{upload}.mp4"
    for event, label in enumerate(["real", "fake"] * 2)
    for upload in range(2)
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus of ``DEMO``, made by two workers; not to be changed."""
    return ensure_demo(tmp_path_factory.mktemp("demo"), DEMO, workers=2)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def start_build(root: Path, workers: int = 2) -> subprocess.Popen[str]:
    """Build in a process group of its own; prints one line per finished event."""
    code = (
        "import pathlib; from fvc_exp.config.schema import DemoConfig; from fvc_exp.demo.corpus import ensure_demo\n"
        "show = lambda *step: print(*step, flush=True)\n"
        f"ensure_demo(pathlib.Path({str(root)!r}), {DEMO!r}, workers={workers}, on_progress=show)"
    )
    pipe, command = subprocess.PIPE, [sys.executable, "-c", code]
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def test_folder_holds_videos_metadata_and_manifest(built: Path) -> None:
    assert list(built.parent.glob("[!.]*")) == [built] == [corpus_folder(built.parent, DEMO)]
    described = sorted([*VIDEOS, "metadata.parquet", "README.txt"])
    assert sorted(contents(built)) == sorted([*described, "manifest.json"])
    manifest = json.loads((built / "manifest.json").read_text())
    assert sorted(manifest["sha256"]) == described
    assert manifest["settings"] == asdict(DEMO)
    assert manifest["libraries"]["numpy"] == np.__version__
    assert "synthetic" in manifest["notice"]
    assert (built / "README.txt").read_text().startswith(manifest["notice"])


def test_metadata_describes_every_video(built: Path) -> None:
    metadata = pl.read_parquet(built / "metadata.parquet")
    assert metadata["video_path"].sort().to_list() == VIDEOS
    assert metadata.group_by("group").agg(pl.col("label").n_unique())["label"].to_list() == [1] * 4
    assert metadata["manipulation"].to_list() == ["none"] * 2 + ["faceswap"] * 2 + ["none"] * 2 + ["splice"] * 2
    files = [f"videos/{row['group']}_{row['label']}_{row['upload']}.mp4" for row in metadata.iter_rows(named=True)]
    assert metadata["video_path"].to_list() == files


def test_whole_corpus_is_left_as_it_is(built: Path) -> None:
    inodes = {path: path.stat().st_ino for path in built.rglob("*")}
    assert ensure_demo(built.parent, DEMO, on_progress=lambda *_: pytest.fail("nothing is to be made")) == built
    assert {path: path.stat().st_ino for path in built.rglob("*")} == inodes


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.fixture
def quick(built: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Events are copied from the first corpus instead of made; the list says which."""
    metadata, made = pl.read_parquet(built / "metadata.parquet"), list[int]()

    def copy_event(folder: Path, _: DemoConfig, event: int) -> list[Clip]:
        made.append(event)
        rows = metadata.filter(group=f"ev{event:03d}")
        for path in rows["video_path"]:
            shutil.copy(built / path, folder / path)
        return rows.to_dicts()

    monkeypatch.setattr(corpus, "build_event", copy_event)
    monkeypatch.setattr(worker_pool, "run_in_workers", lambda make, events, **__: ((n, make(n)) for n in events))
    return made


CHANGES = [
    (VIDEOS[5], flip_a_bit),
    (VIDEOS[5], Path.unlink),
    ("metadata.parquet", flip_a_bit),
    ("manifest.json", Path.unlink),
    ("manifest.json", lambda path: path.write_text('{"sha256": 1}')),
]


@pytest.mark.parametrize(("name", "break_file"), CHANGES)
def test_changed_corpus_is_made_again(
    built: Path, tmp_path: Path, quick: list[int], name: str, break_file: Callable[[Path], None]
) -> None:
    """The feature tables go too: they were made from it."""
    copied = Path(shutil.copytree(built, tmp_path / built.name))
    (copied / "features_stage2.parquet").write_bytes(b"made from the videos before")
    break_file(copied / name)
    ensure_demo(tmp_path, DEMO)
    assert contents(tmp_path) == contents(built.parent)
    assert len(quick) == 4


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT], ids=["killed", "ctrl-c"])
def test_a_stopped_build_is_undone(built: Path, tmp_path: Path, quick: list[int], stop: signal.Signals) -> None:
    process = start_build(tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "1 4\n"
    if stop is signal.SIGINT:
        os.killpg(process.pid, stop)  # as a terminal does
    else:
        process.kill()
    # Ends when every process that holds the pipes has ended, the workers too.
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -stop
    assert errors.count("Traceback") == (1 if stop is signal.SIGINT else 0)
    left = [path.suffix for path in tmp_path.iterdir()]
    assert sorted(left) == ([".fvc-tmp", ".lock"] if stop is signal.SIGKILL else [".lock"])
    ensure_demo(tmp_path, DEMO)
    assert len(quick) == 4
    assert contents(tmp_path) == contents(built.parent)


def test_two_builds_at_once_end_with_one_whole_corpus(built: Path, tmp_path: Path) -> None:
    processes = [start_build(tmp_path, workers=1) for _ in range(2)]  # whose number changes no byte
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    assert contents(tmp_path) == contents(built.parent)


def die(*_: object) -> NoReturn:
    os._exit(7)


@pytest.mark.slow
def test_failing_worker_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "build_event", die)
    with pytest.raises(DataError, match=r"event 0 of the demo corpus .* exit code 7 .* smaller video\.workers"):
        ensure_demo(tmp_path, DEMO, workers=1)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_other_settings_and_generators_have_other_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variants = [DEMO, *(replace(DEMO, **change) for change in ({"events": 41}, {"uploads": 3}, {"seed": 1}))]
    names = {corpus_folder(tmp_path, demo).name for demo in variants}
    assert {len(name) for name in names} == {12}
    assert len(names) == 4
    monkeypatch.setattr(corpus, "GENERATOR_VERSION", corpus.GENERATOR_VERSION + 1)
    assert corpus_folder(tmp_path, DEMO).name not in names


@pytest.mark.parametrize(("key", "value", "least"), [("events", 1, 2), ("uploads", 0, 1), ("seed", -1, 0)])
def test_settings_out_of_range_are_refused(compose_config: Compose, key: str, value: int, least: int) -> None:
    with pytest.raises(ConfigError, match=f"data.demo.{key}={value} is not allowed: .* at least {least}"):
        compose_config(f"data.demo.{key}={value}")


def test_only_the_demo_data_have_demo_settings(compose_config: Compose) -> None:
    assert compose_config("data.demo.seed=3").data.demo == DemoConfig(events=96, uploads=5, seed=3)
    assert compose_config("data=fvc").data.demo is None
    with pytest.raises(ConfigError, match=r"data\.demo\.\* exists in data=demo only"):
        compose_configs([["data=fvc", "data.demo.seed=3"]])


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    """The facts of 60 events, made of one gray frame each to save time."""
    folder = tmp_path_factory.mktemp("events")
    (folder / "videos").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "film_scene", lambda _scene, _length, size, _rng: [np.full((*size, 3), 90, np.uint8)])
        patch.setattr(corpus, "draw_scene", lambda _rng: np.zeros((2, 2, 3), np.uint8))
        patch.setattr(corpus, "recompress", lambda frames, **_settings: frames)
        patch.setattr(corpus, "encode", lambda *_, **__: None)
        demo = DemoConfig(events=60, uploads=2, seed=0)
        return [clip for event in range(60) for clip in corpus.build_event(folder, demo, event)]


def test_classes_and_manipulations_are_balanced(clips: list[Clip]) -> None:
    assert Counter(clip["label"] for clip in clips) == {"real": 60, "fake": 60}
    assert Counter(clip["manipulation"] for clip in clips) == {"none": 60, **dict.fromkeys(MANIPULATIONS, 10)}
    assert all((clip["manipulation"] == "none") == (clip["label"] == "real") for clip in clips)


def test_an_event_has_one_label_and_its_copies_differ(clips: list[Clip]) -> None:
    by_group: dict[str, list[Clip]] = {}
    for clip in clips:
        by_group.setdefault(clip["group"], []).append(clip)
    assert len(by_group) == 60
    for copies in by_group.values():
        assert [clip["upload"] for clip in copies] == [0, 1]
        assert len({(clip["label"], clip["manipulation"], clip["scale"], clip["frames"]) for clip in copies}) == 1
    assert len({clip["video_path"] for clip in clips}) == 120


def test_both_classes_take_the_same_way_to_the_platform(clips: list[Clip]) -> None:
    """But for the scale of the passing on, whose ranges overlap."""
    by_label = {label: [clip for clip in clips if clip["label"] == label] for label in ("real", "fake")}
    crf = {label: np.mean([clip["crf"] for clip in of_label]) for label, of_label in by_label.items()}
    assert crf["real"] == pytest.approx(22, abs=0.6)
    assert crf["fake"] == pytest.approx(crf["real"], abs=0.8)
    scales = {label: [clip["scale"] for clip in of_label] for label, of_label in by_label.items()}
    assert (min(scales["real"]), max(scales["real"])) == pytest.approx((0.5, 1.0), abs=0.03)
    assert (min(scales["fake"]), max(scales["fake"])) == pytest.approx((0.33, 0.66), abs=0.03)


def test_clips_have_the_sizes_of_the_platform(clips: list[Clip]) -> None:
    sizes = {(320, 180), (288, 162)}
    upright = {(height, width) for width, height in sizes}
    assert {(clip["width"], clip["height"]) for clip in clips} == sizes | upright
    assert {clip["fps"] for clip in clips} == {24, 25, 30}
    assert {clip["frames"] for clip in clips} <= set(range(16, 24))


def test_files_are_what_the_facts_say(built: Path) -> None:
    for row in pl.read_parquet(built / "metadata.parquet").iter_rows(named=True):
        with av.open(built / row["video_path"]) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.name, stream.average_rate) == ("h264", row["fps"])
            shapes = [frame.to_ndarray(format="rgb24").shape for frame in container.decode(stream)]
        assert shapes == [(row["height"], row["width"], 3)] * row["frames"]


def test_videos_depend_on_seed_event_and_upload_alone(tmp_path: Path) -> None:
    made = []
    for number, (seed, event, uploads) in enumerate([(3, 3, 1), (3, 3, 2), (4, 3, 1), (3, 1, 1)]):
        (tmp_path / str(number) / "videos").mkdir(parents=True)
        corpus.build_event(tmp_path / str(number), DemoConfig(4, uploads, seed), event)
        made.append(set(contents(tmp_path / str(number)).values()))
    assert made[0] < made[1]
    assert len(set.union(*made)) == 4
