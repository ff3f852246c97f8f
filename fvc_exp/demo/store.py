"""Files of the demo corpus on disk: what an event left, and whether it is still whole."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from fvc_exp.demo.event import Clip, make_event
from fvc_exp.files import atomic_file

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
