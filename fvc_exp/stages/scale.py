"""Stage 3: letterboxed copies of all videos, and the table that leads to them."""

from dataclasses import asdict
from functools import partial
from pathlib import Path

import polars as pl

from fvc_exp.config.schema import VideoConfig
from fvc_exp.data.columns import KEY
from fvc_exp.stages.runner import Options, StageSummary, Unit, carried_columns, earlier_failure, run_units
from fvc_exp.stages.table_store import Schema, TableStore, fingerprint
from fvc_exp.stages.tasks import SCALED, SOURCE_CODEC, Destination, file_stem, write_scaled
from fvc_exp.video.rewrite import SCALE_VERSION

FOLDER = "scaled"


_SIZES = (
    *("original_width", "original_height", "scaled_width", "scaled_height"),
    *("box_x", "box_y", "box_width", "box_height"),
)


COMPUTED: Schema = {
    "scaled_path": pl.String,
    **dict.fromkeys(_SIZES, pl.Int64),
    **dict.fromkeys(("is_upscaled", "is_downscaled"), pl.Boolean),
    **dict.fromkeys(SOURCE_CODEC, pl.Float64),
    **dict.fromkeys(("frames_total", "frames_ok", "frames_corrupt"), pl.Int64),
}


def run_scale(videos: pl.DataFrame, *, root: Path, video: VideoConfig, options: Options | None = None) -> StageSummary:
    """Write each video as a square of ``video.max_size`` pixels below ``root/scaled``, and their table beside it.

    ``root/scaled_metadata.parquet`` repeats the input columns; ``video_path`` stays the name of the source and
    ``scaled_path`` is the file. ``original_*`` is the upright size in square pixels, ``box_*`` the picture inside the
    square, ``source_codec_*`` the bit rate (bit/s), average frame rate (1/s) and pixels a frame of the source, null
    where unknown.
    """
    units = [
        Unit(row[KEY], row[KEY], payload=f"{FOLDER}/{file_stem(row[KEY])}.mp4", failed=earlier_failure(row))
        for row in videos.iter_rows(named=True)
    ]
    # The sampled frames are key frames, so copies made for another sampling hold other pixels.
    settings = fingerprint(version=SCALE_VERSION, max_size=video.max_size, sampling=asdict(video.sampling))
    store = TableStore(root / "scaled_metadata.parquet", COMPUTED, settings, root=root, output="scaled_path")
    summaries = run_units(
        {SCALED: store},
        units,
        carried_columns(videos, tuple(COMPUTED)),
        lambda stores: partial(
            write_scaled, video.max_size, video.sampling, video.limits, Destination(root, stores[SCALED].scratch)
        ),
        root=root,
        video=video,
        options=options or Options(),
    )
    return summaries[SCALED]
