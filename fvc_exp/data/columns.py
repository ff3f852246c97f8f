"""The columns that tables of videos share: their names, what they must hold, and the kinds of videos they tell apart.

Every error names the file, the column, the row and the value.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from fvc_exp.errors import DataError, shown_names

KEY, LABEL = "video_path", "label"

GROUP_COLUMNS = ("group", "cascade_id", "dup_group", "original_video", "original", "video_id")  # in any case

_ORIGINALS = ("original_video", "original")  # which video it was made from; of an original itself they may be empty

CLASSES = ("real", "fake")

PLATFORM, MANIPULATION, RESOLUTION = "platform", "manipulation", "resolution"

CONTENT = "content_sha256"

# What kind of video a row is: read for scores of parts and for the baselines, never learned from.
SLICE_SOURCES = (PLATFORM, MANIPULATION, RESOLUTION, "video_url", "width", "height", CONTENT)

Slices = dict[str, tuple[str | None, ...]]

_LABELS = {"real": 0, "fake": 1, "0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}

_HOSTS = {
    "youtube": r"youtube\.com|youtu\.be",
    "facebook": r"facebook\.com|fb\.watch",
    "twitter": r"twitter\.com|//x\.com",
}

_BANDS = ((360, "below 360p"), (720, "360p to 719p"), (1080, "720p to 1079p"))

_LARGEST = 1e150  # its square, summed over 100 million rows, is still a number

_HIGHEST_BAND = "1080p and above"


def require_columns(names: Sequence[str], found: Sequence[str], source: Path) -> None:
    """Do nothing if a table has all of these columns.

    Raises:
        DataError: one is missing.
    """
    for name in names:
        if name not in found:
            raise DataError(f"{source}: column {name!r} is missing; the table has {shown_names(name, found)}")


def require_values(column: pl.Series, source: Path) -> None:
    """Do nothing if no value of a column of text is missing or empty.

    Raises:
        DataError: one is.
    """
    if (missing := column.is_null() | (column == "").fill_null(False)).any():
        raise DataError(f"{source}: column {column.name!r}, row {_first_row(missing)}: the value is missing")


def require_videos(videos: pl.Series, source: Path) -> None:
    """Do nothing if a column names a different video in each row.

    Raises:
        DataError: a name is missing or repeated.
    """
    require_values(videos, source)
    if (repeated := ~videos.is_first_distinct()).any():
        row = _first_row(repeated)
        name = videos[row - 1]
        first = _first_row(videos == name)
        raise DataError(
            f"{source}: column {videos.name!r}, row {row}: {name!r} is in row {first} already; a video has one row"
        )


def label_codes(column: pl.Series, source: Path) -> pl.Series:
    """Labels as 0 (real) and 1 (fake).

    Raises:
        DataError: a value is no label.
    """
    texts = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    codes = texts.replace_strict(_LABELS, default=None, return_dtype=pl.Int64)
    refuse_values(codes.is_null(), column, source, "is not a label; allowed are real/fake or 0/1 (1 = fake)")
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


def refuse_values(wrong: pl.Series, column: pl.Series, source: Path, why: str, videos: pl.Series | None = None) -> None:
    """Raise ``DataError`` with the first value of ``column`` for which ``wrong`` is true, if there is one."""
    if wrong.any():
        row = _first_row(wrong)
        where = f"row {row}" if videos is None else f"row {row} ({videos[row - 1]})"
        raise DataError(f"{source}: column {column.name!r}, {where}: {column[row - 1]!r} {why}")


def group_columns(names: Sequence[str]) -> list[str]:
    """The columns of a table that are named like ``GROUP_COLUMNS``, in their order."""
    return [name for known in GROUP_COLUMNS for name in names if name.lower() == known]


def find_groups(table: pl.DataFrame, source: Path) -> tuple[str | None, pl.Series, tuple[str, ...]]:
    """The first group column in which two videos are together, the group of each video as text, and notes.

    Without such a column it is None, and each video is its own group.

    Raises:
        DataError: a video has no group.
    """
    notes: list[str] = []
    for column in group_columns(table.columns):
        groups = _read_groups(table, column, source)
        if groups.n_unique() < len(groups):
            return column, groups, tuple(notes)
        notes.append(f"column {column!r} names no groups: it has a different value in every row")
    return None, table[KEY], tuple(notes)


def _read_groups(table: pl.DataFrame, column: str, source: Path) -> pl.Series:
    groups = table[column].cast(pl.String).str.strip_chars().replace("", None)
    if column.lower() in _ORIGINALS:
        has_folders = groups.str.contains("/", literal=True).any()
        groups = groups.fill_null(table[KEY] if has_folders else table[KEY].str.split("/").list.last())
    if (missing := groups.is_null()).any():
        name = table.filter(missing)[KEY][0]
        raise DataError(
            f"{source}: column {column!r}: video {name!r} has no group; give every row one, or drop the column"
        )
    return groups


def merge_groups(links: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The new name of each group: the first, in natural order, of all that are connected to it.

    ``links`` are pairs of a group and something in it. Groups that hold the same thing are connected.
    """
    from scipy.cluster.hierarchy import DisjointSet  # slow to import, and rarely needed

    merged, first = DisjointSet(), dict[str, str]()
    for group, member in links:
        merged.add(group)
        merged.merge(group, first.setdefault(member, group))
    names = ((min(subset, key=_natural), subset) for subset in merged.subsets())
    return {group: name for name, subset in names for group in subset}


