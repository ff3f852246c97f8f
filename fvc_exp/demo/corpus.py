"""The demo corpus as a folder: made on first use, checked on every use, repaired where it is broken."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import av
import cv2
import numpy as np
import polars as pl

from fvc_exp.config.schema import LimitsConfig
from fvc_exp.demo.event import GENERATOR_VERSION, Clip, make_event
from fvc_exp.errors import ConfigError, DataError
from fvc_exp.io.files import atomic_file
from fvc_exp.video.failures import Failed
from fvc_exp.video.worker_pool import Outcome, run_in_workers

VIDEOS = "videos"


RECORDS = "events"


LIBRARIES = {"av": av.__version__, "opencv": cv2.__version__, "numpy": np.__version__}


@dataclass(frozen=True)
class FileFact:
    """The content of a file, in short."""

    size: int
    sha256: str

    @classmethod
    def of(cls, content: bytes) -> FileFact:
        """The facts of this content."""
        return cls(len(content), hashlib.sha256(content).hexdigest())

    def holds(self, path: Path) -> bool:
        """Whether the file is there with this very content."""
        try:
            return path.stat().st_size == self.size and FileFact.of(path.read_bytes()) == self
        except FileNotFoundError:
            return False


@dataclass(frozen=True)
class Video:
    """A clip of the corpus and its file."""

    clip: Clip
    file: FileFact

    @property
    def path(self) -> str:
        """Relative to the corpus folder, with forward slashes."""
        return f"{VIDEOS}/{self.clip.file_name}"


@dataclass(frozen=True)
class EventTask:
    """Everything that a worker needs to make one event."""

    folder: Path
    seed: int
    event: int
    uploads: int

    @property
    def record(self) -> Path:
        """The file that says the event is finished, and what it holds."""
        return self.folder / RECORDS / f"ev{self.event:03d}.json"


def build_event(task: EventTask) -> list[Video]:
    """Make the videos of one event, unless another process has done so meanwhile; the record is written last."""
    if (finished := read_event(task)) is not None:
        return finished
    videos = []
    for clip, content in make_event(task.seed, task.event, task.uploads):
        video = Video(clip, FileFact.of(content))
        write(task.folder / video.path, content)
        videos.append(video)
    write_sealed(task.record, {"libraries": LIBRARIES, "videos": [asdict(video) for video in videos]})
    return videos


def read_event(task: EventTask) -> list[Video] | None:
    """The videos of an event, or None if it must be made: never finished, damaged since, or by other libraries.

    The last keeps a corpus in one piece: two versions of an encoder do not give the same bytes.
    """
    record = read_sealed(task.record)
    if record is None or record["libraries"] != LIBRARIES:
        return None
    videos = [Video(Clip(**entry["clip"]), FileFact(**entry["file"])) for entry in record["videos"]]
    return videos if all(video.file.holds(task.folder / video.path) for video in videos) else None


def write(path: Path, content: bytes) -> None:
    """Put a file in place whole."""
    with atomic_file(path) as file:
        file.write(content)


def write_sealed(path: Path, value: dict[str, Any]) -> None:
    """Write JSON with a checksum of itself under ``sha256``."""
    write(path, to_json(value | {"sha256": FileFact.of(to_json(value)).sha256}))


def read_sealed(path: Path) -> dict[str, Any] | None:
    """What was written by ``write_sealed``; None if the file is missing or not as it was written."""
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(value, dict) or value.pop("sha256", None) != FileFact.of(to_json(value)).sha256:
        return None
    return value


def to_json(value: dict[str, Any]) -> bytes:
    """The same text for the same value."""
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


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
    with closing(cast(_Outcomes, run_in_workers(build_event, missing, limits=_LIMITS, workers=workers))) as outcomes:
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
