"""Columns that say what kind of video a row is: for metrics of parts and for the floors, never for learning."""

from __future__ import annotations

import polars as pl

PLATFORM, MANIPULATION, RESOLUTION = "platform", "manipulation", "resolution"


CONTENT = "content_sha256"


# The source columns, and nothing else of a table, are kept for this.
SOURCES = (PLATFORM, MANIPULATION, RESOLUTION, "video_url", "width", "height", CONTENT)


_HOSTS = {
    "youtube": r"youtube\.com|youtu\.be",
    "facebook": r"facebook\.com|fb\.watch",
    "twitter": r"twitter\.com|//x\.com",
}


_BANDS = ((360, "below 360p"), (720, "360p to 719p"), (1080, "720p to 1079p"))


_HIGHEST_BAND = "1080p and above"


Slices = dict[str, tuple[str | None, ...]]


def find_slices(frame: pl.DataFrame) -> Slices:
    """The slices that the columns of a table give, one value a row, None where it is not known.

    ``platform`` is that column, or follows from ``video_url``; ``resolution`` is that column, or the band that the
    shorter side of ``width`` x ``height`` lies in; ``manipulation`` is that column. A slice without any value is left
    out.
    """
    found: dict[str, pl.Series] = {}
    if PLATFORM in frame.columns:
        found[PLATFORM] = frame[PLATFORM].cast(pl.String).str.strip_chars().str.to_lowercase()
    elif "video_url" in frame.columns:
        found[PLATFORM] = _platform(frame)
    if MANIPULATION in frame.columns:
        found[MANIPULATION] = frame[MANIPULATION].cast(pl.String)
    if RESOLUTION in frame.columns:
        found[RESOLUTION] = frame[RESOLUTION].cast(pl.String)
    elif {"width", "height"} <= set(frame.columns):
        found[RESOLUTION] = _band(frame)
    return {name: tuple(values) for name, values in found.items() if values.drop_nulls().len()}


def _platform(frame: pl.DataFrame) -> pl.Series:
    url = pl.col("video_url").cast(pl.String)
    choice = pl.coalesce(*(pl.when(url.str.contains(host)).then(pl.lit(name)) for name, host in _HOSTS.items()))
    return frame.select(choice.alias(PLATFORM)).to_series()


def _band(frame: pl.DataFrame) -> pl.Series:
    side = pl.min_horizontal(pl.col("width", "height").cast(pl.Float64))
    bands = pl.coalesce(*(pl.when(side < limit).then(pl.lit(name)) for limit, name in _BANDS), pl.lit(_HIGHEST_BAND))
    known = pl.col("width").is_not_null() & pl.col("height").is_not_null()
    return frame.select(pl.when(known).then(bands).alias(RESOLUTION)).to_series()
