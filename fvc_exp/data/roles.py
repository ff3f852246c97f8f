"""Which column of a table names its rows, which is the label and which are groups; keys and groups as text."""

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from fvc_exp.config.schema import DataConfig
from fvc_exp.data import columns
from fvc_exp.errors import DataError
from fvc_exp.io.tables import NULL_WORDS

# Usual names in any case, with blanks and hyphens as _, the likeliest first.
_PATHS = ("video_path", "path", "file_path", "filepath", "file", "filename", "file_name", "video", "clip")
_KEYS = (*_PATHS, "video_name", "video_id", "sample_id", "key", "name", "id", "uuid")
_LABELS = (
    *("label", "labels", "class", "target", "is_fake", "isfake", "fake", "is_deepfake", "deepfake"),
    *("ground_truth", "gt", "truth", "y", "category", "is_real", "isreal", "real"),
)
_GROUPS = (
    *columns.GROUP_COLUMNS,
    *("groups", "group_id", "source_video", "source_id", "event", "event_id"),
    *("identity", "subject", "subject_id", "speaker", "speaker_id", "person_id", "folder"),
)
_MOST_IN_FLOAT = 2**53  # above it, neighbouring integers are one float
_LONG_FLOAT = r"^\d\.\d{5,}[eE]\+?(1[5-9]|[2-9]\d)$"
_ROUNDED = (
    "is a rounded number: an id this long was read as a float before the table was written; read it as text "
    "(pandas: dtype=str) and write the table again"
)
_SEARCHED = 2000  # names that a nearest one is looked for among


@dataclass(frozen=True)
class Roles:
    """The columns of a table by what they are for. ``named`` are the group columns that the user named, else none."""

    key: str | None
    label: str
    named: tuple[str, ...]
    usual: tuple[str, ...]


def text_columns(*named: str | None) -> Callable[[str], bool]:
    """Whether a column of a CSV is read as text: it may be the key or name groups, or is ``named`` as one of them."""
    others = [name.lower() for name in named if name]
    return lambda column: _plain(column) in (*_KEYS, *_GROUPS) or column.lower() in others


def name_rows(
    table: pl.DataFrame, source: Path, wanted: DataConfig, root: Path | None = None, *, needs_key: bool = True
) -> tuple[pl.DataFrame, Roles]:
    """The table with the names of its rows as ``video_path``, else their numbers from 1, and what its columns are for.

    Key, label and groups are the columns that ``wanted`` names, else those with their usual names in any case.

    Raises:
        DataError: a named column is not there, no column is a label, none is the key that is needed, a row has no name
            of its own, or there are no rows.
    """
    names = table.columns
    label = named_column(wanted.label, names, "data.label", source) or next(iter(_usual(_LABELS, names)), None)
    if label is None:
        columns.require_columns([columns.LABEL], names, source, "; name yours: data.label=COLUMN")
    groups = tuple(str(named_column(name, names, "data.group", source)) for name in wanted.group)
    key = find_key(table, source, wanted.key, {label or "", *groups}, is_needed=needs_key)
    if table.is_empty():
        raise DataError(f"{source}: the table has no rows")
    if key:
        keys = read_keys(table[key], source, root)
    else:  # in the order of the table, as text
        keys = pl.int_range(1, len(table) + 1, eager=True).cast(pl.String).str.zfill(len(str(len(table))))
    usual = tuple(name for name in _usual(_GROUPS, names) if name not in (key, label))
    return table.drop(key or ()).with_columns(keys.alias(columns.KEY)), Roles(key, str(label), groups, usual)


def find_key(
    table: pl.DataFrame, source: Path, wanted: str | None, taken: Collection[str] = (), *, is_needed: bool = True
) -> str | None:
    """The column that names the rows: the one named ``video_path``, else the first of a usual name without repeats.

    Raises:
        DataError: there is none, and it ``is_needed``; or a column of paths has repeats.
    """
    names = [name for name in table.columns if name not in taken]
    if wanted or columns.KEY in names:
        return named_column(wanted, names, "data.key", source) or columns.KEY
    for name in _usual(_KEYS, names):
        if table[name].null_count() == 0 and table[name].is_unique().all():
            return name
        if _plain(name) in _PATHS:
            raise DataError(
                f"{source}: column {name!r} does not name one row each: a value is missing or repeated; where a video "
                f"has several rows, keep them together: data.group={name}; another column may be data.key=COLUMN"
            )
    if is_needed:
        columns.require_columns([columns.KEY], table.columns, source, "; name yours: data.key=COLUMN")
    return None


