"""Stages 2 and 4: feature tables of the input videos and of the scaled ones."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from fvc_exp.config.schema import Table, VideoConfig
from fvc_exp.data.columns import KEY
from fvc_exp.errors import DataError
from fvc_exp.features.extract import COLUMNS, FEATURE_VERSION, PROVENANCE_COLUMNS
from fvc_exp.stages.runner import Options, StageSummary, Unit, earlier_failure, file_of, run_units
from fvc_exp.stages.table_store import Schema, TableStore, fingerprint
from fvc_exp.stages.tasks import SCALING, SOURCE_CODEC, measure, scaled_file

_PROVENANCE_TYPES: Schema = {
    **dict.fromkeys(("frames_total", "frames_sampled", "frames_ok", "frames_corrupt"), pl.Int64),
    **dict.fromkeys(("width", "height", "rotation"), pl.Int64),
    **dict.fromkeys(("codec", "pix_fmt", "feature_version", "content_sha256"), pl.String),
    "is_vfr": pl.Boolean,
    "duration_s": pl.Float64,
}


def run_features(
    videos: pl.DataFrame,
    tables: Mapping[Table, Path],
    *,
    root: Path,
    video: VideoConfig,
    options: Options | None = None,
) -> dict[Table, StageSummary]:
    """Measure the videos (column ``video_path``) and write each of ``tables`` at its path, one row per video.

    A video is decoded once for all tables that lack its row. Features are float64, null where undefined; a video that
    failed has nulls, ``error`` and ``error_class``.

    Raises:
        DataError: a file at the path of a table was not written by this stage.
    """
    made = (options or Options()).made or root
    rows = videos.iter_rows(named=True)
    units = [Unit(row[KEY], file_of(row, made), failed=earlier_failure(row)) for row in rows]
    return _run(units, tables, root, video, options)


def run_scaled_features(
    scaled: pl.DataFrame,
    tables: Mapping[Table, Path],
    *,
    root: Path,
    video: VideoConfig,
    options: Options | None = None,
) -> dict[Table, StageSummary]:
    """Measure the files of a ``scaled_metadata`` table; rows are named by the ``video_path`` of the source.

    Bars around the picture are left out. The codec cues of ``stage4`` are those of the source file.

    Raises:
        DataError: a column of ``scaled_metadata`` is missing, or a table was not written by this stage.
    """
    for name in (KEY, "scaled_path", *SCALING, *SOURCE_CODEC):
        if name not in scaled.columns:
            raise DataError(
                f"scaled_metadata: column {name!r} is missing; the table has {', '.join(scaled.columns)} "
                "(stage=scale writes it)"
            )
    made = (options or Options()).made or root
    units = [_scaled_unit(row, made) for row in scaled.iter_rows(named=True)]
    return _run(units, tables, root, video, options)


def _scaled_unit(row: Mapping[str, Any], made: Path) -> Unit:
    if failed := earlier_failure(row):
        return Unit(row[KEY], file_of(row, made), failed=failed)
    return Unit(row[KEY], str(made.absolute() / row["scaled_path"]), scaled_file(row))


def _run(
    units: Sequence[Unit], tables: Mapping[Table, Path], root: Path, video: VideoConfig, options: Options | None
) -> dict[Table, StageSummary]:
    stores = {table.name: _store(table, path, video) for table, path in tables.items()}
    keys = pl.DataFrame({KEY: [unit.key for unit in units]}, schema={KEY: pl.String})
    function = partial(measure, video.sampling, video.limits)
    summaries = run_units(stores, units, keys, function, root=root, video=video, options=options)
    return {table: summaries[table.name] for table in tables}


def _store(table: Table, path: Path, video: VideoConfig) -> TableStore:
    columns: Schema = {
        **dict.fromkeys(COLUMNS[table], pl.Float64),
        **{name: _PROVENANCE_TYPES[name] for name in PROVENANCE_COLUMNS},
    }
    settings = fingerprint(
        table=table.name, columns=list(columns), version=FEATURE_VERSION, sampling=asdict(video.sampling)
    )
    return TableStore(path, columns, settings, limits=video.limits)
