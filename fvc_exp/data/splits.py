"""Which rows train and which rows test, made here or read from a table.

Under the grouped scheme a group is never on both sides.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import polars as pl

from fvc_exp._typing import Indices
from fvc_exp.config.schema import CVConfig, Scheme
from fvc_exp.data import roles
from fvc_exp.data.columns import CLASSES, KEY, PLATFORM, refuse_values
from fvc_exp.data.dataset import Dataset
from fvc_exp.data.group_folds import repeated_group_folds, stratified_group_folds
from fvc_exp.errors import DataError
from fvc_exp.io import tables

_FINEST_SHARE = 20  # a test share is made of whole parts of at most this many
CV, TRAIN, TEST = "cv", "train", "test"
_PARTS = {CV: CV, TRAIN: TRAIN, TEST: TEST, "val": CV, "valid": CV, "validation": CV}
Sides = tuple[Indices, Indices, str | None]  # training rows, test rows, and what all test rows have in common
_SCHEMA = {KEY: pl.String, "fold": pl.Int64, "repeat": pl.Int64, "split": pl.String}


@dataclass(frozen=True)
class Fold:
    """One split of the development rows; ``train`` and ``test`` are row numbers of the whole data set.

    ``held_out`` is what all test rows and no training rows have in common, such as a platform; None without one.
    """

    repeat: int
    index: int
    train: Indices
    test: Indices
    held_out: str | None = None


@dataclass(frozen=True)
class Split:
    """The held-out test rows, the development rows, and the folds of the latter."""

    development: Indices
    test: Indices
    folds: tuple[Fold, ...]
    notes: tuple[str, ...] = ()

    def parts(self) -> Iterator[tuple[str, Indices, Indices]]:
        """Name, training rows and test rows of every fold, and of the held-out test set where there is one."""
        for fold in self.folds:
            yield f"repeat {fold.repeat}, fold {fold.index}", fold.train, fold.test
        if len(self.test):
            yield "held-out test", self.development, self.test

    @property
    def repeats(self) -> dict[str, int]:
        """How many repeats were ``asked`` for, and how many ``distinct`` partitions of the tested rows they are."""
        partitions: dict[int, set[bytes]] = {}
        for fold in self.folds:
            partitions.setdefault(fold.repeat, set()).add(fold.test.tobytes())
        return {"asked": len(partitions), "distinct": len(set(map(frozenset, partitions.values())))}

    def uses_all_other_rows(self, fold: Fold) -> bool:
        """Whether a fold trains on every development row that it does not test."""
        return len(fold.train) + len(fold.test) == len(self.development)


def make_split(dataset: Dataset, cv: CVConfig, seed: int) -> Split:
    """Hold out whole groups for the final test, then divide the rest into stratified folds.

    The held-out part is group-disjoint under each scheme but ``predefined``, so that it shows what a leaking
    cross-validation hides.

    Raises:
        DataError: there are too few groups (or rows, for ``stratified``) of a class for that many folds, the platform
            of a video is not known, or the file of predefined folds does not fit the data.
    """
    split = _predefined(dataset, cv) if cv.scheme is Scheme.predefined else _new_split(dataset, cv, seed)
    for fold in split.folds:
        where = f"fold {fold.index}" + (f" ({fold.held_out})" if fold.held_out else "")
        _check_classes(dataset, fold.train, f"the training part of {where}")
        _check_classes(dataset, fold.test, where)
    return split


def inner_parts(dataset: Dataset, rows: Indices, n_splits: int, seed: int) -> list[tuple[Indices, Indices]]:
    """Grouped stratified folds of the rows of one training part, as (train, test) row numbers of the whole data set.

    Raises:
        DataError: there are too few groups of a class for that many folds.
    """
    _check_count(dataset, rows, n_splits, f"cv.inner_splits={n_splits} needs", grouped=True)
    tests = stratified_group_folds(dataset.y[rows], dataset.groups[rows], n_splits, seed)
    parts = [(rows[_others(len(rows), test)], rows[test]) for test in tests]
    for number, sides in enumerate(parts):
        for side in sides:
            _check_classes(dataset, side, f"inner fold {number} (cv.inner_splits={n_splits})")
    return parts


def count_shared_groups(dataset: Dataset, train: Indices, test: Indices) -> int:
    """How many groups have rows on both sides of a split."""
    return len(np.intersect1d(dataset.groups[train], dataset.groups[test]))


def _new_split(dataset: Dataset, cv: CVConfig, seed: int) -> Split:
    test = _hold_out(dataset, cv.test_size, seed) if cv.test_size else np.arange(0)
    development = _others(len(dataset.y), test)
    make_folds = _platform_folds if cv.scheme is Scheme.leave_platform_out else _stratified_folds
    folds = tuple(
        Fold(repeat, index, *sides)
        for repeat, parts in enumerate(make_folds(dataset, development, cv, seed))
        for index, sides in enumerate(parts)
    )
    return _with_note(Split(development, test, folds))


def _with_note(split: Split) -> Split:
    """The split with a note if some of its repeats are equal."""
    asked, distinct = split.repeats.values()
    if asked == distinct:
        return split
    note = f"{asked} repeats, but only {distinct} different partition{'' if distinct == 1 else 's'} of the groups"
    note += f" as balanced as the first: tests between configurations count {distinct}"
    return replace(split, notes=(*split.notes, note))


def _predefined(dataset: Dataset, cv: CVConfig) -> Split:
    table, source = read_folds(Path(str(cv.folds)))
    split = split_from_table(table, dataset.ids, source)
    if not split.folds:
        raise DataError(f"{source}: no row is of split cv, so there is no fold to score")
    if len(split.test):
        _check_classes(dataset, split.test, f"the held-out test set of {source}")
    return _with_note(split)


def _hold_out(dataset: Dataset, share: float, seed: int) -> Indices:
    """Whole groups of about this share of the rows: some of equally large stratified parts."""
    parts = Fraction(share).limit_denominator(_FINEST_SHARE)
    taken, of = parts.numerator, parts.denominator
    rows = np.arange(len(dataset.y))
    _check_count(dataset, rows, of, f"cv.test_size={share} needs", grouped=True)
    test = np.sort(np.concatenate(stratified_group_folds(dataset.y, dataset.groups, of, seed)[:taken]))
    _check_classes(dataset, test, "the held-out test set")
    return test


def _stratified_folds(dataset: Dataset, rows: Indices, cv: CVConfig, seed: int) -> Iterator[list[Sides]]:
    """Training and test rows of the folds of each repeat."""
    grouped = cv.scheme is Scheme.grouped
    _check_count(dataset, rows, cv.n_splits, f"cv.n_splits={cv.n_splits} needs", grouped=grouped)
    if grouped:
        repeats = repeated_group_folds(dataset.y[rows], dataset.groups[rows], cv.n_splits, cv.n_repeats, seed)
    else:
        from sklearn.model_selection import StratifiedKFold  # slow to import, and only this scheme needs it

        splitters = [
            StratifiedKFold(cv.n_splits, shuffle=True, random_state=seed + each) for each in range(cv.n_repeats)
        ]
        repeats = [[test for _, test in each.split(rows, dataset.y[rows])] for each in splitters]
    for tests in repeats:
        yield [(rows[_others(len(rows), test)], rows[test], None) for test in tests]


def _platform_folds(dataset: Dataset, rows: Indices, cv: CVConfig, seed: int) -> list[list[Sides]]:
    """Test each platform's rows, in folds of whole groups, on models of the other platforms without those groups."""
    platforms = np.array(_platforms(dataset))
    repeats: list[list[Sides]] = [[] for _ in range(cv.n_repeats)]
    for platform in np.unique(platforms[rows]):
        inside, outside = rows[platforms[rows] == platform], rows[platforms[rows] != platform]
        _check_classes(dataset, inside, f"platform {platform}")
        y, groups = dataset.y[inside], dataset.groups[inside]
        parts = min(cv.n_splits, *(len(np.unique(groups[y == label])) for label in range(len(CLASSES))))
        for sides, tests in zip(repeats, repeated_group_folds(y, groups, parts, cv.n_repeats, seed), strict=True):
            for test in (inside[part] for part in tests):
                apart = outside[~np.isin(dataset.groups[outside], dataset.groups[test])]
                sides.append((apart, test, str(platform)))
    return repeats


