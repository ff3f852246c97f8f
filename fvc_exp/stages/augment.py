"""Stage 1: each video and its seeded augmentations, as files and as a table."""

from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from fvc_exp.config.schema import VideoConfig
from fvc_exp.data.columns import GROUP_COLUMNS, KEY
from fvc_exp.data.manifest import GROUP
from fvc_exp.stages.runner import Options, StageSummary, Unit, carried_columns, earlier_failure, run_units
from fvc_exp.stages.table_store import Schema, TableStore, fingerprint
from fvc_exp.stages.tasks import AUGMENTED, Destination, file_stem, write_augmented
from fvc_exp.video.perturb import AUGMENT_VERSION

FOLDER = "augmented"


ORIGINAL = "original_video"


INDEX = "augmentation"


COMPUTED: Schema = {
    "operations": pl.String,
    "frames_total": pl.Int64,
    "frames_ok": pl.Int64,
    "frames_corrupt": pl.Int64,
}


def run_augment(
    videos: pl.DataFrame, *, root: Path, video: VideoConfig, seed: int, options: Options | None = None
) -> StageSummary:
    """Write ``video.augmentations`` files a video below ``root/augmented``, and ``root/augmented.parquet``.

    The table has the originals too. It repeats the input columns and adds ``original_video``, ``augmentation`` (from 0;
    null for the original), ``operations``, and ``group``, which keeps copies of a video together: the input's, else the
    original's path. What is done to a video depends on ``seed`` and its path alone.
    """
    rows = _rows(videos, video.augmentations)
    units = [_unit(row) for row in rows.iter_rows(named=True)]
    settings = fingerprint(version=AUGMENT_VERSION, seed=seed)
    store = TableStore(root / "augmented.parquet", COMPUTED, settings, root=root, output=KEY)
    summaries = run_units(
        {AUGMENTED: store},
        units,
        carried_columns(rows, tuple(COMPUTED)),
        lambda stores: partial(write_augmented, seed, video.limits, Destination(root, stores[AUGMENTED].scratch)),
        root=root,
        video=video,
        options=options or Options(),
    )
    return summaries[AUGMENTED]


def _rows(videos: pl.DataFrame, augmentations: int) -> pl.DataFrame:
    group = next((name for name in GROUP_COLUMNS if name in videos.columns), KEY)
    originals = videos.with_columns(
        pl.col(group).cast(pl.String).alias(GROUP),
        pl.col(KEY).alias(ORIGINAL),
        pl.lit(None, pl.Int64).alias(INDEX),
    )
    copies = originals.drop(INDEX).join(
        pl.DataFrame({INDEX: range(augmentations)}, schema={INDEX: pl.Int64}), how="cross"
    )
    names = [f"{FOLDER}/{file_stem(path)}_aug{index}.mp4" for path, index in copies.select(ORIGINAL, INDEX).iter_rows()]
    copies = copies.with_columns(pl.Series(KEY, names, pl.String))
    return pl.concat([originals, copies.select(originals.columns)])


def _unit(row: dict[str, Any]) -> Unit:
    failed = earlier_failure(row)
    if row[INDEX] is None:
        return Unit(row[KEY], row[KEY], known={}, failed=failed)
    return Unit(row[KEY], row[ORIGINAL], payload=(row[ORIGINAL], row[INDEX]), failed=failed)
