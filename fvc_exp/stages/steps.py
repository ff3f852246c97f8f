"""Stages 1 to 4: augmented copies, features, letterboxed copies and their features, each with its table."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from fvc_exp.config.schema import Table, VideoConfig
from fvc_exp.data import columns, manifest
from fvc_exp.features import extract
from fvc_exp.io import files
from fvc_exp.stages import tasks
from fvc_exp.stages.runner import Options, StageSummary, Unit, run_units, unit_of
from fvc_exp.stages.table_store import Schema, TableStore, fingerprint
from fvc_exp.video import perturb, rewrite

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
    store = TableStore(path, AUGMENTED_COLUMNS, settings, limits=limits, output=columns.KEY)
    _make_folder(options.made / "augmented")
    write = partial(tasks.write_augmented, seed, limits, options.made)
    return run_units({tasks.AUGMENTED: store}, units, rows, write, options)


def _make_folder(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)
    files.remove_abandoned(path)


def run_scale(videos: pl.DataFrame, options: Options) -> list[StageSummary]:
    """Write each video as a square of ``video.max_size`` pixels below ``made/scaled``, and their table beside it.

    ``made/scaled_metadata.parquet`` repeats the input columns; ``video_path``
    stays the name of the source and ``scaled_path`` is the file. ``original_*`` is the upright size in square pixels,
    ``box_*`` the picture inside the square, ``source_codec_*`` the bit rate (bit/s), average frame rate (1/s) and
    pixels per frame of the source, null where unknown.
    """
    made, video = options.made, options.video
    rows = videos.iter_rows(named=True)
    units = [unit_of(row, made, f"scaled/{tasks.file_stem(row[columns.KEY])}.mp4") for row in rows]
    # The sampled frames are key frames, so copies made for another sampling hold other pixels.
    settings = fingerprint(version=rewrite.SCALE_VERSION, max_size=video.max_size, sampling=asdict(video.sampling))
    path = made / f"{tasks.SCALED}.parquet"
    store = TableStore(path, SCALED_COLUMNS, settings, limits=video.limits, output="scaled_path")
    _make_folder(made / "scaled")
    write = partial(tasks.write_scaled, video.max_size, video.sampling, video.limits, made)
    return run_units({tasks.SCALED: store}, units, videos, write, options)


def _copied_rows(videos: pl.DataFrame, augmentations: int) -> pl.DataFrame:
    group = next((name for name in columns.GROUP_COLUMNS if name in videos.columns), columns.KEY)
    originals = videos.with_columns(
        pl.col(group).cast(pl.String).alias(manifest.GROUP),
        pl.col(columns.KEY).alias(ORIGINAL),
        pl.lit(None, pl.Int64).alias(INDEX),
    )
    numbers = pl.DataFrame({INDEX: range(augmentations)}, schema={INDEX: pl.Int64})
    copies = originals.drop(INDEX).join(numbers, how="cross")
    pairs = copies.select(ORIGINAL, INDEX).iter_rows()
    names = [f"augmented/{tasks.file_stem(path)}_aug{index}.mp4" for path, index in pairs]
    copies = copies.with_columns(pl.Series(columns.KEY, names, pl.String))
    return pl.concat([originals, copies.select(originals.columns)])


def _copy_unit(row: dict[str, Any], made: Path) -> Unit:
    unit = unit_of(row, made, (row[ORIGINAL], row[INDEX]))
    return replace(unit, known=unit.known or {}) if row[INDEX] is None else replace(unit, file=row[ORIGINAL])


def run_features(videos: pl.DataFrame, tables: Mapping[Table, Path], options: Options) -> list[StageSummary]:
    """Measure the videos (column ``video_path``) and write each of ``tables`` at its path, one row per video.

    A video is decoded once for all tables that lack its row. Features are float64, null where undefined; a video that
    failed has nulls, ``error`` and ``error_class``.

    Raises:
        DataError: a file at the path of a table was not written by this stage.
    """
    units = [unit_of(row, options.made) for row in videos.iter_rows(named=True)]
    return _run_features(units, tables, options)


def run_scaled_features(scaled: pl.DataFrame, tables: Mapping[Table, Path], options: Options) -> list[StageSummary]:
    """Measure the files of a ``scaled_metadata`` table; rows are named by the ``video_path`` of the source.

    Bars around the picture are left out. The codec cues of ``stage4`` are those of the source file.

    Raises:
        DataError: a column of ``scaled_metadata`` is missing, or a table was not written by this stage.
    """
    needed = (columns.KEY, "scaled_path", *tasks.SCALING, *tasks.SOURCE_CODEC)
    columns.require_columns(needed, scaled.columns, Path(tasks.SCALED), " (stage=scale writes it)")
    units = [_scaled_unit(row, options.made) for row in scaled.iter_rows(named=True)]
    return _run_features(units, tables, options)


def _scaled_unit(row: Mapping[str, Any], made: Path) -> Unit:
    unit = unit_of(row, made, row)
    return unit if unit.known else replace(unit, file=str(made.absolute() / row["scaled_path"]))


def _run_features(units: Sequence[Unit], tables: Mapping[Table, Path], options: Options) -> list[StageSummary]:
    stores = {table.name: _feature_store(table, path, options.video) for table, path in tables.items()}
    keys = pl.DataFrame({columns.KEY: [unit.key for unit in units]}, schema={columns.KEY: pl.String})
    function = partial(tasks.measure, options.video.sampling, options.video.limits)
    return run_units(stores, units, keys, function, options)


def _feature_store(table: Table, path: Path, video: VideoConfig) -> TableStore:
    schema: Schema = {**dict.fromkeys(extract.COLUMNS[table], pl.Float64), **PROVENANCE_COLUMNS}
    settings = fingerprint(
        table=table.name, columns=list(schema), version=extract.FEATURE_VERSION, sampling=asdict(video.sampling)
    )
    return TableStore(path, schema, settings, limits=video.limits)
