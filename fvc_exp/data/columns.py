"""The columns that tables of videos share: their names, what they must hold, and the kinds of videos they tell apart.

Every error names the file, the column, the row and the value.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fvc_exp.errors import DataError, shown_names

if TYPE_CHECKING:
    import polars as pl

KEY, LABEL = "video_path", "label"

GROUP_COLUMNS = ("group", "cascade_id", "dup_group", "original_video", "original", "video_id")  # in any case

CLASSES = ("real", "fake")

# How the names of the files end that ``video_path`` names.
VIDEO_EXTENSIONS = (
    *(".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".flv", ".wmv", ".gif"),
    *(".ts", ".mts", ".m2ts", ".mpg", ".mpeg"),
)

SLICES = PLATFORM, MANIPULATION, RESOLUTION = "platform", "manipulation", "resolution"

CONTENT = "content_sha256"

# What kind of video a row is: read for scores of parts and for the baselines, never learned from.
SLICE_SOURCES = (*SLICES, "video_url", "width", "height", CONTENT)

Slices = dict[str, tuple[str | None, ...]]

LABEL_WORDS = {
    **dict.fromkeys(("real", "original", "pristine", "bonafide", "bona-fide", "genuine", "authentic"), 0),
    **dict.fromkeys(("fake", "manipulated", "spoof", "spoofed", "forged", "forgery", "deepfake"), 1),
}
_CODES = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "-1": 0, "-1.0": 0, "false": 0, "true": 1}
_OF_REAL = re.compile(r"(is[_ -]?)?(real|original|pristine|bona[_ -]?fide|genuine|authentic)")

_HOSTS = {
    "youtube": r"youtube\.com|youtu\.be",
    "facebook": r"facebook\.com|fb\.watch",
    "twitter": r"twitter\.com|//x\.com",
}

_BANDS = ((360, "below 360p"), (720, "360p to 719p"), (1080, "720p to 1079p"))

_LARGEST = 1e150  # its square, summed over 100 million rows, is still a number

_HIGHEST_BAND = "1080p and above"


def few(names: Sequence[str], most: int = 3) -> str:
    """The first of these names, for a message."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def require_columns(names: Sequence[str], found: Sequence[str], source: Path, hint: str = "") -> None:
    """Do nothing if a table has all of these columns.

    Raises:
        DataError: one is missing.
    """
    for name in names:
        if name not in found:
            raise DataError(f"{source}: column {name!r} is missing; the table has {shown_names(name, found)}{hint}")


def require_values(column: pl.Series, source: Path) -> None:
    """Do nothing if no value of a column of text is missing or empty.

    Raises:
        DataError: one is.
    """
    if (missing := column.is_null() | (column == "").fill_null(False)).any():
        raise DataError(f"{source}: column {column.name!r}, row {_first_row(missing)}: the value is missing")


def label_codes(column: pl.Series, source: Path, positive: Sequence[str] = ()) -> pl.Series:
    """Labels as 0 (real) and 1 (fake). With ``positive`` these values are fake, in any case, and all others real.

    Raises:
        DataError: a value is missing or no label, -1 stands beside 0, a value of ``positive`` is not in the column, or
            the column is called like what is real and holds 0 and 1.
    """
    texts = column.cast(str).str.strip_chars().str.to_lowercase().replace("", None)
    found = texts.unique().drop_nulls().sort().to_list()
    if positive:
        fakes = {each.strip().lower() for each in positive}
        if absent := fakes - set(found):
            shown, name = ", ".join(map(repr, found[:10])), min(absent)
            raise DataError(f"{source}: column {column.name!r}: data.positive={name} is no value; there are {shown}")
        refuse_values(texts.is_null(), column, source, "is not a label; the value is missing")
        return texts.is_in(list(fakes)).cast(int).alias(column.name)
    if _OF_REAL.fullmatch(column.name.lower()) and set(found) <= _CODES.keys():
        raise DataError(
            f"{source}: column {column.name!r}: its name says that 1 may be real; say which value is fake: "
            f"data.positive={found[0] if found else 0}"
        )
    codes = texts.replace_strict({**LABEL_WORDS, **_CODES}, default=None).cast(int)
    is_three = {float(each) for each in found if each in _CODES and each not in ("false", "true")} == {-1, 0, 1}
    why = "is not a label; allowed are real/fake or 0/1 (1 = fake)"
    if len(found) == len(CLASSES):
        why += f"; if fakes are {found[0]!r}: data.positive={found[0]}"
    refuse_values(codes.is_null() | (texts.is_in(["-1", "-1.0"]) & is_three), column, source, why)
    return codes


