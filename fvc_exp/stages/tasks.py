"""What the workers do with one video. No polars here: its threads and reserved memory have no place in a worker."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from math import isnan
from pathlib import Path, PurePosixPath
from typing import Any

from fvc_exp.config.schema import LimitsConfig, Table, VideoConfig
from fvc_exp.features import codec, extract
from fvc_exp.video import decode, rewrite

SCALED_TABLES = (Table.stage4, Table.original_stage4)  # features of scaled videos
FRAME_COUNTS = ("frames_total", "frames_ok", "frames_corrupt")
AUGMENTED, SCALED = "augmented", "scaled_metadata"
SCALING = tuple(field.name for field in fields(rewrite.Letterbox))
SOURCE_CODEC = tuple(f"source_{name}" for name in codec.NAMES)


def file_stem(video_path: str) -> str:
    """A plain file name for what is made from a video: readable, and different for different paths."""
    stem = re.sub(r"[^\w.-]", "_", PurePosixPath(video_path).stem, flags=re.ASCII)[:60]
    return f"{stem}_{hashlib.sha256(video_path.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class Task:
    """One video to work on, for the tables that lack its row; ``path`` is a regular file below the data root."""

    key: str
    path: Path
    tables: tuple[str, ...]
    payload: Any


def measure(video: VideoConfig, task: Task) -> dict[str, dict[str, Any]]:
    """The features and provenance of a video for each table.

    Of a scaled file (the payload is its row of ``scaled_metadata``) the codec cues are those of its source: bit rate
    and frame rate of the copy are what this project's own encoder made of it. The ``original_stage4`` table keeps the
    copy's, as the original has it.
    """
    tables = [Table[name] for name in task.tables]
    made: Mapping[str, Any] | None = task.payload
    scaling = rewrite.Letterbox(**{name: made[name] for name in SCALING}) if made else None
    extraction = extract.extract(task.path, tables, video.sampling, video.limits, scaling=scaling)
    rows: dict[str, dict[str, Any]] = {}
    for table in tables:
        features: dict[str, float | None] = dict(extraction.features[table])
        if made and table is Table.stage4:
            features |= {name: made[f"source_{name}"] for name in codec.NAMES}
        rows[table.name] = _without_nan(features) | extraction.provenance
    return rows


def write_augmented(seed: int, limits: LimitsConfig, made: Path, task: Task) -> dict[str, dict[str, Any]]:
    """Write one augmentation below ``made``; the payload is (path of the original, number of the augmentation)."""
    from fvc_exp.video import perturb  # with random numbers, which no other task needs

    original, index = task.payload
    copy = made / task.key
    operations, read = perturb.augment(task.path, copy, seed=seed, video_path=original, index=index, limits=limits)
    facts = {"operations": " + ".join(map(str, operations)), "output_size": copy.stat().st_size}
    return {AUGMENTED: facts | _frame_counts(read)}


def write_scaled(video: VideoConfig, made: Path, task: Task) -> dict[str, dict[str, Any]]:
    """Write the letterboxed copy of a video; the payload is its path below ``made``."""
    name: str = task.payload
    box, read = rewrite.scale(task.path, made / name, video.max_size, video.sampling, video.limits)
    cues = codec.codec_features(read.probe, read.probe.width * read.probe.height)
    row = asdict(box) | {
        "scaled_path": name,
        "is_upscaled": box.is_upscaled,
        "is_downscaled": box.is_downscaled,
        "output_size": (made / name).stat().st_size,
    }
    return {SCALED: row | _without_nan({f"source_{cue}": value for cue, value in cues.items()}) | _frame_counts(read)}


def measure_video(video: VideoConfig, scratch: Path, tables: Sequence[Table], path: Path) -> dict[str, float | None]:
    """The features of one video for these tables, by the names they have in a data set; runs in a worker.

    For tables of scaled videos a scaled copy is made in ``scratch`` and removed again.
    """
    full = tuple(table.name for table in tables if table not in SCALED_TABLES)
    scaled = tuple(table.name for table in tables if table in SCALED_TABLES)
    rows: dict[str, dict[str, Any]] = {}
    if full:
        rows |= measure(video, Task(path.name, path, full, None))
    if scaled:
        copy = f"{hashlib.sha256(str(path).encode()).hexdigest()}.mp4"
        made = write_scaled(video, scratch, Task(path.name, path, scaled, copy))
        rows |= measure(video, Task(path.name, scratch / copy, scaled, made[SCALED]))
        (scratch / copy).unlink()
    return {f"{Table[table].prefix}{name}": value for table, row in rows.items() for name, value in row.items()}


def _frame_counts(read: decode.SampledFrames) -> dict[str, int]:
    return {name: getattr(read.decoded, name) for name in FRAME_COUNTS}


def _without_nan(values: Mapping[str, float | None]) -> dict[str, float | None]:
    """A missing value is null in a table."""
    return {name: None if value is None or isnan(value) else value for name, value in values.items()}
