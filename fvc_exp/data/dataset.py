"""Metadata and feature tables -> one checked, frozen ``Dataset``."""

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from fvc_exp._typing import Array, Indices, Mask
from fvc_exp.config.schema import DataConfig, FeaturesConfig
from fvc_exp.data import columns
from fvc_exp.errors import DataError
from fvc_exp.io import tables

VERSION = "feature_version"

# Numeric columns that tables of features also hold, and that must never be learned from.
NOT_FEATURES = frozenset(
    (
        *(columns.KEY, columns.LABEL, VERSION, *columns.GROUP_COLUMNS, "fold", "split", "upload", "augmentation"),
        *(columns.PLATFORM, columns.MANIPULATION),
        *("frames_total", "frames_sampled", "frames_ok", "frames_corrupt"),
        *("width", "height", "rotation", "is_vfr", "duration_s", "file_size", "file_mtime_ns"),
    )
)


@dataclass(frozen=True)
class Dataset:
    """Rows ready for training, sorted by video path.

    ``X`` is (n, p) float64 with NaN where a value is missing; ``y`` is (n,) with 1 = fake; ``groups`` is (n,) integer
    codes, or one code per row where the metadata names no group (``group_column`` is None then). ``slices`` and
    ``content_sha256`` (of the video files) have a value, or None, for each row, as far as the tables hold them.
    """

    X: Array
    y: Indices
    groups: Indices
    ids: tuple[str, ...]
    group_names: tuple[str, ...]
    feature_names: tuple[str, ...]
    group_column: str | None
    constant_features: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()
    feature_versions: tuple[str, ...] = ()
    slices: columns.Slices = field(default_factory=dict)
    content_sha256: tuple[str | None, ...] | None = None

    @property
    def n_groups(self) -> int:
        """Number of distinct groups."""
        return len(set(self.group_names))

    @property
    def missing_values(self) -> dict[str, int]:
        """Missing values per feature, for the features that have any."""
        counts = np.isnan(self.X).sum(axis=0)
        return {name: int(count) for name, count in zip(self.feature_names, counts, strict=True) if count}

    def content_hash(self) -> str:
        """sha256 of what decides scores, folds and baselines; independent of file format and row order."""
        return self._content_hash

    @cached_property
    def _content_hash(self) -> str:
        platforms = [platform or "" for platform in self.slices.get(columns.PLATFORM, ())]
        digest = hashlib.sha256()
        for texts in (self.feature_names, self.ids, self.group_names, platforms):
            digest.update("".join(f"{text}\0" for text in texts).encode())
        for values, kind in ((self.X, "<f8"), (self.y, "<i8")):
            digest.update(np.ascontiguousarray(values, dtype=kind).data)
        return digest.hexdigest()


def load_dataset(data: DataConfig, features: FeaturesConfig) -> Dataset:
    """Join the metadata with the configured feature tables on ``video_path``.

    Raises:
        DataError: a file or column is missing, no feature is numeric, a label is not binary, only one class is there,
            a video is repeated, too many rows have no features, or a value is infinite. Names file, column and row.
    """
    metadata_path = Path(data.root) / data.scaled_metadata
    metadata = _read_metadata(metadata_path)
    joined, matched = metadata, pl.repeat(True, len(metadata), eager=True)
    feature_names: list[str] = []
    versions: set[str] = set()
    for table in features.tables:
        configured = data.table(table)
        if configured is None:
            raise DataError(
                f"features={features.name} needs the table data.features_{table.name}, "
                f"but data={data.name} has none: set data.features_{table.name}=PATH or choose other features"
            )
        frame, names, found_versions = _read_features(Path(data.root) / configured, table.value)
        versions |= found_versions
        # What the metadata or an earlier table says of the video itself comes first.
        frame = frame.drop([name for name in columns.SLICE_SOURCES if name in joined.columns and name in frame.columns])
        joined = joined.join(frame, on=columns.KEY, how="left", maintain_order="left")
        # A video that could not be measured has a row without any value: as good as no row.
        matched &= joined.select(pl.any_horizontal(pl.col(names).is_not_null())).to_series()
        feature_names += names
    kept = _without_unmatched(joined, matched, data.max_unmatched, metadata_path)
    dataset = _to_dataset(kept, feature_names, metadata_path)
    unmatched = tuple(joined.filter(~matched)[columns.KEY])
    return replace(dataset, unmatched=unmatched, feature_versions=tuple(sorted(versions)))


