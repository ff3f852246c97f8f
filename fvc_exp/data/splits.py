"""Which rows train and which rows test, made here or read from a table.

Under the grouped scheme a group is never on both sides.
"""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np

from fvc_exp._typing import Indices
from fvc_exp.config import schema, validate
from fvc_exp.data.columns import CLASSES, PLATFORM
from fvc_exp.data.dataset import Dataset
from fvc_exp.data.folds import Fold, Split, read_folds, split_from_table
from fvc_exp.data.group_folds import count_codes, repeated_group_folds, stratified_group_folds
from fvc_exp.errors import DataError

_FINEST_SHARE = 20  # a test share is made of whole parts of at most this many
Sides = tuple[Indices, Indices, str | None]  # training rows, test rows, and what all test rows have in common


def split_or_advise(dataset: Dataset, config: schema.Config) -> Split:
    """``make_split`` as configured, ``inside`` if something is to be chosen inside.

    Features are not looked at, so that it also tells of videos that are not measured yet.

    Raises:
        DataError: as ``make_split``; ends with the overrides that make a split possible, if any do.
    """
    cv, seed, inside = config.cv, config.seed, validate.needs_inner_folds(config)
    try:
        return make_split(dataset, cv, seed, inside=inside)
    except DataError as error:
        if cv.scheme is schema.Scheme.predefined or not (advice := _advice(dataset, cv, seed, inside=inside)):
            raise
        raise DataError(f"{error}; {advice}") from error


def make_split(dataset: Dataset, cv: schema.CVConfig, seed: int, *, inside: bool = False) -> Split:
    """Hold out whole groups for the final test, then divide the rest into stratified folds.

    The held-out part is group-disjoint under each scheme but ``predefined``, so that it shows what a leaking
    cross-validation hides. With ``inside`` inner folds are tried in every training part.

    Raises:
        DataError: there are too few groups (or rows, for ``stratified``) of a class for that many folds, the platform
            of a video is not known, or the file of predefined folds does not fit the data. Or as ``inner_parts``.
    """
    split = _predefined(dataset, cv) if cv.scheme is schema.Scheme.predefined else _new_split(dataset, cv, seed)
    for fold in split.folds:
        where = f"fold {fold.index}" + (f" ({fold.held_out})" if fold.held_out else "")
        _check_classes(dataset, fold.train, f"the training part of {where}")
        _check_classes(dataset, fold.test, where)
    if inside:
        for train in (*(fold.train for fold in split.folds), split.development):
            inner_parts(dataset, train, cv.inner_splits, seed)
    asked, distinct = split.repeats.values()
    if asked == distinct:
        return split
    note = f"{asked} repeats, but only {distinct} different partition{'' if distinct == 1 else 's'} of the groups"
    note += f" as balanced as the first: tests between configurations count {distinct}"
    return replace(split, notes=(*split.notes, note))


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
    sides = [np.bincount(dataset.groups[rows], minlength=len(dataset.y)) > 0 for rows in (train, test)]
    return int(np.count_nonzero(sides[0] & sides[1]))


def _advice(dataset: Dataset, cv: schema.CVConfig, seed: int, *, inside: bool) -> str:
    least = min(count_codes(dataset.groups[dataset.y == label]) for label in range(len(CLASSES)))
    if least < 2:
        return "each class needs videos of at least 2 groups to be cross-validated"
    tests = dict.fromkeys((cv.test_size, 0.0))  # fewer folds first, then no held-out test set
    inner = range(min(cv.inner_splits, least), 1, -1) if inside else [cv.inner_splits]
    for test_size, n_splits, n_inner in product(tests, range(min(cv.n_splits, least), 1, -1), inner):
        other = replace(cv, test_size=test_size, n_splits=n_splits, inner_splits=n_inner)
        try:
            make_split(dataset, replace(other, n_repeats=1), seed, inside=inside)
        except DataError:
            continue
        found = {name: getattr(other, name) for name in ("n_splits", "test_size", "inner_splits")}
        changed = [f"cv.{name}={value:g}" for name, value in found.items() if value != getattr(cv, name)]
        return f"possible here: {' '.join(changed)}"
    return ""


