"""Stages 1 to 4, each with its table: augmented copies, features, letterboxed copies and their features.

All skip what is finished, let workers do the rest, keep each row as it comes, and merge the rows when all are there.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from fvc_exp._typing import Progress, no_progress
from fvc_exp.config.schema import Table, VideoConfig
from fvc_exp.data import manifest
from fvc_exp.data.columns import GROUP_COLUMNS, KEY, require_columns
from fvc_exp.features import FEATURE_VERSION, extract
from fvc_exp.io import files
from fvc_exp.stages import tasks
from fvc_exp.stages.table_store import Schema, TableStore, fingerprint, states
from fvc_exp.video import perturb, rewrite
from fvc_exp.video.sources import Source, find_source
from fvc_exp.video.worker_pool import Failed, run_in_workers

Rows = Mapping[str, Mapping[str, Any]]  # the row of one video for each table
ORIGINAL, INDEX = "original_video", "augmentation"

_FRAME_COUNTS: Schema = dict.fromkeys(tasks.FRAME_COUNTS, pl.Int64)
AUGMENTED_COLUMNS: Schema = {"operations": pl.String, **_FRAME_COUNTS}
SCALED_COLUMNS: Schema = {
    "scaled_path": pl.String,
    **dict.fromkeys(tasks.SCALING, pl.Int64),
    **dict.fromkeys(("is_upscaled", "is_downscaled"), pl.Boolean),
    **dict.fromkeys(tasks.SOURCE_CODEC, pl.Float64),
    **_FRAME_COUNTS,
}
PROVENANCE_COLUMNS: Schema = {
    **dict.fromkeys(("frames_total", "frames_sampled", "frames_ok", "frames_corrupt"), pl.Int64),
    **dict.fromkeys(("width", "height", "rotation"), pl.Int64),
    **dict.fromkeys(("codec", "pix_fmt"), pl.String),
    **{"is_vfr": pl.Boolean, "duration_s": pl.Float64},
    **dict.fromkeys(("feature_version", "content_sha256"), pl.String),
}


@dataclass(frozen=True)
class Options:
    """Where and how a stage works, and on how much: every ``num_shards``-th video from ``shard`` on.

    The videos lie below ``root``, what is made from them below ``made``. ``on_progress`` is called with the videos that
    have their rows and with all that are to get one.
    """

    root: Path
    made: Path
    video: VideoConfig
    shard: int = 0
    num_shards: int = 1
    on_progress: Progress = no_progress


@dataclass(frozen=True)
class StageSummary:
    """Videos of this shard: done now, finished before, and how many failed (now or before) per error class.

    ``kept`` of the failures are from before and were not tried again. ``is_complete`` says whether ``table`` was
    written; else other shards still have rows to add.
    """

    done: int
    skipped: int
    failed: Mapping[str, int]
    kept: int
    table: Path
    is_complete: bool


@dataclass(frozen=True)
class Unit:
    """One row to make: its key, the file to open (below the data root or ``made``), and what else the work needs.

    ``known`` is the row where no work is needed for it, or the failure of an earlier stage.
    """

    key: str
    file: str
    payload: Any = None
    known: Mapping[str, Any] | Failed | None = None


def run_units(
    stores: Mapping[str, TableStore],
    units: Sequence[Unit],
    videos: pl.DataFrame,
    function: Callable[[tasks.Task], Rows],
    options: Options,
) -> list[StageSummary]:
    """Give every unit of this shard its row in every store, and merge the stores that are complete then.

    ``function`` runs in the workers. ``videos`` has the key and the input columns that the merged tables repeat.
    """
    with ExitStack() as stack:
        for store in stores.values():
            stack.enter_context(store.writing())
        ordered = sorted(units, key=lambda unit: unit.key)
        looked_at = {name: find_source(options.root, name, options.made) for name in {unit.file for unit in ordered}}
        sources = {unit.key: looked_at[unit.file] for unit in ordered}
        current, shard = states(sources), ordered[options.shard :: options.num_shards]
        kept = {name: _kept(store, current, options) for name, store in stores.items()}
        needed = list(_tasks(stores, shard, sources, kept))
        video, n_before = options.video, len(shard) - len(needed)
        options.on_progress(n_before, len(shard))
        outcomes = run_in_workers(function, needed, limits=video.limits, workers=video.workers)
        for done, (task, result) in enumerate(stack.enter_context(closing(outcomes)), start=n_before + 1):
            for name in task.tables:
                row = _without_path(result, task.path) if isinstance(result, Failed) else result[name]
                stores[name].add(task.key, sources[task.key], row)
            options.on_progress(done, len(shard))
        keys = [unit.key for unit in shard]
        return [_summary(store, current, videos, keys, kept[name]) for name, store in stores.items()]


def unit_of(row: Mapping[str, Any], made: Path, payload: Any = None) -> Unit:
    """The work on an input video, or its failure in an earlier stage; a copy by stage=augment lies below ``made``."""
    key, error_class = str(row[KEY]), row.get("error_class")
    file = key if row.get("augmentation") is None else str(made.absolute() / key)
    return Unit(key, file, payload, Failed(error_class, str(row["error"])) if error_class is not None else None)


def _kept(store: TableStore, current: pl.DataFrame, options: Options) -> set[str]:
    """The videos whose rows stay as they are."""
    rows = store.finished(current)
    # A hang may be the fault of the machine.
    failures = pl.col("error_class").is_not_null() if options.video.retry_failed else pl.col("error_class") == "timeout"
    return set(rows[KEY]) - set(rows.filter(failures)[KEY])


def _tasks(
    stores: Mapping[str, TableStore], shard: Sequence[Unit], sources: Mapping[str, Source], kept: Mapping[str, set[str]]
) -> Iterator[tasks.Task]:
    """What the workers have to do; rows that are known without work go to the stores."""
    for unit in shard:
        missing = tuple(name for name in stores if unit.key not in kept[name])
        source = sources[unit.key]
        known = unit.known if isinstance(unit.known, Failed) else source.failed or unit.known
        if known is not None:
            for name in missing:
                stores[name].add(unit.key, source, known)
        elif missing and source.path:
            yield tasks.Task(unit.key, source.path, missing, unit.payload)


def _without_path(failed: Failed, path: Path) -> Failed:
    """The row names its video already, and a table must not depend on where it was made."""
    return Failed(failed.error_class, failed.message.removeprefix(f"{path}: "))


def _summary(
    store: TableStore, current: pl.DataFrame, videos: pl.DataFrame, keys: Sequence[str], kept: set[str]
) -> StageSummary:
    rows = store.finished(current).filter(pl.col(KEY).is_in(keys))
    good = set(rows.filter(pl.col("error_class").is_null())[KEY])
    bad = rows.filter(pl.col("error_class").is_not_null())
    failed = dict(sorted(Counter(bad["error_class"]).items()))
    n_kept = len(kept.intersection(bad[KEY]))
    return StageSummary(len(good - kept), len(good & kept), failed, n_kept, store.path, store.merge(current, videos))


def run_augment(videos: pl.DataFrame, seed: int, options: Options) -> list[StageSummary]:
    """Write ``video.augmentations`` files per video below ``made/augmented``, and ``made/augmented.parquet``.

    The table has the originals too. It repeats the input columns and adds ``original_video``, ``augmentation`` (from 0;
    null for the original), ``operations``, and ``group``, which keeps copies of a video together: the input's, else the
    original's path. What is done to a video depends on ``seed`` and its path alone.
    """
    rows = _copied_rows(videos, options.video.augmentations)
    units = [_copy_unit(row, options.made) for row in rows.iter_rows(named=True)]
    settings = fingerprint(version=perturb.AUGMENT_VERSION, seed=seed)
    path, limits = options.made / f"{tasks.AUGMENTED}.parquet", options.video.limits
    store = TableStore(path, AUGMENTED_COLUMNS, settings, limits, output=KEY)
    _make_folder(options.made / "augmented")
    write = partial(tasks.write_augmented, seed, limits, options.made)
    return run_units({tasks.AUGMENTED: store}, units, rows, write, options)


def _make_folder(path: Path) -> None:
    files.make_folder(path)
    files.remove_abandoned(path)


def run_scale(videos: pl.DataFrame, options: Options) -> list[StageSummary]:
    """Write each video as a square of ``video.max_size`` pixels below ``made/scaled``, and their table beside it.

    ``made/scaled_metadata.parquet`` repeats the input columns; ``video_path``
    stays the name of the source and ``scaled_path`` is the file. ``original_*`` is the upright size in square pixels,
    ``box_*`` the picture inside the square, ``source_codec_*`` the bit rate (bit/s), average frame rate (1/s) and
    pixels per frame of the source, null where unknown.
    """
    made, video = options.made, options.video
    units = [unit_of(row, made, f"scaled/{tasks.file_stem(row[KEY])}.mp4") for row in videos.iter_rows(named=True)]
    # The sampled frames are key frames, so copies made for another sampling hold other pixels.
    settings = fingerprint(version=rewrite.SCALE_VERSION, max_size=video.max_size, sampling=asdict(video.sampling))
    store = TableStore(made / f"{tasks.SCALED}.parquet", SCALED_COLUMNS, settings, video.limits, output="scaled_path")
    _make_folder(made / "scaled")
    return run_units({tasks.SCALED: store}, units, videos, partial(tasks.write_scaled, video, made), options)


def _copied_rows(videos: pl.DataFrame, augmentations: int) -> pl.DataFrame:
    """Each video, without a number, and its copies with theirs."""
    group = next((name for name in GROUP_COLUMNS if name in videos.columns), KEY)
    known = videos.with_columns(pl.col(group).cast(pl.String).alias(manifest.GROUP), pl.col(KEY).alias(ORIGINAL))
    numbers = pl.DataFrame({INDEX: [None, *range(augmentations)]}, schema={INDEX: pl.Int64})
    rows = known.drop(INDEX, strict=False).join(numbers, how="cross")
    names = [
        path if index is None else f"augmented/{tasks.file_stem(path)}_aug{index}.mp4"
        for path, index in rows.select(ORIGINAL, INDEX).iter_rows()
    ]
    return rows.with_columns(pl.Series(KEY, names, pl.String))


def _copy_unit(row: dict[str, Any], made: Path) -> Unit:
    unit = unit_of(row, made, (row[ORIGINAL], row[INDEX]))
    return replace(unit, known=unit.known or {}) if row[INDEX] is None else replace(unit, file=row[ORIGINAL])


def run_features(
    videos: pl.DataFrame, tables: Mapping[Table, Path], options: Options, *, scaled: bool = False
) -> list[StageSummary]:
    """Measure the videos (column ``video_path``) and write each of ``tables`` at its path, one row per video.

    A video is decoded once for all tables that lack its row. Features are float64, null where undefined; a video that
    failed has nulls, ``error`` and ``error_class``.

    With ``scaled`` the videos are a ``scaled_metadata`` table: its files are measured, and rows are named by the
    ``video_path`` of the source. Bars around the picture are left out. The codec cues of ``stage4`` are those of the
    source file.

    Raises:
        DataError: a column of ``scaled_metadata`` is missing, or a file at the path of a table was not written by this
            stage.
    """
    if scaled:
        needed = (KEY, "scaled_path", *tasks.SCALING, *tasks.SOURCE_CODEC)
        require_columns(needed, videos.columns, Path(tasks.SCALED), " (stage=scale writes it)")
    units = [(_scaled_unit if scaled else unit_of)(row, options.made) for row in videos.iter_rows(named=True)]
    stores = {table.name: _feature_store(table, path, options.video) for table, path in tables.items()}
    return run_units(stores, units, videos.select(KEY), partial(tasks.measure, options.video), options)


def _scaled_unit(row: Mapping[str, Any], made: Path) -> Unit:
    unit = unit_of(row, made, row)
    return unit if unit.known else replace(unit, file=str(made.absolute() / row["scaled_path"]))


def _feature_store(table: Table, path: Path, video: VideoConfig) -> TableStore:
    schema: Schema = {**dict.fromkeys(extract.COLUMNS[table], pl.Float64), **PROVENANCE_COLUMNS}
    settings = fingerprint(
        table=table.name, columns=list(schema), version=FEATURE_VERSION, sampling=asdict(video.sampling)
    )
    return TableStore(path, schema, settings, video.limits)
