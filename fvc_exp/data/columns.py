"""The columns that tables of videos share, and what they must hold: a mistake names file, column, row and value."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from fvc_exp.errors import DataError

KEY = "video_path"


LABEL = "label"


GROUP_COLUMNS = ("group", "cascade_id", "dup_group", "original_video", "video_id")


CLASSES = ("real", "fake")


_LABELS = {"real": 0, "fake": 1, "0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}


def require_columns(names: Sequence[str], found: Sequence[str], source: Path) -> None:
    """Do nothing if a table has all of these columns.

    Raises:
        DataError: one is missing.
    """
    for name in names:
        if name not in found:
            raise DataError(f"{source}: column {name!r} is missing; the table has {', '.join(found)}")


def require_values(column: pl.Series, source: Path) -> None:
    """Do nothing if no value of a column of text is missing or empty.

    Raises:
        DataError: one is.
    """
    if (missing := column.is_null() | (column == "").fill_null(False)).any():
        raise DataError(f"{source}: column {column.name!r}, row {_first_row(missing)}: the value is missing")


def require_videos(videos: pl.Series, source: Path) -> None:
    """Do nothing if a column names a video in each row, none of them twice.

    Raises:
        DataError: a name is missing, or stands twice.
    """
    require_values(videos, source)
    if (repeated := ~videos.is_first_distinct()).any():
        row = _first_row(repeated)
        name = videos[row - 1]
        first = _first_row(videos == name)
        raise DataError(
            f"{source}: column {videos.name!r}, row {row}: {name!r} stands in row {first} already; a video has one row"
        )


def label_codes(column: pl.Series, source: Path) -> pl.Series:
    """Labels as 0 (real) and 1 (fake).

    Raises:
        DataError: a value is no label.
    """
    texts = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    codes = texts.replace_strict(_LABELS, default=None, return_dtype=pl.Int64)
    if (wrong := codes.is_null()).any():
        row = _first_row(wrong)
        raise DataError(
            f"{source}: column {column.name!r}, row {row}: {column[row - 1]!r} is not a label; "
            "allowed are real/fake or 0/1 (1 = fake)"
        )
    return codes


def two_class_codes(column: pl.Series, source: Path) -> pl.Series:
    """``label_codes`` of a table to learn from or to judge.

    Raises:
        DataError: a value is no label, or all are of one class.
    """
    codes = label_codes(column, source)
    if codes.n_unique() == 1:
        label = CLASSES[codes[0]]
        raise DataError(f"{source}: column {codes.name!r}: every row is {label!r}; two classes are needed")
    return codes


def require_finite(column: pl.Series, videos: pl.Series, source: Path) -> None:
    """Do nothing if no number of a column is infinite; it may be missing.

    Raises:
        DataError: one is.
    """
    if (infinite := column.is_infinite().fill_null(False)).any():
        row = _first_row(infinite)
        raise DataError(
            f"{source}: column {column.name!r}, row {row} ({videos[row - 1]}): {column[row - 1]} is not a finite "
            "number; use an empty value for what is not known"
        )


def _first_row(mask: pl.Series) -> int:
    """1-based number of the first True."""
    return int(mask.arg_true()[0]) + 1