def _platforms(dataset: Dataset) -> list[str]:
    known = dataset.slices.get(PLATFORM, ())
    if not known:
        raise DataError("cv=leave_platform_out needs the column 'platform' (or 'video_url') in data.scaled_metadata")
    for name, platform in zip(dataset.ids, known, strict=True):
        if platform is None:
            raise DataError(f"cv=leave_platform_out: the platform of video {name!r} is not known")
    if len(set(known)) == 1:
        raise DataError(f"cv=leave_platform_out needs videos of two platforms, but all are of {known[0]!r}")
    return [str(platform) for platform in known]


def _check_count(dataset: Dataset, rows: Indices, needed: int, who: str, *, grouped: bool) -> None:
    for label, name in enumerate(CLASSES):
        members = rows[dataset.y[rows] == label]
        found = len(np.unique(dataset.groups[members])) if grouped else len(members)
        if found < needed:
            kind = "groups" if grouped else "rows"
            raise DataError(
                f"{who} at least {needed} {kind} of each class, but only {found} {kind} "
                f"{'are' if found != 1 else 'is'} {name!r}"
            )


def _check_classes(dataset: Dataset, rows: Indices, where: str) -> None:
    counts = np.bincount(dataset.y[rows], minlength=len(CLASSES))
    for label, name in enumerate(CLASSES):
        if not counts[label]:
            raise DataError(f"{where} has no {name!r} row")


def _others(n: int, rows: Indices) -> Indices:
    """The numbers below n that are not among these, ascending."""
    return np.flatnonzero(np.bincount(rows, minlength=n) == 0)


