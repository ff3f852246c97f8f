"""Metadata and feature tables -> one checked, frozen ``Dataset``."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from fvc_exp._typing import Array, Indices, Mask
from fvc_exp.config.schema import DataConfig, FeaturesConfig, Table
from fvc_exp.data import columns, grouping, roles
from fvc_exp.data.feature_table import NOT_CHOSEN, FeatureTable, find_features, is_chosen, read_feature_table
from fvc_exp.errors import DataError, shown_names
from fvc_exp.io import tables

_AT_ONCE = 200_000  # values that are sorted at once, in the processor's cache


@dataclass(frozen=True)
class Dataset:
    """Rows ready for training, sorted by video path.

    ``X`` is (n, p) float64 with NaN where a value is missing; ``y`` is (n,) with 1 = fake; ``groups`` is (n,) integer
    codes; where the metadata names no group (``group_column`` is None then) only equal files share one. ``slices`` and
    ``content_sha256`` (of the video files) have a value, or None, for each row, as far as the tables hold them.
    ``ignored_columns`` says why a column of the feature tables is no feature; ``notes`` are sentences for the reader.
    """

    X: Array
    y: Indices
    groups: Indices
    ids: pl.Series
    group_names: pl.Series
    feature_names: tuple[str, ...]
    group_column: str | None
    constant_features: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()
    feature_versions: tuple[str, ...] = ()
    slices: columns.Slices = field(default_factory=dict)
    content_sha256: pl.Series | None = None
    ignored_columns: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def n_groups(self) -> int:
        """Number of distinct groups."""
        return self.group_names.n_unique()

    @cached_property
    def has_gaps(self) -> Mask:
        """Which features have missing values, (p,)."""
        return np.asarray(np.isnan(self.X.sum(axis=0)))

    @property
    def missing_values(self) -> dict[str, int]:
        """Missing values per feature, for the features that have any."""
        places = np.flatnonzero(self.has_gaps)
        return {self.feature_names[place]: int(np.isnan(self.X[:, place]).sum()) for place in places}

    @cached_property
    def content_hash(self) -> str:
        """sha256 of what decides scores, folds and baselines; independent of file format and row order."""
        digest = hashlib.sha256()
        for texts in (self.feature_names, self.ids, self.group_names, self.slices.get(columns.PLATFORM, ())):
            joined = (pl.Series(texts, dtype=pl.String).fill_null("") + "\0").str.join()  # a zero byte behind each
            digest.update(str(joined.item()).encode())
        for values, kind in ((self.X, "<f8"), (self.y, "<i8")):
            digest.update(np.ascontiguousarray(values, dtype=kind).data)
        return digest.hexdigest()


def load_dataset(data: DataConfig, features: FeaturesConfig) -> Dataset:
    """The one table of ``data.path``, or the metadata joined with the configured feature tables on ``video_path``.

    Raises:
        DataError: a file or column is missing, no feature is numeric, a label is not binary, only one class is there,
            a video is repeated, too many rows have no features, or a value is infinite. Names file, column and row.
    """
    joined = _join_tables(data, features) if data.path is None else _read_one_table(data, data.path)
    _require_matches(data.columns, joined)
    _require_features(joined, data.max_unmatched)
    return _to_dataset(joined, data.max_rows)


def unmeasured(videos: pl.DataFrame, data: DataConfig) -> Dataset:
    """Labels and groups alone of a table of videos whose columns are called as usual, whatever ``data`` names.

    Raises:
        DataError: as ``load_dataset``.
    """
    usual = replace(data, label=None, key=None, group=[], positive=[])
    return _to_dataset(_labelled_rows(videos, Path(data.root, str(data.videos)), usual))


@dataclass(frozen=True)
class _Joined:
    """The rows of all tables, which of them have features, what each table gave, and what the columns are for."""

    frame: pl.DataFrame
    matched: pl.Series
    read: Mapping[str, FeatureTable]
    source: Path
    roles: roles.Roles
    notes: tuple[str, ...] = ()

    @property
    def ignored(self) -> dict[str, str]:
        """Why some columns of the tables are no features."""
        return {name: why for found in self.read.values() for name, why in found.ignored.items()}


def _read_one_table(data: DataConfig, path: str) -> _Joined:
    table, source = tables.read_table(Path(data.root) / path, roles.text_columns(data.key, *data.group))
    table, found = roles.name_rows(table, source, data, needs_key=False)
    labels = columns.two_class_codes(table[found.label], source, data.positive).alias(columns.LABEL)
    groups = found.named or found.usual
    known = {found.label: "is the label", **dict.fromkeys(groups, "names groups")}
    features = find_features(table, source, Table.table.prefix, data.columns, table.select(columns.KEY, labels), known)
    about = [name for name in columns.SLICE_SOURCES if name in table.columns and name not in features.frame.columns]
    rows = features.frame.with_columns(labels, *table.select(*groups, *about))
    named = repr(found.key) if found.key else "their number, from 1"
    note = f"{source.name}: labels from {found.label!r}, rows named by {named}"
    matched = pl.repeat(True, len(table), eager=True)
    return _Joined(rows, matched, {Table.table.prefix: features}, source, found, (note,))


def _join_tables(data: DataConfig, features: FeaturesConfig) -> _Joined:
    root = Path(data.root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; set data.root=FOLDER")
    videos, source = tables.read_table(root / data.scaled_metadata, roles.text_columns(data.key, *data.group))
    metadata = _labelled_rows(videos, source, data, root)
    joined, matched = metadata.frame, metadata.matched
    labels = joined.select(columns.KEY, columns.LABEL)
    read: dict[str, FeatureTable] = {}
    for table in features.tables:
        configured = data.table(table)
        if configured is None:
            raise DataError(
                f"features={features.name} needs the table data.features_{table.name}, "
                f"but data={data.name} has none: set data.features_{table.name}=PATH or choose other features"
            )
        found = read_feature_table(root / configured, table.prefix, data.columns, labels, key=data.key, root=root)
        read[table.prefix] = found
        # What the metadata or an earlier table says of the video itself comes first.
        known = [name for name in columns.SLICE_SOURCES if name in joined.columns and name in found.frame.columns]
        joined = joined.join(found.frame.drop(known), on=columns.KEY, how="left", maintain_order="left")
        if found.names:  # a video that could not be measured has a row without any value: as good as no row
            matched &= joined.select(pl.any_horizontal(pl.col(list(found.names)).is_not_null())).to_series()
    return replace(metadata, frame=joined, matched=matched, read=read)


def _require_matches(patterns: Sequence[str], joined: _Joined) -> None:
    """Refuse a name or pattern of ``data.columns`` that matches no feature of any table."""
    used: dict[tuple[str, str], None] = {}  # in order, by the names in the file and by those of the features
    for prefix, found in joined.read.items():
        used |= dict.fromkeys((prefix, name.removeprefix(prefix)) for name in (*found.names.values(), *found.names))
    for pattern in patterns:
        if not any(is_chosen(name, prefix, [pattern]) for prefix, name in used):
            there = [name if why == NOT_CHOSEN else f"{name} ({why})" for name, why in joined.ignored.items()]
            listed = shown_names(pattern, list(dict.fromkeys([*(name for _, name in used), *there])))
            raise DataError(f"data.columns: {pattern!r} matches no column to learn from; the tables have {listed}")


def _labelled_rows(table: pl.DataFrame, source: Path, data: DataConfig, root: Path | None = None) -> _Joined:
    table, found = roles.name_rows(table, source, data, root)
    usual = tuple(name for name in found.usual if name.lower() in columns.GROUP_COLUMNS)
    labels = columns.two_class_codes(table[found.label], source, data.positive).alias(columns.LABEL)
    about = [name for name in columns.SLICE_SOURCES if name in table.columns]
    rows = table.select(*dict.fromkeys((columns.KEY, *about, *(found.named or usual)))).with_columns(labels)
    rows = rows.sort(columns.KEY)
    return _Joined(rows, pl.repeat(True, len(rows), eager=True), {}, source, replace(found, usual=usual))


def _require_features(joined: _Joined, allowed: float) -> None:
    missing = joined.frame.filter(~joined.matched)[columns.KEY]
    if len(missing) > allowed * len(joined.frame):
        shown = columns.few([repr(name) for name in missing])
        measured = pl.concat(found.frame[columns.KEY] for found in joined.read.values()).unique(maintain_order=True)
        others = measured.filter(~measured.is_in(joined.frame[columns.KEY].to_list()))
        near = roles.nearest(missing[0], others, 1)
        also = f"; of the rows with features {len(others)} are not in it, the nearest is {near[0]!r}" if near else ""
        raise DataError(
            f"{joined.source}: {len(missing)} of {len(joined.frame)} rows have no features ({shown}){also}; "
            f"allowed is a share of data.max_unmatched={allowed}"
        )


def _to_dataset(joined: _Joined, max_rows: int | None = None) -> Dataset:
    read, source = joined.read.values(), joined.source
    names = [name for found in read for name in found.names]
    order = joined.frame[columns.KEY].arg_sort()
    order = order.filter(joined.matched.gather(order))
    # By column: ``select`` would first make one piece of each column of the frame, which takes its memory once more.
    frame = pl.DataFrame([column for column in joined.frame if column.name not in names])[order]
    group_column, groups, notes = grouping.find_groups(frame, source, joined.roles.usual, joined.roles.named)
    if columns.CONTENT in frame.columns:
        n_before, groups = groups.n_unique(), grouping.join_equal_files(groups, frame[columns.CONTENT].cast(pl.String))
        if n_before > (n_groups := groups.n_unique()):
            notes = (*notes, f"videos whose files are equal stay together: {n_before} groups became {n_groups}")
    if max_rows is not None:
        taken = grouping.some_groups(groups, frame[columns.LABEL], max_rows)
        if not taken.all():
            notes = (*notes, f"data.max_rows={max_rows}: {taken.sum()} of {len(frame)} rows are used")
        frame, groups, order = frame.filter(taken), groups.filter(taken), order.filter(taken)
    y = frame[columns.LABEL].to_numpy()
    if y.min() == y.max():
        raise DataError(f"{source}: of the {len(y)} rows that have features every one is of one class; two are needed")
    values = np.empty((len(order), len(names)))
    features, step = pl.DataFrame([joined.frame[name] for name in names]), _AT_ONCE // max(len(names), 1) + 1
    for start in range(0, len(order) * bool(names), step):  # a sorted copy of all would take its memory once more
        values[start : start + step] = features[order[start : start + step]].to_numpy()
    # A comparison with NaN is false: so are columns without any value.
    constant = ~(np.fmin.reduce(values, axis=0) < np.fmax.reduce(values, axis=0))
    if names and constant.all():
        raise DataError(f"{source}: all {len(names)} features are constant; there is nothing to learn from")
    codes = groups.rank("dense").cast(pl.Int64) - 1
    return Dataset(
        X=np.ascontiguousarray(values[:, ~constant]) if constant.any() else values,
        y=y,
        groups=codes.to_numpy(),
        ids=frame[columns.KEY],
        group_names=groups,
        feature_names=tuple(name for name, drop in zip(names, constant, strict=True) if not drop),
        group_column=group_column,
        constant_features=tuple(name for name, drop in zip(names, constant, strict=True) if drop),
        unmatched=tuple(joined.frame.filter(~joined.matched)[columns.KEY]),
        feature_versions=tuple(sorted(frozenset().union(*(found.versions for found in read)))),
        slices=columns.find_slices(frame),
        content_sha256=frame[columns.CONTENT].cast(pl.String) if columns.CONTENT in frame.columns else None,
        ignored_columns=joined.ignored,
        notes=(*(note for found in read for note in found.notes), *joined.notes, *notes),
    )
