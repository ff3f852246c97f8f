"""The demo corpus as a folder: made on first use, checked on every use, made again when a file of it has changed."""

import json
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
import polars as pl

from fvc_exp._typing import Frame, Progress, no_progress
from fvc_exp.config.schema import DemoConfig, LimitsConfig
from fvc_exp.demo.camera import draw_scene, film_scene
from fvc_exp.demo.manipulate import MANIPULATIONS, manipulate
from fvc_exp.errors import DataError
from fvc_exp.io import files
from fvc_exp.video import worker_pool
from fvc_exp.video.rewrite import encode, recompress

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

GENERATOR_VERSION = 2  # raise it with any change of what the videos look like

_FILMED_WIDTH, _FILMED_HEIGHT = 352, 198
_PLATFORM_SIZES = ((320, 180), (288, 162))  # width, height
_PLATFORM_CRF, _PLATFORM_CRF_SD = 22, 1.5

# Everybody who passes a clip on makes it smaller and large again; shares of the filmed width, by label. Editing takes
# place at a small size. The two ranges overlap, and this overlap is the difficulty of the corpus.
_SCALES = {"real": (0.5, 1.0), "fake": (0.33, 0.66)}
_GOLDEN_RATIO = (1 + 5**0.5) / 2


Clip = dict[str, str | int | float]  # the row of one uploaded video in the metadata


def build_event(folder: Path, demo: DemoConfig, event: int) -> list[Clip]:
    """Write the uploads of one event, which has random numbers of its own; runs in a worker process.

    Odd events are fakes and take the manipulations in turn. Real and fake clips go through the same steps and are
    encoded equally often; without a manipulation only their scale differs.

    Returns for each upload its path, what it was made of, and ``crf``, ``fps`` and size. ``scale`` is the smallest
    share of the filmed width that the clip had before it was uploaded.
    """
    rng = np.random.default_rng([demo.seed, event])
    label = ("real", "fake")[event % 2]
    manipulation = "none" if label == "real" else MANIPULATIONS[event // 2 % len(MANIPULATIONS)]
    fps, length = int(rng.choice([24, 25, 30])), int(rng.integers(16, 24))
    size = (_FILMED_HEIGHT, _FILMED_WIDTH) if rng.random() < 0.8 else (_FILMED_WIDTH, _FILMED_HEIGHT)

    def film() -> list[Frame]:
        return film_scene(draw_scene(rng), length, size, rng)

    frames = recompress(film(), fps=fps, crf=int(rng.integers(16, 22)), preset="ultrafast")
    if manipulation != "none":
        frames = manipulate(manipulation, frames, rng, film)
    scale = _spread_evenly(demo.seed, event // 2, *_SCALES[label])
    frames = recompress(_resampled(frames, scale), fps=fps, crf=int(rng.integers(19, 24)), preset="ultrafast")
    clips = []
    for upload in range(demo.uploads):
        on_platform = _resized(frames, rng, is_copy=upload > 0)
        crf = int(np.clip(round(rng.normal(_PLATFORM_CRF, _PLATFORM_CRF_SD)), 18, 26))
        height, width = on_platform[0].shape[:2]
        group = f"ev{event:03d}"
        path = f"{VIDEOS}/{group}_{label}_{upload}.mp4"
        with (folder / path).open("wb") as file:
            encode(on_platform, file, fps=fps, crf=crf, preset="veryfast", gop=int(rng.choice([24, 60, 250])))
        made_of = {"label": label, "group": group, "upload": upload, "manipulation": manipulation, "scale": scale}
        encoded = {"crf": crf, "fps": fps, "width": width, "height": height, "frames": length}
        clips.append({"video_path": path, **made_of, **encoded})
    return clips


def _spread_evenly(seed: int, number: int, low: float, high: float) -> float:
    """Number ``number`` of a series that fills low to high evenly, so that all seeds are equally difficult."""
    return low + (high - low) * float((np.random.default_rng(seed).random() + number * _GOLDEN_RATIO) % 1)


def _resampled(frames: list[Frame], scale: float) -> list[Frame]:
    """The frames at ``scale`` times their size, brought back to the size they had."""
    height, width = frames[0].shape[:2]
    small = [cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for frame in frames]
    return [np.asarray(cv2.resize(each, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8) for each in small]


def _resized(frames: list[Frame], rng: np.random.Generator, is_copy: bool) -> list[Frame]:
    """The frames in a platform's size; a copy has lost up to 8 pixels at each edge."""
    height, width = frames[0].shape[:2]
    long_side, short_side = _PLATFORM_SIZES[int(rng.integers(len(_PLATFORM_SIZES)))]
    target = (long_side, short_side) if width > height else (short_side, long_side)
    crop = int(rng.integers(0, 9)) if is_copy else 0
    cropped = [frame[crop : height - crop, crop : width - crop] for frame in frames]
    return [np.asarray(cv2.resize(frame, target, interpolation=cv2.INTER_AREA), np.uint8) for frame in cropped]


def corpus_folder(root: Path, demo: DemoConfig) -> Path:
    """Where the corpus lies below ``root``: other settings or another generator give another folder."""
    return root / files.digest({"generator": GENERATOR_VERSION, **asdict(demo)})


def ensure_demo(
    root: Path, demo: DemoConfig, *, workers: int | None = None, on_progress: Progress = no_progress
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
        return all(files.sha256((folder / path).read_bytes()) == sha256 for path, sha256 in hashes.items())
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _make_corpus(folder: Path, demo: DemoConfig, workers: int | None, on_progress: Progress) -> None:
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
            on_progress(len(clips), len(events))
    rows = [clip for event in events for clip in clips[event]]
    pl.DataFrame(rows).write_parquet(folder / METADATA)
    (folder / README).write_text(_README_TEXT)
    paths = [METADATA, README, *(str(row["video_path"]) for row in rows)]
    manifest = {
        "notice": NOTICE,
        "generator": GENERATOR_VERSION,
        "settings": asdict(demo),
        "libraries": {"av": av.__version__, "opencv": cv2.__version__, "numpy": np.__version__},
        "sha256": {path: files.sha256((folder / path).read_bytes()) for path in paths},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