def read_folds(path: Path) -> tuple[pl.DataFrame, Path]:
    """Read a fold file: ``video_path`` and ``fold``, optionally ``repeat`` (else 0) and ``split`` (else cv).

    A row of split ``cv`` (or ``val``) is tested in its fold. The fold's training rows are those of split ``train``
    with the same fold; where there are none, the repeat's other cv rows and the ``train`` rows without a fold. Rows
    of split ``test`` are held out from all of it.

    Raises:
        DataError: a column is missing, or a value is not allowed; names file, column, row.
    """
    lazy, source = tables.scan_table(path, roles.Wanted().is_text)
    table = tables.collect(lazy, source)
    if KEY not in table.columns or not {"fold", "split"} & set(table.columns):
        raise DataError(
            f"{source}: a fold file has the columns {KEY!r} and 'fold' (or 'split'); this table has "
            f"{', '.join(table.columns)}"
        )
    table = table.with_columns(
        pl.lit(None, pl.Int64).alias(name) for name in ("fold", "repeat") if name not in table.columns
    )
    if "split" not in table.columns:
        table = table.with_columns(pl.lit(CV).alias("split"))
    for name in ("fold", "repeat"):
        numbers = table[name].cast(pl.Int64, strict=False)
        refuse_values(numbers.is_null() & table[name].is_not_null(), table[name], source, "is not an integer")
        table = table.with_columns(numbers)
    splits = table["split"].cast(pl.String).str.strip_chars().str.to_lowercase()
    known = splits.replace_strict(_PARTS, default=None, return_dtype=pl.String)
    refuse_values(known.is_null(), table["split"], source, f"is not allowed; it must be one of {', '.join(_PARTS)}")
    validation = (splits != CV) & (known == CV)
    table = table.with_columns(
        pl.when(validation).then(pl.col("fold").fill_null(0)).otherwise(pl.col("fold")).alias("fold"),
        pl.when(known == CV).then(pl.col("repeat").fill_null(0)).otherwise(pl.col("repeat")).alias("repeat"),
        known.alias("split"),
    )
    refuse_values((table["split"] == CV) & table["fold"].is_null(), table["fold"], source, "is missing in a cv row")
    table = table.with_columns(roles.to_paths(table[KEY], source))
    return table.select(pl.col(name).cast(dtype) for name, dtype in _SCHEMA.items()), source


def split_from_table(table: pl.DataFrame, ids: Sequence[str], source: Path) -> Split:
    """The folds that a table from ``read_folds`` gives to these videos, as row numbers of ``ids``.

    Raises:
        DataError: a video has no row in the table, or is on both sides of a split, or a fold has no training row.
    """
    numbers = pl.DataFrame({KEY: list(ids), "row": np.arange(len(ids))}, schema={KEY: pl.String, "row": pl.Int64})
    absent = numbers.join(table, on=KEY, how="anti")[KEY]
    if len(absent):
        raise DataError(f"{source}: {len(absent)} of {len(ids)} videos are in no fold, the first is {absent[0]!r}")
    rows = table.join(numbers, on=KEY, how="left", maintain_order="left")
    n_unknown = rows.filter(pl.col("row").is_null())[KEY].n_unique()
    rows = rows.drop_nulls("row").sort("row")
    cv, train = rows.filter(split=CV), rows.filter(split=TRAIN)
    if (twice := cv.select("repeat", "row").is_duplicated()).any():
        name = cv.filter(twice)[KEY][0]
        raise DataError(f"{source}: video {name!r} is tested twice in one repeat; it has one fold per repeat")
    folds = []
    for repeat, index in cv.select("repeat", "fold").unique().sort("repeat", "fold").iter_rows():
        fold = _fold(cv, train, repeat, index, source)
        _check_apart(fold.train, fold.test, f"trained on and tested in fold {index} of repeat {repeat}", ids, source)
        folds.append(fold)
    notes = (f"{source}: {n_unknown} of its videos are not in the data",) if n_unknown else ()
    development = np.unique(pl.concat([cv["row"], train["row"]]).to_numpy())
    test = np.unique(rows.filter(split=TEST)["row"].to_numpy())
    _check_apart(development, test, "held out for the test and used before it", ids, source)
    return Split(development, test, tuple(folds), notes)


def _fold(cv: pl.DataFrame, train: pl.DataFrame, repeat: int, index: int, source: Path) -> Fold:
    here = (pl.col("fold") == index) & (pl.col("repeat").fill_null(repeat) == repeat)
    rows = train.filter(here)["row"]
    if rows.is_empty():
        others = cv.filter(pl.col("repeat") == repeat, pl.col("fold") != index)["row"]
        rows = pl.concat([others, train.filter(pl.col("fold").is_null())["row"]]).unique().sort()
    if rows.is_empty():
        raise DataError(f"{source}: fold {index} of repeat {repeat} has no training row")
    return Fold(repeat, index, rows.to_numpy(), cv.filter(here)["row"].to_numpy())


def _check_apart(one: Indices, other: Indices, what: str, ids: Sequence[str], source: Path) -> None:
    if len(both := np.intersect1d(one, other)):
        raise DataError(f"{source}: {len(both)} videos are {what}, the first is {ids[both[0]]!r}")
