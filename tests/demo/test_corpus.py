from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

import av
import numpy as np
import polars as pl
import pytest

from fvc_exp.demo import corpus
from fvc_exp.demo.corpus import DemoSettings, EventTask, ensure_demo, read_sealed, write_sealed
from fvc_exp.demo.event import make_event
from fvc_exp.errors import ConfigError, DataError
from tests.conftest import ROOT

SETTINGS = DemoSettings(events=4, uploads=2, seed=3)
VIDEOS = sorted(
    f"videos/ev{event:03d}_{label}_{upload}.mp4"
    for event, label in enumerate(["real", "fake"] * 2)
    for upload in range(2)
)
RECORDS = [f"events/ev{event:03d}.json" for event in range(4)]
SUMMARY = ["metadata.parquet", "README.txt", "manifest.json"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with the corpus of ``SETTINGS``, made by two workers; not to be changed."""
    root = tmp_path_factory.mktemp("demo")
    ensure_demo(root, SETTINGS, workers=2)
    return root


@pytest.fixture
def copied(built: Path, tmp_path: Path) -> Path:
    """A corpus folder of its own, in the root ``tmp_path``."""
    return Path(shutil.copytree(built / SETTINGS.folder_name, tmp_path / SETTINGS.folder_name))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """What tells a file from a new one with the same content."""
    files = {path.relative_to(folder).as_posix(): path.stat() for path in folder.rglob("*") if path.is_file()}
    return {name: (status.st_ino, status.st_mtime_ns) for name, status in files.items()}


def start_build(root: Path) -> subprocess.Popen[str]:
    """Build in a process group of its own; prints one line a finished event."""
    code = (
        "import sys; from pathlib import Path; from fvc_exp.demo.corpus import DemoSettings, ensure_demo\n"
        "ensure_demo(Path(sys.argv[1]), DemoSettings(**eval(sys.argv[2])), workers=2,"
        " on_progress=lambda done, total: print(done, total, flush=True))"
    )
    command = [sys.executable, "-c", code, str(root), str(asdict(SETTINGS))]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def test_folder_holds_videos_metadata_and_manifest(built: Path) -> None:
    assert [path.name for path in built.iterdir()] == [SETTINGS.folder_name]
    folder = built / SETTINGS.folder_name
    assert sorted(contents(folder)) == sorted([*VIDEOS, *RECORDS, *SUMMARY])
    manifest = json.loads((folder / "manifest.json").read_text())
    assert sorted(manifest["files"]) == sorted([*VIDEOS, *RECORDS, "metadata.parquet", "README.txt"])
    assert manifest["settings"] == asdict(SETTINGS)
    assert manifest["libraries"]["numpy"] == np.__version__
    assert "synthetic" in manifest["notice"]
    assert (folder / "README.txt").read_text().startswith(manifest["notice"])


def test_metadata_describes_every_video(built: Path) -> None:
    folder = built / SETTINGS.folder_name
    metadata = pl.read_parquet(folder / "metadata.parquet")
    assert metadata["video_path"].sort().to_list() == VIDEOS
    assert metadata.group_by("group").agg(pl.col("label").n_unique())["label"].to_list() == [1] * 4
    assert metadata["manipulation"].to_list() == ["none"] * 2 + ["faceswap"] * 2 + ["none"] * 2 + ["splice"] * 2
    for row in metadata.iter_rows(named=True):
        assert row["video_path"] == f"videos/{row['group']}_{row['label']}_{row['upload']}.mp4"
        with av.open(folder / row["video_path"]) as container:
            stream = container.streams.video[0]
            assert (stream.width, stream.height, stream.average_rate) == (row["width"], row["height"], row["fps"])
            assert sum(1 for _ in container.decode(stream)) == row["frames"]


def test_number_of_workers_changes_no_byte(built: Path, tmp_path: Path) -> None:
    assert contents(ensure_demo(tmp_path, SETTINGS, workers=1)) == contents(built / SETTINGS.folder_name)


def test_an_event_is_made_without_the_others(built: Path) -> None:
    folder = built / SETTINGS.folder_name
    for clip, content in make_event(SETTINGS.seed, 2, SETTINGS.uploads):
        assert (folder / "videos" / clip.file_name).read_bytes() == content


def test_whole_corpus_is_only_verified(copied: Path) -> None:
    before, progress = stamps(copied), list[tuple[int, int]]()
    folder = ensure_demo(copied.parent, SETTINGS, on_progress=lambda *step: progress.append(step))
    assert folder == copied
    assert stamps(copied) == before
    assert progress == []


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("break_file", [truncate, flip_a_bit, Path.unlink], ids=["truncated", "bit-flip", "missing"])
@pytest.mark.parametrize("name", [VIDEOS[5], RECORDS[2]], ids=["video", "record"])
def test_broken_event_alone_is_made_again(
    built: Path, copied: Path, name: str, break_file: Callable[[Path], None]
) -> None:
    before = stamps(copied)
    break_file(copied / name)
    progress = list[tuple[int, int]]()
    ensure_demo(copied.parent, SETTINGS, workers=1, on_progress=lambda *step: progress.append(step))
    assert contents(copied) == contents(built / SETTINGS.folder_name)
    after = stamps(copied)
    assert {key for key in before if after[key] != before[key]} == {*VIDEOS[4:6], RECORDS[2], *SUMMARY}
    assert progress == [(4, 4)]


@pytest.mark.parametrize("break_file", [truncate, flip_a_bit, Path.unlink], ids=["truncated", "bit-flip", "missing"])
@pytest.mark.parametrize("name", SUMMARY)
def test_broken_summary_is_written_again_from_the_records(
    built: Path, copied: Path, name: str, break_file: Callable[[Path], None]
) -> None:
    before = stamps(copied)
    break_file(copied / name)
    ensure_demo(copied.parent, SETTINGS, on_progress=lambda *_: pytest.fail("nothing is to be made"))
    assert contents(copied) == contents(built / SETTINGS.folder_name)
    assert {key: stamps(copied)[key] for key in (*VIDEOS, *RECORDS)} == {
        key: before[key] for key in (*VIDEOS, *RECORDS)
    }


def test_half_built_corpus_is_completed(built: Path, copied: Path) -> None:
    for name in (*SUMMARY, *RECORDS[2:], *VIDEOS[5:]):
        (copied / name).unlink()
    before, progress = stamps(copied), list[tuple[int, int]]()
    ensure_demo(copied.parent, SETTINGS, workers=2, on_progress=lambda *step: progress.append(step))
    assert contents(copied) == contents(built / SETTINGS.folder_name)
    after = stamps(copied)
    assert {key for key in before if after[key] == before[key]} == {*VIDEOS[:4], *RECORDS[:2]}
    assert progress == [(3, 4), (4, 4)]


def test_events_made_by_other_libraries_are_not_mixed_in(built: Path, copied: Path) -> None:
    record = read_sealed(copied / RECORDS[0])
    assert record is not None
    write_sealed(copied / RECORDS[0], record | {"libraries": record["libraries"] | {"av": "1.0"}})
    before = stamps(copied)
    ensure_demo(copied.parent, SETTINGS, workers=1)
    assert contents(copied) == contents(built / SETTINGS.folder_name)
    assert {key for key in VIDEOS if stamps(copied)[key] != before[key]} == set(VIDEOS[:2])


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT], ids=["killed", "ctrl-c"])
def test_stopped_build_leaves_whole_files_and_goes_on(built: Path, tmp_path: Path, stop: signal.Signals) -> None:
    process = start_build(tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "1 4\n"
    if stop is signal.SIGINT:
        os.killpg(process.pid, stop)  # as a terminal does
    else:
        process.kill()
    # Ends when every process that holds the pipes has ended, the workers too.
    _, errors = process.communicate(timeout=10)
    assert process.returncode == -stop
    assert errors.count("Traceback") == (1 if stop is signal.SIGINT else 0)
    folder, whole = tmp_path / SETTINGS.folder_name, contents(built / SETTINGS.folder_name)
    left = {name: content for name, content in contents(folder).items() if not name.endswith(".tmp")}
    assert {name: content for name, content in whole.items() if name in left} == left
    assert 3 <= len(left) < len(whole)
    assert "manifest.json" not in left
    progress = list[tuple[int, int]]()
    ensure_demo(tmp_path, SETTINGS, workers=2, on_progress=lambda *step: progress.append(step))
    finished = sum(name.startswith("events/") for name in left)
    assert progress == [(done, 4) for done in range(finished + 1, 5)]
    assert {name: content for name, content in contents(folder).items() if not name.endswith(".tmp")} == whole


def test_two_builds_at_once_end_with_the_same_files(built: Path, tmp_path: Path) -> None:
    processes = [start_build(tmp_path) for _ in range(2)]
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    assert contents(tmp_path / SETTINGS.folder_name) == contents(built / SETTINGS.folder_name)


def die(_: EventTask) -> NoReturn:
    os._exit(7)


def fail(_: EventTask) -> NoReturn:
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        pytest.param(die, "event 0 of the demo corpus .* exit code 7 .* 0 of 4 events are finished", id="dies"),
        pytest.param(fail, "event 0 of the demo corpus .* Input/output error", id="raises"),
    ],
)
def test_failing_worker_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: Callable[[EventTask], NoReturn], message: str
) -> None:
    monkeypatch.setattr(corpus, "build_event", function)
    with pytest.raises(DataError, match=message):
        ensure_demo(tmp_path, SETTINGS, workers=1)
    assert contents(tmp_path) == {}


def test_error_in_the_progress_callback_stops_the_build(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise RuntimeError(f"stopped at {done} of {total}")

    with pytest.raises(RuntimeError, match="stopped at 1 of 4"):
        ensure_demo(tmp_path, SETTINGS, workers=1, on_progress=stop)
    left = contents(tmp_path / SETTINGS.folder_name)
    assert RECORDS[0] in left
    assert RECORDS[3] not in left


def test_other_settings_and_generators_have_other_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    variants = [DemoSettings(), DemoSettings(events=41), DemoSettings(uploads=3), DemoSettings(seed=1)]
    names = {settings.folder_name for settings in variants}
    assert {len(name) for name in names} == {12}
    assert len(names) == 4
    monkeypatch.setattr(corpus, "GENERATOR_VERSION", corpus.GENERATOR_VERSION + 1)
    assert DemoSettings().folder_name not in names


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"events": 1}, "data.demo_events=1 is not allowed: .* at least 2", id="events"),
        pytest.param({"uploads": 0}, "data.demo_uploads=0 is not allowed: .* at least 1", id="uploads"),
        pytest.param({"seed": -1}, "data.demo_seed=-1 is not allowed: .* at least 0", id="seed"),
    ],
)
def test_settings_out_of_range_are_refused(values: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DemoSettings(**values)


def test_workers_out_of_range_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"video\.workers=0 is not allowed: .* at least 1"):
        ensure_demo(tmp_path, SETTINGS, workers=0)
    assert list(tmp_path.iterdir()) == []


def test_root_that_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(NotADirectoryError, match="file"):
        ensure_demo(file, SETTINGS)
