"""Stages 1 and 3: augmented and letterboxed copies of videos, and the tables that lead to them."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from fvc_exp.config.schema import VideoConfig
from fvc_exp.data import columns, manifest
from fvc_exp.stages import tasks
from fvc_exp.stages.runner import Options, StageSummary, Unit, carried_columns, earlier_failure, file_of, run_units
from fvc_exp.stages.table_store import Schema, TableStore, fingerprint
from fvc_exp.video import perturb, rewrite

ORIGINAL, INDEX = "original_video", "augmentation"

_FRAME_COUNTS: Schema = dict.fromkeys(("frames_total", "frames_ok", "frames_corrupt"), pl.Int64)
AUGMENTED_COLUMNS: Schema = {"operations": pl.String, **_FRAME_COUNTS}
_SIZES = (
    *("original_width", "original_height", "scaled_width", "scaled_height"),
    *("box_x", "box_y", "box_width", "box_height"),
)
SCALED_COLUMNS: Schema = {
    "scaled_path": pl.String,
    **dict.fromkeys(_SIZES, pl.Int64),
    **dict.fromkeys(("is_upscaled", "is_downscaled"), pl.Boolean),
    **dict.fromkeys(tasks.SOURCE_CODEC, pl.Float64),
    **_FRAME_COUNTS,
}


def run_augment(
    videos: pl.DataFrame, *, root: Path, video: VideoConfig, seed: int, options: Options | None = None
) -> StageSummary:
    """Write ``video.augmentations`` files per video below ``made/augmented``, and ``made/augmented.parquet``.

    ``made`` is that of the options, or ``root``, the folder of the videos.

    The table has the originals too. It repeats the input columns and adds ``original_video``, ``augmentation`` (from 0;
    null for the original), ``operations``, and ``group``, which keeps copies of a video together: the input's, else the
    original's path. What is done to a video depends on ``seed`` and its path alone.
    """
    made = (options or Options()).made or root
    rows = _rows(videos, video.augmentations)
    units = [_unit(row) for row in rows.iter_rows(named=True)]
    settings = fingerprint(version=perturb.AUGMENT_VERSION, seed=seed)
    path = made / f"{tasks.AUGMENTED}.parquet"
    store = TableStore(path, AUGMENTED_COLUMNS, settings, limits=video.limits, root=made, output=columns.KEY)
    summaries = run_units(
        {tasks.AUGMENTED: store},
        units,
        carried_columns(rows, tuple(AUGMENTED_COLUMNS)),
        partial(tasks.write_augmented, seed, video.limits, tasks.Destination(made, store.scratch)),
        root=root,
        video=video,
        options=options,
    )
    return summaries[tasks.AUGMENTED]


def run_scale(videos: pl.DataFrame, *, root: Path, video: VideoConfig, options: Options | None = None) -> StageSummary:
    """Write each video as a square of ``video.max_size`` pixels below ``made/scaled``, and their table beside it.

    ``made`` is as in ``run_augment``. ``made/scaled_metadata.parquet`` repeats the input columns; ``video_path``
    stays the name of the source and ``scaled_path`` is the file. ``original_*`` is the upright size in square pixels,
    ``box_*`` the picture inside the square, ``source_codec_*`` the bit rate (bit/s), average frame rate (1/s) and
    pixels per frame of the source, null where unknown.
    """
    made = (options or Options()).made or root
    units = [
        Unit(
            row[columns.KEY],
            file_of(row, made),
            payload=f"scaled/{tasks.file_stem(row[columns.KEY])}.mp4",
            failed=earlier_failure(row),
        )
        for row in videos.iter_rows(named=True)
    ]
    # The sampled frames are key frames, so copies made for another sampling hold other pixels.
    settings = fingerprint(version=rewrite.SCALE_VERSION, max_size=video.max_size, sampling=asdict(video.sampling))
    path = made / f"{tasks.SCALED}.parquet"
    store = TableStore(path, SCALED_COLUMNS, settings, limits=video.limits, root=made, output="scaled_path")
    destination = tasks.Destination(made, store.scratch)
    summaries = run_units(
        {tasks.SCALED: store},
        units,
        carried_columns(videos, tuple(SCALED_COLUMNS)),
        partial(tasks.write_scaled, video.max_size, video.sampling, video.limits, destination),
        root=root,
        video=video,
        options=options,
    )
    return summaries[tasks.SCALED]


def _rows(videos: pl.DataFrame, augmentations: int) -> pl.DataFrame:
    group = next((name for name in columns.GROUP_COLUMNS if name in videos.columns), columns.KEY)
    originals = videos.with_columns(
        pl.col(group).cast(pl.String).alias(manifest.GROUP),
        pl.col(columns.KEY).alias(ORIGINAL),
        pl.lit(None, pl.Int64).alias(INDEX),
    )
    copies = originals.drop(INDEX).join(
        pl.DataFrame({INDEX: range(augmentations)}, schema={INDEX: pl.Int64}), how="cross"
    )
    names = [
        f"augmented/{tasks.file_stem(path)}_aug{index}.mp4"
        for path, index in copies.select(ORIGINAL, INDEX).iter_rows()
    ]
    copies = copies.with_columns(pl.Series(columns.KEY, names, pl.String))
    return pl.concat([originals, copies.select(originals.columns)])


def _unit(row: dict[str, Any]) -> Unit:
    failed = earlier_failure(row)
    if row[INDEX] is None:
        return Unit(row[columns.KEY], row[columns.KEY], known={}, failed=failed)
    return Unit(row[columns.KEY], row[ORIGINAL], payload=(row[ORIGINAL], row[INDEX]), failed=failed)