def two_class_codes(column: pl.Series, source: Path, positive: Sequence[str] = ()) -> pl.Series:
    """``label_codes`` of a table to learn from or to judge.

    Raises:
        DataError: a value is no label, or all are of one class.
    """
    codes = label_codes(column, source, positive)
    if codes.n_unique() == 1:
        raise DataError(f"{source}: column {codes.name!r}: every row is {CLASSES[codes[0]]!r}; two classes are needed")
    return codes


def refuse_values(wrong: pl.Series, column: pl.Series, source: Path, why: str, videos: pl.Series | None = None) -> None:
    """Raise ``DataError`` with the first value of ``column`` for which ``wrong`` is true, if there is one."""
    if wrong.any():
        row = _first_row(wrong)
        where = f"row {row}" if videos is None else f"row {row} ({videos[row - 1]})"
        raise DataError(f"{source}: column {column.name!r}, {where}: {column[row - 1]!r} {why}")


def require_finite(column: pl.Series, videos: pl.Series, source: Path) -> None:
    """Do nothing if every number of a column can be standardised; it may be missing.

    Raises:
        DataError: one is infinite, or so large that the variance overflows.
    """
    why = "is not a finite number; use an empty value for what is not known"
    refuse_values(column.is_infinite().fill_null(False), column, source, why, videos)
    why = f"is too large to be standardised (above {_LARGEST:g}); nan_to_num writes infinity so: leave it empty"
    refuse_values((column.abs() > _LARGEST).fill_null(False), column, source, why, videos)


def find_slices(frame: pl.DataFrame) -> Slices:
    """The slices that the columns of a table give, one value per row, None where it is not known.

    ``platform`` is that column, or follows from ``video_url``; ``resolution`` is that column, or the band that the
    shorter side of ``width`` x ``height`` lies in; ``manipulation`` is that column. A slice without any value is left
    out.
    """
    found = {name: frame[name].cast(str) for name in SLICES if name in frame.columns}
    if PLATFORM in found:
        found[PLATFORM] = found[PLATFORM].str.strip_chars().str.to_lowercase()
    elif "video_url" in frame.columns:
        found[PLATFORM] = _platform(frame)
    if RESOLUTION not in found and {"width", "height"} <= set(frame.columns):
        found[RESOLUTION] = _band(frame)
    return {name: tuple(found[name]) for name in SLICES if name in found and found[name].count()}


def _first_row(mask: pl.Series) -> int:
    """1-based number of the first True."""
    return int(mask.arg_true()[0]) + 1


def _platform(frame: pl.DataFrame) -> pl.Series:
    import polars as pl

    url = pl.col("video_url").cast(pl.String)
    choice = pl.coalesce(*(pl.when(url.str.contains(host)).then(pl.lit(name)) for name, host in _HOSTS.items()))
    return frame.select(choice.alias(PLATFORM)).to_series()


def _band(frame: pl.DataFrame) -> pl.Series:
    import polars as pl

    side = pl.min_horizontal(pl.col("width", "height").cast(pl.Float64))
    bands = pl.coalesce(*(pl.when(side < limit).then(pl.lit(name)) for limit, name in _BANDS), pl.lit(_HIGHEST_BAND))
    known = pl.col("width").is_not_null() & pl.col("height").is_not_null()
    return frame.select(pl.when(known).then(bands).alias(RESOLUTION)).to_series()
