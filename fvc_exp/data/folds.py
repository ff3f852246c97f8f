"""Folds and held-out rows as row numbers of a data set, and the fold files that give them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from fvc_exp._typing import Indices
from fvc_exp.data import roles
from fvc_exp.data.columns import KEY, refuse_values
from fvc_exp.data.group_folds import dense_codes
from fvc_exp.errors import DataError
from fvc_exp.io import tables

CV, TRAIN, TEST = "cv", "train", "test"
_PARTS = {CV: CV, TRAIN: TRAIN, TEST: TEST, "val": CV, "valid": CV, "validation": CV}
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

    def of_rows(self, rows: Indices) -> Self:
        """The same parts of these ``rows`` alone (ascending), by their places among them."""

        def places(some: Indices) -> Indices:
            return np.flatnonzero(np.isin(rows, some))

        folds = tuple(replace(fold, train=places(fold.train), test=places(fold.test)) for fold in self.folds)
        return replace(self, development=places(self.development), test=places(self.test), folds=folds)


def sample_groups(groups: Indices, most: int, seed: int) -> Indices:
    """Places of the rows of whole groups drawn at random, at most ``most`` rows, ascending; ``groups`` is (n,)."""
    known, codes = dense_codes(groups)
    order = np.random.default_rng(seed).permutation(len(known))
    return np.flatnonzero(np.isin(codes, order[np.cumsum(np.bincount(codes)[order]) <= most]))


def read_folds(path: Path) -> tuple[pl.DataFrame, Path]:
    """Read a fold file: ``video_path`` and ``fold``, optionally ``repeat`` (else 0) and ``split`` (else cv).

    A row of split ``cv`` (or ``val``) is tested in its fold. The fold's training rows are those of split ``train``
    with the same fold; where there are none, the repeat's other cv rows and the ``train`` rows without a fold. Rows
    of split ``test`` are held out from all of it.

    Raises:
        DataError: a column is missing, or a value is not allowed; names file, column, row.
    """
    table, source = tables.read_table(path, roles.text_columns())
    if KEY not in table.columns or not {"fold", "split"} & set(table.columns):
        raise DataError(
            f"{source}: a fold file has the columns {KEY!r} and 'fold' (or 'split'); this table has "
            f"{', '.join(table.columns)}"
        )
    missing = {"fold": pl.lit(None, pl.Int64), "repeat": pl.lit(None, pl.Int64), "split": pl.lit(CV)}
    table = table.with_columns(value.alias(name) for name, value in missing.items() if name not in table.columns)
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


def split_from_table(table: pl.DataFrame, ids: pl.Series, source: Path) -> Split:
    """The folds that a table from ``read_folds`` gives to these videos, as row numbers of ``ids``.

    Raises:
        DataError: a video has no row in the table, or is on both sides of a split, or a fold has no training row.
    """
    numbers = pl.DataFrame([pl.Series(KEY, ids, pl.String), pl.Series("row", np.arange(len(ids)))])
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


def _check_apart(one: Indices, other: Indices, what: str, ids: pl.Series, source: Path) -> None:
    if len(both := np.intersect1d(one, other)):
        raise DataError(f"{source}: {len(both)} videos are {what}, the first is {ids[int(both[0])]!r}")
