"""Which columns of a feature table are learned from, why the others are not, and how a cell becomes a number."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import polars as pl

from fvc_exp.data import columns, roles
from fvc_exp.errors import DataError
from fvc_exp.io import tables

VERSION = "feature_version"  # a column that only the tables of our own stages have

# What the stages write beside the features. In another table such a name may mean anything.
_OF_THE_FILE = (
    *("fold", "split", "upload", "augmentation"),
    *("frames_total", "frames_sampled", "frames_ok", "frames_corrupt"),
    *("width", "height", "rotation", "is_vfr", "duration_s", "file_size", "file_mtime_ns"),
)
_INDEX = re.compile(r"|unnamed: \d+.*|_duplicated_\d+|__index_level_\d+__|level_\d+|index|id|row|row_?(id|number)")
_LABEL = re.compile(r"(^|[\W\d_])(labels?|target|y|class|truth|gt|(is)?(deep)?fake|(is)?real)([\W\d_]|$)")
_MISSING = ("", "null", "none", "na", "n/a", "<na>", "#n/a", "nan", "-", "?", ".")  # in lower case
_FEWEST_NUMBERS = 0.1  # share of the cells; with fewer a column of text is no column of numbers
_FEWEST_ROWS = 10  # in a shorter table a feature may count 1, 2, 3 by chance
_CHOOSE = "mend it, or name the columns to learn from: data.columns=[NAME,PATTERN*]"
NOT_CHOSEN = "not in data.columns"
_INDEX_NAME, _ROW_NUMBER, _LABEL_COPY = "index", "row number", "equals the label"


@dataclass(frozen=True)
class FeatureTable:
    """What one table holds to learn from.

    ``frame`` has ``video_path``, a float64 column per feature (null where a value is missing) and the columns that
    slices come from. ``names`` gives the column of the file for each feature, ``ignored`` why a column is no feature.
    """

    frame: pl.DataFrame
    names: dict[str, str]
    ignored: dict[str, str]
    notes: tuple[str, ...]
    versions: frozenset[str]


def read_feature_table(
    path: Path,
    prefix: str,
    chosen: Sequence[str],
    labels: pl.DataFrame,
    *,
    key: str | None = None,
    root: Path | None = None,
) -> FeatureTable:
    """Read a table whose features get ``prefix``; its rows are named by ``key``, else by ``video_path`` or the like.

    Paths below ``root`` are taken as relative to it. The other arguments and errors are those of ``find_features``.

    Raises:
        DataError: also if the table is missing or broken, or no column names its rows.
    """
    table, source = tables.read_table(path, roles.text_columns(key))
    found = str(roles.find_key(table, source, key))
    table = table.drop(found).with_columns(roles.read_keys(table[found], source, root))
    return find_features(table, source, prefix, chosen, labels)


def find_features(
    table: pl.DataFrame,
    source: Path,
    prefix: str,
    chosen: Sequence[str],
    labels: pl.DataFrame,
    known: Mapping[str, str] | None = None,
) -> FeatureTable:
    """Find what there is to learn from in a table whose rows are named by its column ``video_path``.

    ``chosen`` are names and patterns of the columns to learn from (see ``is_chosen``); none means all. A column that
    is named there without a pattern may look like an index. ``labels`` has ``video_path`` and ``label`` (0 or 1),
    ``known`` says why some columns are no features.

    Raises:
        DataError: a video is repeated, no column is a feature, or a cell is no finite
            number. Names file, column and row.
    """
    videos, schema = table[columns.KEY], table.drop(columns.KEY).schema
    named = {name for name in schema if name in chosen or prefix + name in chosen}
    index = {*tables.pandas_index(source), *(name for name in schema if _INDEX.fullmatch(name.lower()))} - named
    ignored = {**_ignore_by_name(schema, prefix, chosen, index), **(known or {})}
    about = [name for name in columns.SLICE_SOURCES if name in schema]
    features: list[pl.Series] = []
    names: dict[str, str] = {}
    for column in table.drop(columns.KEY, VERSION, *ignored, strict=False):
        found = _to_numbers(column, videos, source)
        if not isinstance(found, str):
            found = _find_leak(found[0], videos, labels, is_named=column.name in named) or found
        if isinstance(found, str):
            ignored[column.name] = found
            continue
        for each in found:
            columns.require_finite(each, videos, source)
            feature = each.name if each.name.startswith(prefix) else prefix + each.name
            if feature in names:
                raise DataError(f"{source}: {names[feature]!r} and {column.name!r} both give the feature {feature!r}")
            names[feature] = column.name
            features.append(each.alias(feature))
    if not names and not chosen:
        listed = ", ".join(f"{name} ({why})" for name, why in ignored.items())
        raise DataError(f"{source}: no numeric feature column; the table has {listed or 'no other column'}")
    frame = table.select(videos, *(name for name in about if name not in names.values()), *features)
    versions = table[VERSION].drop_nulls().cast(pl.String) if VERSION in schema else ()
    return FeatureTable(frame, names, ignored, _notes(names, ignored, source), frozenset(versions))


def is_chosen(column: str, prefix: str, patterns: Sequence[str]) -> bool:
    """Whether one of these names or patterns (``dct_*``) is that of a column, with or without the prefix."""
    return any(name == each or fnmatchcase(name, each) for each in patterns for name in (column, prefix + column))


def _ignore_by_name(schema: pl.Schema, prefix: str, chosen: Sequence[str], index: set[str]) -> dict[str, str]:
    """Why columns are no features, as far as their names and types tell."""
    is_own, ignored = VERSION in schema, {}
    for name, kind in schema.items():
        lower, places = name.lower(), f"{name}_*" if isinstance(kind, pl.List | pl.Array) else name
        reasons = {
            "is the label": lower == columns.LABEL,
            "names groups": lower in columns.GROUP_COLUMNS,
            "about the video": name in (columns.PLATFORM, columns.MANIPULATION, columns.CONTENT, "video_url"),
            "about the file": is_own and (name in _OF_THE_FILE or kind == pl.String),
            NOT_CHOSEN: bool(chosen) and not any(is_chosen(each, prefix, chosen) for each in (name, places)),
            _INDEX_NAME: name in index,
        }
        if name not in (columns.KEY, VERSION) and any(reasons.values()):
            ignored[name] = next(why for why, applies in reasons.items() if applies)
    return ignored


def _to_numbers(column: pl.Series, videos: pl.Series, source: Path) -> list[pl.Series] | str:
    """The column as float64, one for each place of a list; or why it holds no numbers."""
    kind = column.dtype
    if isinstance(kind, pl.List | pl.Array) and kind.inner.is_numeric():
        return _spread(column.cast(pl.List(pl.Float64)), videos, source)
    if isinstance(kind, pl.String | pl.Categorical | pl.Enum | pl.Null):
        return _parse(column, videos, source)
    if kind.is_numeric() or kind == pl.Boolean:
        numbers = column.cast(pl.Float64)
        return [numbers.fill_nan(None) if numbers.is_nan().any() else numbers]
    return f"not numbers ({kind!r})"


def _parse(column: pl.Series, videos: pl.Series, source: Path) -> list[pl.Series] | str:
    texts = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    is_cell = texts.is_not_null() & ~texts.is_in(_MISSING)
    numbers = texts.replace({"true": "1", "false": "0"}).cast(pl.Float64, strict=False).fill_nan(None)
    n_cells, n_numbers = len(texts.filter(is_cell)), numbers.count()
    is_word = is_cell & numbers.is_null()
    if not n_cells:
        return "no value"
    if n_numbers < _FEWEST_NUMBERS * n_cells:
        row = int(is_word.arg_true()[0])
        words = f"text in {n_cells - n_numbers} of {n_cells} cells, first {column[row]!r} in row {row + 1}"
        return words if n_numbers else "text"
    why = f"is no number ({n_cells - n_numbers} such cells of {n_cells}); leave empty what is not known; {_CHOOSE}"
    columns.refuse_values(is_word, column, source, why, videos)
    return [numbers]


def _spread(column: pl.Series, videos: pl.Series, source: Path) -> list[pl.Series] | str:
    """Lists of one length as a column for each place."""
    lengths = column.list.len()
    sizes = lengths.drop_nulls().unique().to_list()
    if not any(sizes):
        return "no value"
    why = f"numbers in its list, elsewhere there are {max(sizes)}; lists of one length become columns; {_CHOOSE}"
    columns.refuse_values(lengths.eq_missing(min(sizes)) & (len(sizes) > 1), lengths, source, why, videos)
    places = column.list.to_struct(fields=[f"{column.name}_{place}" for place in range(sizes[0])])
    return [place.fill_nan(None) for place in places.struct.unnest()]


def _find_leak(column: pl.Series, videos: pl.Series, labels: pl.DataFrame, *, is_named: bool) -> str | None:
    """Why a column of numbers is no feature, as far as its values tell: it numbers the rows, or is the label."""
    if not is_named and len(column) >= _FEWEST_ROWS and (column.diff().slice(1) == 1).fill_null(False).all():
        return _ROW_NUMBER
    if not _LABEL.search(column.name.lower()):
        return None
    values = pl.DataFrame([videos, column.alias("value")])
    pairs = values.join(labels, on=columns.KEY).select("value", columns.LABEL).drop_nulls().unique()
    is_copy = [pairs[name].n_unique() for name in pairs.columns] == [len(columns.CLASSES)] * 2 == [len(pairs)] * 2
    return _LABEL_COPY if is_copy else None


def _notes(names: dict[str, str], ignored: dict[str, str], source: Path) -> tuple[str, ...]:
    """What the reader must not miss of how the columns of a table were taken."""
    leaks = [f"{name!r} ({why})" for name, why in ignored.items() if why in (_INDEX_NAME, _ROW_NUMBER, _LABEL_COPY)]
    same = [name for name in names.values() if name in _OF_THE_FILE]
    kinds = {"not learned from": leaks, "learned from, though videos measured here have facts of these names": same}
    return tuple(f"{source.name}: {kind}: {', '.join(found)}" for kind, found in kinds.items() if found)