def read_keys(column: pl.Series, source: Path, root: Path | None = None) -> pl.Series:
    """The names of the rows, ``video_path``: text, a different one in each row; those below ``root`` relative to it.

    Raises:
        DataError: a name is missing or repeated, or was rounded.
    """
    keys = to_paths(column, source, root).alias(column.name)
    columns.require_values(keys, source)
    repeated = ~keys.is_first_distinct()
    if repeated.any():
        name = keys.filter(repeated)[0]
        first, row = (int(place) + 1 for place in (keys == name).arg_true()[:2])
        raise DataError(
            f"{source}: column {keys.name!r}, row {row}: {name!r} is in row {first} already; a video has one row"
        )
    return keys.alias(columns.KEY)


def named_column(wanted: str | None, names: Sequence[str], setting: str, source: Path) -> str | None:
    """The column of this name, else the one that has it in another case; None if nothing is wanted.

    Raises:
        DataError: there is none, or there are several that differ in case.
    """
    if not wanted or wanted in names:
        return wanted or None
    found = [name for name in names if name.lower() == wanted.lower()]
    if len(found) != 1:
        near = ", ".join(map(repr, found or nearest(wanted, names)))
        raise DataError(f"{source}: {setting}={wanted}: no such column; nearest are {near}")
    return found[0]


def nearest(name: str, names: Iterable[str], count: int = 3) -> list[str]:
    """The names most like this one, the nearest first; of very many only the first few thousand are looked at."""
    return difflib.get_close_matches(name, list(names)[:_SEARCHED], n=count, cutoff=0)


def to_text(column: pl.Series, source: Path) -> pl.Series:
    """Keys or groups as text without blanks around it; what is empty, NaN or a word for nothing is null.

    Whole floats, which pandas makes of integers beside a missing one, are written as integers.

    Raises:
        DataError: a value is a float too long to hold every digit of an id.
    """
    if column.dtype.is_float():
        numbers = column.cast(pl.Float64).fill_nan(None)
        columns.refuse_values((numbers.abs() >= _MOST_IN_FLOAT).fill_null(False), column, source, _ROUNDED)
        is_whole = (numbers == numbers.round()).fill_null(True).all()
        return (numbers.cast(pl.Int64) if is_whole else numbers).cast(pl.String).alias(column.name)
    texts = column.cast(pl.String).str.strip_chars()
    texts = texts.set(texts.is_in(NULL_WORDS).fill_null(False), None)
    columns.refuse_values(texts.str.contains(_LONG_FLOAT).fill_null(False), texts, source, _ROUNDED)
    are_whole = texts.str.contains(r"^\d+\.0$").fill_null(True).all()  # the same floats, in a CSV
    return texts.str.strip_suffix(".0") if are_whole else texts


def to_paths(column: pl.Series, source: Path, root: Path | None = None) -> pl.Series:
    """Keys as text that is equal for one video: relative to the root where it lies below it, / between folders."""
    plain = to_text(column, source)
    if plain.str.contains(r"\\|/\.?/|^\./").any():  # of many rows rewriting takes longer than looking
        plain = plain.str.replace_all("\\", "/", literal=True).str.replace_all(r"/(\./|/)+", "/")
        plain = plain.str.replace(r"^(\./)+", "")
    for base in (f"{root.absolute()}/", f"{root}/") if root else ():
        plain = plain.str.strip_prefix(base)
    return plain.alias(columns.KEY)


def _usual(usual: Sequence[str], names: Sequence[str]) -> Iterable[str]:
    return (name for each in usual for name in names if _plain(name) == each)


def _plain(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().lower())
