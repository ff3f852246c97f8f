"""The demo corpus as a folder: made on first use, checked on every use, repaired where it is broken."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import polars as pl

from fvc_exp.config import LimitsConfig
from fvc_exp.demo.event import GENERATOR_VERSION
from fvc_exp.demo.store import (
    LIBRARIES,
    RECORDS,
    VIDEOS,
    EventTask,
    FileFact,
    Video,
    build_event,
    read_event,
    read_sealed,
    to_json,
    write,
    write_sealed,
)
from fvc_exp.errors import ConfigError, DataError
from fvc_exp.serving import Failed
from fvc_exp.workers import Outcome, run

METADATA = "metadata.parquet"
README = "README.txt"
MANIFEST = "manifest.json"

NOTICE = (
    "This corpus is synthetic: it shows the pipeline and leakage between near-copies, not skill at detecting fakes."
)

# An event takes about half a second; this only ends one that hangs.
_LIMITS = LimitsConfig(max_pixels=2**20, cpu_seconds=120, wall_seconds=900, memory_mb=4096)
_Outcomes = Generator[Outcome[EventTask, list[Video]], None, None]

_README_TEXT = f"""{NOTICE}

No video here shows a real person, place or event. Every scene is drawn by a program, filmed by a simulated camera and
compressed; if its label is "fake" it is then manipulated in one of six ways; and it is uploaded several times to a
simulated platform. Uploads of one event are near-copies: keep the column "group" on one side of every split.
By design, fakes are also compressed harder on average when they are uploaded.
Scores on these videos say nothing about real ones.

{METADATA}  one row a video: path, label, group, and how it was made
{VIDEOS}/           h264 in mp4
{RECORDS}/           one record an event, from which a build that was broken off goes on
{MANIFEST}     size and sha256 of every file; written last
"""


@dataclass(frozen=True)
class DemoSettings:
    """Size and seed of the corpus: ``events`` groups of ``uploads`` near-copies each; every second event is a fake."""

    events: int = 40
    uploads: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, least in (("events", self.events, 2), ("uploads", self.uploads, 1), ("seed", self.seed, 0)):
            if value < least:
                raise ConfigError(f"data.demo_{name}={value} is not allowed: it must be an integer of at least {least}")

    @property
    def folder_name(self) -> str:
        """12 hexadecimal digits; other settings or another generator give another name."""
        return hashlib.sha256(to_json({"generator": GENERATOR_VERSION, **asdict(self)})).hexdigest()[:12]


def ensure_demo(
    root: Path,
    settings: DemoSettings,
    *,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """The folder of the corpus below ``root``, with every file in it as it should be.

    A whole corpus is only verified. Otherwise the events that are missing or broken are made, in ``workers`` processes
    (None: one a core), and ``on_progress(finished events, all events)`` is called after each. Any number of processes
    may do this at once in one folder, and any of them may be killed: files appear whole, and the same in each.

    Raises:
        ConfigError: ``workers`` is below 1.
        DataError: an event could not be made, for one because a worker process died.
        OSError: the folder cannot be written.
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"video.workers={workers} is not allowed: it must be an integer of at least 1, or null")
    folder = root / settings.folder_name
    if not _is_whole(folder):
        tasks = [EventTask(folder, settings.seed, event, settings.uploads) for event in range(settings.events)]
        videos = _complete(tasks, workers, on_progress or _ignore)
        _summarise(folder, settings, tasks, videos)
    return folder


def _is_whole(folder: Path) -> bool:
    manifest = read_sealed(folder / MANIFEST)
    if manifest is None:
        return False
    return all(FileFact(**fact).holds(folder / path) for path, fact in manifest["files"].items())


def _complete(tasks: list[EventTask], workers: int | None, on_progress: Callable[[int, int], None]) -> list[Video]:
    """The videos of all events, in the order of the events, after making those that are not there."""
    folder = tasks[0].folder
    for name in (VIDEOS, RECORDS):
        (folder / name).mkdir(parents=True, exist_ok=True)
    done = {task: videos for task in tasks if (videos := read_event(task)) is not None}
    missing = [task for task in tasks if task not in done]
    # Closed here and now when anything is raised, so that no worker outlives this call.
    with closing(cast(_Outcomes, run(build_event, missing, limits=_LIMITS, workers=workers))) as outcomes:
        for outcome in outcomes:
            if isinstance(outcome.result, Failed):
                raise DataError(
                    f"{folder}: event {outcome.item.event} of the demo corpus could not be made: "
                    f"{outcome.result.message} ({outcome.result.error_class}); {len(done)} of {len(tasks)} events are "
                    "finished and kept: run again, if memory is short with a smaller video.workers"
                )
            done[outcome.item] = outcome.result
            on_progress(len(done), len(tasks))
    return [video for task in tasks for video in done[task]]


def _summarise(folder: Path, settings: DemoSettings, tasks: list[EventTask], videos: list[Video]) -> None:
    rows = [{"video_path": video.path, **asdict(video.clip)} for video in videos]
    parquet = io.BytesIO()
    pl.DataFrame(rows).write_parquet(parquet)
    write(folder / METADATA, parquet.getvalue())
    write(folder / README, _README_TEXT.encode())
    others = [folder / METADATA, folder / README, *(task.record for task in tasks)]
    files = {video.path: video.file for video in videos}
    files |= {path.relative_to(folder).as_posix(): FileFact.of(path.read_bytes()) for path in others}
    manifest = {
        "notice": NOTICE,
        "generator": GENERATOR_VERSION,
        "settings": asdict(settings),
        "libraries": LIBRARIES,
        "files": {path: asdict(fact) for path, fact in files.items()},
    }
    write_sealed(folder / MANIFEST, manifest)


def _ignore(_done: int, _total: int) -> None:
    pass