def _new_split(dataset: Dataset, cv: schema.CVConfig, seed: int) -> Split:
    test = _hold_out(dataset, cv.test_size, seed) if cv.test_size else np.arange(0)
    development = _others(len(dataset.y), test)
    make_folds = _platform_folds if cv.scheme is schema.Scheme.leave_platform_out else _stratified_folds
    folds = tuple(
        Fold(repeat, index, *sides)
        for repeat, parts in enumerate(make_folds(dataset, development, cv, seed))
        for index, sides in enumerate(parts)
    )
    return Split(development, test, folds)


def _predefined(dataset: Dataset, cv: schema.CVConfig) -> Split:
    table, source = read_folds(Path(str(cv.folds)))
    split = split_from_table(table, dataset.ids, source)
    if not split.folds:
        raise DataError(f"{source}: no row is of split cv, so there is no fold to score")
    if len(split.test):
        _check_classes(dataset, split.test, f"the held-out test set of {source}")
    return split


def _hold_out(dataset: Dataset, share: float, seed: int) -> Indices:
    """Whole groups of about this share of the rows: some of equally large stratified parts."""
    parts = Fraction(share).limit_denominator(_FINEST_SHARE)
    taken, of = parts.numerator, parts.denominator
    _check_count(dataset, np.arange(len(dataset.y)), of, f"cv.test_size={share} needs", grouped=True)
    test = np.sort(np.concatenate(stratified_group_folds(dataset.y, dataset.groups, of, seed)[:taken]))
    _check_classes(dataset, test, "the held-out test set")
    return test


def _stratified_folds(dataset: Dataset, rows: Indices, cv: schema.CVConfig, seed: int) -> Iterator[list[Sides]]:
    """Training and test rows of the folds of each repeat."""
    grouped = cv.scheme is schema.Scheme.grouped
    _check_count(dataset, rows, cv.n_splits, f"cv.n_splits={cv.n_splits} needs", grouped=grouped)
    if grouped:
        repeats = repeated_group_folds(dataset.y[rows], dataset.groups[rows], cv.n_splits, cv.n_repeats, seed)
    else:
        from sklearn.model_selection import StratifiedKFold  # slow to import, and only this scheme needs it

        seeds = range(seed, seed + cv.n_repeats)
        splitters = (StratifiedKFold(cv.n_splits, shuffle=True, random_state=each) for each in seeds)
        repeats = [[test for _, test in each.split(rows, dataset.y[rows])] for each in splitters]
    for tests in repeats:
        yield [(rows[_others(len(rows), test)], rows[test], None) for test in tests]


def _platform_folds(dataset: Dataset, rows: Indices, cv: schema.CVConfig, seed: int) -> list[list[Sides]]:
    """Test each platform's rows, in folds of whole groups, on models of the other platforms without those groups."""
    platforms = np.array(_platforms(dataset))
    repeats: list[list[Sides]] = [[] for _ in range(cv.n_repeats)]
    for platform in np.unique(platforms[rows]):
        inside, outside = rows[platforms[rows] == platform], rows[platforms[rows] != platform]
        _check_classes(dataset, inside, f"platform {platform}")
        y, groups = dataset.y[inside], dataset.groups[inside]
        parts = min(cv.n_splits, *(count_codes(groups[y == label]) for label in range(len(CLASSES))))
        for sides, tests in zip(repeats, repeated_group_folds(y, groups, parts, cv.n_repeats, seed), strict=True):
            for test in (inside[part] for part in tests):
                sides.append((outside[~np.isin(dataset.groups[outside], dataset.groups[test])], test, str(platform)))
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
        found = count_codes(dataset.groups[members]) if grouped else len(members)
        if found < needed:
            kind = "group" if grouped else "row"
            raise DataError(
                f"{who} at least {needed} {kind}s of each class, but the class {name!r} has only {found} "
                f"{kind}{'' if found == 1 else 's'}"
            )


def _check_classes(dataset: Dataset, rows: Indices, where: str) -> None:
    for label, name in enumerate(CLASSES):
        if not (dataset.y[rows] == label).any():
            raise DataError(f"{where} has no {name!r} row")


def _others(n: int, rows: Indices) -> Indices:
    """The numbers below n that are not among these, ascending."""
    return np.flatnonzero(np.bincount(rows, minlength=n) == 0)
