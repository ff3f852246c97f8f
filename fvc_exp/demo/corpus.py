"""The demo corpus as a folder: made on first use, checked on every use, made again when a file of it has changed."""

import hashlib
import json
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
import polars as pl

from fvc_exp._typing import Progress
from fvc_exp.config.schema import DemoConfig, LimitsConfig
from fvc_exp.demo.event import GENERATOR_VERSION, Clip, make_event
from fvc_exp.errors import DataError
from fvc_exp.io import files
from fvc_exp.video import worker_pool

VIDEOS, METADATA, README, MANIFEST = "videos", "metadata.parquet", "README.txt", "manifest.json"

NOTICE = (
    "This corpus is synthetic: it shows the pipeline and leakage between near-copies, not skill at detecting fakes."
)

_README_TEXT = f"""{NOTICE}

No video here shows a real person, place or event. Every scene is drawn by a program, filmed by a simulated camera and
compressed; if its label is "fake" it is then manipulated in one of six ways. Every clip is passed on in a smaller size,
fakes in a smaller one on average, and uploaded several times to a simulated platform. Uploads of one event are
near-copies: keep the column "group" on one side of every split. Scores on these videos say nothing about real ones.

{METADATA}  one row per video: path, label, group, and how it was made
{VIDEOS}/           h264 in mp4
{MANIFEST}     how the corpus was made, and the sha256 of every file
"""

# An event takes about half a second; these limits only end one that hangs.
_LIMITS = LimitsConfig(max_pixels=2**20, cpu_seconds=120, wall_seconds=900, memory_mb=4096)


def corpus_folder(root: Path, demo: DemoConfig) -> Path:
    """Where the corpus lies below ``root``: other settings or another generator give another folder."""
    settings = json.dumps({"generator": GENERATOR_VERSION, **asdict(demo)}, sort_keys=True)
    return root / _sha256(settings.encode())[:12]


def ensure_demo(
    root: Path, demo: DemoConfig, *, workers: int | None = None, on_progress: Progress | None = None
) -> Path:
    """The folder of the corpus below ``root``; every file in it is as it was made.

    It is made in a temporary folder beside its place and renamed when it is complete, so that a process that is killed
    leaves nothing that counts; other processes wait meanwhile. A folder with a missing or changed file is replaced,
    with the feature tables made from it. ``workers`` processes make the events (None: one per core), and
    ``on_progress(finished events, all events)`` is called after each.

    Raises:
        DataError: an event could not be made, for example because a worker process ended early.
        OSError, ArtifactError: the folder cannot be written.
    """
    folder = corpus_folder(root, demo)
    if _is_whole(folder):
        return folder
    root.mkdir(parents=True, exist_ok=True)
    with files.exclusive_lock(root / f".{folder.name}.lock"):
        if not _is_whole(folder):  # no other process was faster
            with files.atomic_folder(folder) as made:
                _make_corpus(made, demo, workers, on_progress)
    return folder


def _is_whole(folder: Path) -> bool:
    """Whether every file is there as it was made; 13 MB are read for the corpus of the default size."""
    try:
        hashes = json.loads((folder / MANIFEST).read_bytes())["sha256"]
        return all(_sha256((folder / path).read_bytes()) == sha256 for path, sha256 in hashes.items())
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _make_corpus(folder: Path, demo: DemoConfig, workers: int | None, on_progress: Progress | None) -> None:
    (folder / VIDEOS).mkdir()
    build, events, clips = partial(build_event, folder, demo), range(demo.events), dict[int, list[Clip]]()
    # Closed when anything is raised, so that no worker outlives this call.
    with closing(worker_pool.run_in_workers(build, events, limits=_LIMITS, workers=workers)) as outcomes:
        for event, found in outcomes:
            if isinstance(found, worker_pool.Failed):
                raise DataError(
                    f"event {event} of the demo corpus could not be made: {found.message} "
                    f"({found.error_class}): run again, if memory is short with a smaller video.workers"
                )
            clips[event] = found
            if on_progress is not None:
                on_progress(len(clips), len(events))
    rows = [{"video_path": f"{VIDEOS}/{clip.file_name}", **asdict(clip)} for event in events for clip in clips[event]]
    pl.DataFrame(rows).write_parquet(folder / METADATA)
    (folder / README).write_text(_README_TEXT)
    paths = [METADATA, README, *(row["video_path"] for row in rows)]
    manifest = {
        "notice": NOTICE,
        "generator": GENERATOR_VERSION,
        "settings": asdict(demo),
        "libraries": {"av": av.__version__, "opencv": cv2.__version__, "numpy": np.__version__},
        "sha256": {path: _sha256((folder / path).read_bytes()) for path in paths},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")


def build_event(folder: Path, demo: DemoConfig, event: int) -> list[Clip]:
    """Write the videos of one event; runs in a worker process."""
    clips = []
    for clip, content in make_event(demo.seed, event, demo.uploads):
        (folder / VIDEOS / clip.file_name).write_bytes(content)
        clips.append(clip)
    return clips