def _read_metadata(path: Path) -> pl.DataFrame:
    frame, source = tables.scan_table(path)
    names = frame.collect_schema().names()
    columns.require_columns((columns.KEY, columns.LABEL), names, source)
    known = [name for name in (columns.LABEL, *columns.GROUP_COLUMNS, *columns.SLICE_SOURCES) if name in names]
    metadata = tables.collect(frame.select(pl.col(columns.KEY).cast(pl.String), *known), source)
    if metadata.is_empty():
        raise DataError(f"{source}: the table has no rows")
    columns.require_videos(metadata[columns.KEY], source)
    return metadata.with_columns(columns.two_class_codes(metadata[columns.LABEL], source)).sort(columns.KEY)


def _read_features(path: Path, prefix: str) -> tuple[pl.DataFrame, list[str], set[str]]:
    """A table's key, prefixed features and slice columns; the features' names; the versions of their definitions."""
    frame, source = tables.scan_table(path)
    schema = frame.collect_schema()
    columns.require_columns([columns.KEY], schema.names(), source)
    numeric = [name for name, dtype in schema.items() if dtype.is_numeric() or dtype == pl.Boolean]
    names = [name for name in numeric if name not in NOT_FEATURES]
    if not names:
        raise DataError(f"{source}: no numeric feature column; the table has {', '.join(schema.names())}")
    values = pl.col(names).cast(pl.Float64).fill_nan(None)
    versions = [VERSION] if VERSION in schema else []
    about = [name for name in columns.SLICE_SOURCES if name in schema and name not in names]
    table = tables.collect(frame.select(pl.col(columns.KEY).cast(pl.String), values, *about, *versions), source)
    columns.require_videos(table[columns.KEY], source)
    for name in names:
        columns.require_finite(table[name], table[columns.KEY], source)
    found = set(table[VERSION].drop_nulls().cast(pl.String)) if versions else set()
    renamed = {name: name if name.startswith(prefix) else prefix + name for name in names}
    return table.select(columns.KEY, *names, *about).rename(renamed), list(renamed.values()), found


def _without_unmatched(joined: pl.DataFrame, matched: pl.Series, allowed: float, metadata: Path) -> pl.DataFrame:
    missing = joined.filter(~matched)[columns.KEY]
    if len(missing) > allowed * len(joined):
        shown = ", ".join(repr(name) for name in missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise DataError(
            f"{metadata}: {len(missing)} of {len(joined)} rows have no features ({shown}); "
            f"allowed is a share of data.max_unmatched={allowed}"
        )
    return joined.filter(matched)


def _to_dataset(frame: pl.DataFrame, names: list[str], source: Path) -> Dataset:
    y = frame[columns.LABEL].to_numpy()
    if len(set(y.tolist())) < len(columns.CLASSES):
        raise DataError(f"{source}: of the {len(y)} rows that have features every one is of one class; two are needed")
    values = frame.select(names).to_numpy()
    constant = _constant_columns(values)
    if constant.all():
        raise DataError(f"{source}: all {len(names)} features are constant; there is nothing to learn from")
    group_column = columns.find_group_column(frame.columns)
    groups = columns.read_groups(frame, group_column, source) if group_column else frame[columns.KEY]
    codes = groups.rank("dense").cast(pl.Int64) - 1
    return Dataset(
        X=np.ascontiguousarray(values[:, ~constant]),
        y=y,
        groups=codes.to_numpy(),
        ids=tuple(frame[columns.KEY]),
        group_names=tuple(groups),
        feature_names=tuple(name for name, drop in zip(names, constant, strict=True) if not drop),
        group_column=group_column,
        constant_features=tuple(name for name, drop in zip(names, constant, strict=True) if drop),
        slices=columns.find_slices(frame),
        content_sha256=tuple(frame[columns.CONTENT].cast(pl.String)) if columns.CONTENT in frame.columns else None,
    )


def _constant_columns(values: Array) -> Mask:
    """True where a column holds one value (or none) beside missing ones."""
    present = ~np.isnan(values)
    lowest = np.where(present, values, np.inf).min(axis=0)
    highest = np.where(present, values, -np.inf).max(axis=0)
    return np.asarray(lowest >= highest)