def join_equal_files(groups: pl.Series, content: pl.Series) -> pl.Series:
    """The groups with those made one that hold files of equal content (a hash per video, or null)."""
    is_copy = content.is_duplicated() & content.is_not_null()
    links = zip(groups.filter(is_copy), content.filter(is_copy), strict=True)
    return groups.replace(merge_groups(links)) if is_copy.any() else groups


def require_finite(column: pl.Series, videos: pl.Series, source: Path) -> None:
    """Do nothing if every number of a column can be standardised; it may be missing.

    Raises:
        DataError: one is infinite, or so large that the variance overflows.
    """
    if (wrong := (column.abs() > _LARGEST).fill_null(False)).any():
        why = "is not a finite number; use an empty value for what is not known"
        refuse_values(column.is_infinite().fill_null(False), column, source, why, videos)
        why = f"is too large to be standardised (above {_LARGEST:g}); nan_to_num writes infinity so: leave it empty"
        refuse_values(wrong, column, source, why, videos)


def find_slices(frame: pl.DataFrame) -> Slices:
    """The slices that the columns of a table give, one value per row, None where it is not known.

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


def _natural(name: str) -> tuple[tuple[int, str], ...]:
    """Sort key that puts f9 before f10."""
    return tuple((int(part) if part.isdigit() else -1, part) for part in re.split(r"(\d+)", name))


def _first_row(mask: pl.Series) -> int:
    """1-based number of the first True."""
    return int(mask.arg_true()[0]) + 1


def _platform(frame: pl.DataFrame) -> pl.Series:
    url = pl.col("video_url").cast(pl.String)
    choice = pl.coalesce(*(pl.when(url.str.contains(host)).then(pl.lit(name)) for name, host in _HOSTS.items()))
    return frame.select(choice.alias(PLATFORM)).to_series()


def _band(frame: pl.DataFrame) -> pl.Series:
    side = pl.min_horizontal(pl.col("width", "height").cast(pl.Float64))
    bands = pl.coalesce(*(pl.when(side < limit).then(pl.lit(name)) for limit, name in _BANDS), pl.lit(_HIGHEST_BAND))
    known = pl.col("width").is_not_null() & pl.col("height").is_not_null()
    return frame.select(pl.when(known).then(bands).alias(RESOLUTION)).to_series()
