from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fvc_exp.config.canonical import canonical
from fvc_exp.config.schema import CVConfig, Scheme
from fvc_exp.data.dataset import Dataset
from fvc_exp.data.folds import Split, read_folds, split_from_table
from fvc_exp.data.splits import count_shared_groups, inner_parts, make_split
from fvc_exp.errors import DataError
from tests.conftest import Compose, make_cv, run, signal_dataset

GROUPED = make_cv(Scheme.grouped, n_splits=5, n_repeats=1, test_size=0.2)
STRATIFIED = make_cv(Scheme.stratified, n_splits=5, n_repeats=1, test_size=0.2)
REPEATED = make_cv(Scheme.grouped, n_splits=4, n_repeats=3, test_size=0.25)


@pytest.mark.parametrize("cv", [GROUPED, STRATIFIED, REPEATED], ids=lambda cv: cv.scheme.name)
def test_a_row_is_tested_once_a_repeat_and_groups_are_shared_only_between_stratified_folds(cv: CVConfig) -> None:
    dataset = signal_dataset()
    split = make_split(dataset, cv, seed=1)
    assert len(split.folds) == cv.n_splits * cv.n_repeats
    for repeat in range(cv.n_repeats):
        tested = np.concatenate([fold.test for fold in split.folds if fold.repeat == repeat])
        np.testing.assert_array_equal(np.sort(tested), split.development)
    for fold in split.folds:
        np.testing.assert_array_equal(np.sort(np.r_[fold.train, fold.test]), split.development)
    shared = sum(count_shared_groups(dataset, fold.train, fold.test) for fold in split.folds)
    assert shared > 20 if cv is STRATIFIED else shared == 0
    assert count_shared_groups(dataset, split.development, split.test) == 0


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2, 0.25, 0.3, 0.5])
def test_held_out_share(share: float) -> None:
    dataset = signal_dataset(n_groups=120)
    split = make_split(dataset, make_cv(Scheme.grouped, 3, 1, share), seed=0)
    assert len(split.test) / len(dataset.y) == pytest.approx(share, abs=0.02)
    assert dataset.y[split.test].mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("scheme", [Scheme.grouped, Scheme.leave_platform_out])
def test_equal_repeats_are_counted_and_said(scheme: Scheme) -> None:
    dataset = replace(signal_dataset(n_groups=8), slices={"platform": ("a", "a", "b", "b") * 6})
    few = replace(dataset, groups=dataset.y + 2 * (np.arange(24) % 4 // 2))  # one group of each class and platform
    many = replace(signal_dataset(), slices={"platform": ("a", "b", "b", "a") * 30})
    found = make_split(few, make_cv(scheme, n_splits=2, n_repeats=5), seed=0)
    distinct = 2 if scheme is Scheme.grouped else 1
    assert found.repeats == {"asked": 5, "distinct": distinct}
    assert [f"5 repeats, but only {distinct} different partition" in note for note in found.notes] == [True]
    enough = make_split(many, make_cv(scheme, n_splits=4, n_repeats=5), seed=0)
    assert (enough.repeats, enough.notes) == ({"asked": 5, "distinct": 5}, ())


TOO_MANY = {
    "folds": (make_cv(Scheme.grouped, 9, 1, 0.2), r"cv\.n_splits=9 needs at least 9 groups.*'real' has only 8 groups"),
    "test set": (make_cv(Scheme.grouped, 2, 1, 0.05), r"cv\.test_size=0\.05 needs at least 20 groups"),
    "rows": (make_cv(Scheme.stratified, 25, 1, 0.2), r"at least 25 rows of each class, .*only 24 rows"),
}


@pytest.mark.parametrize(("cv", "message"), TOO_MANY.values(), ids=TOO_MANY)
def test_too_many_folds(cv: CVConfig, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make_split(signal_dataset(n_groups=20), cv, seed=0)


def on_platforms(dataset: Dataset, names: list[str | None]) -> Dataset:
    return replace(dataset, slices={"platform": tuple(names)})


PLATFORM_OUT = make_cv(Scheme.leave_platform_out, n_splits=5, n_repeats=2, test_size=0.2)


def test_leave_platform_out_keeps_platforms_and_groups_apart() -> None:
    dataset = on_platforms(signal_dataset(n_groups=80), ["youtube", "twitter", "facebook"] * 80)
    split = make_split(dataset, PLATFORM_OUT, seed=1)
    platforms = np.array(dataset.slices["platform"])
    assert len(split.folds) == 2 * 3 * 5
    for fold in split.folds:
        assert set(platforms[fold.test]) == {fold.held_out}
        assert fold.held_out not in platforms[fold.train]
        assert count_shared_groups(dataset, fold.train, fold.test) == 0
        apart = (platforms != fold.held_out) & ~np.isin(dataset.groups, dataset.groups[fold.test])
        np.testing.assert_array_equal(fold.train, split.development[apart[split.development]])
    for repeat in range(2):
        tested = np.concatenate([fold.test for fold in split.folds if fold.repeat == repeat])
        np.testing.assert_array_equal(np.sort(tested), split.development)


def test_a_small_platform_has_fewer_parts() -> None:
    dataset = signal_dataset(n_groups=40)
    names = ["twitter" if group < 6 else "youtube" for group in dataset.groups]
    cv = replace(PLATFORM_OUT, n_repeats=1, test_size=0.0)
    split = make_split(on_platforms(dataset, names), cv, seed=0)
    assert [fold.held_out for fold in split.folds] == ["twitter"] * 3 + ["youtube"] * 5


WRONG_PLATFORMS = {
    "no column": ([], r"needs the column 'platform'"),
    "unknown": (["youtube", None] * 60, r"the platform of video 'video00001\.mp4' is not known"),
    "one platform": (["youtube"] * 120, r"videos of two platforms, but all are of 'youtube'"),
    "one class": (["twitter"] * 3 + ["youtube"] * 117, r"platform twitter has no 'fake' row"),
}


@pytest.mark.parametrize(("names", "message"), WRONG_PLATFORMS.values(), ids=WRONG_PLATFORMS)
def test_platforms_that_cannot_be_left_out(names: list[str | None], message: str) -> None:
    dataset = signal_dataset()
    dataset = on_platforms(dataset, names) if names else dataset
    with pytest.raises(DataError, match=message):
        make_split(dataset, replace(PLATFORM_OUT, test_size=0.0), seed=0)


def test_inner_parts_are_grouped_folds_of_the_rows_given() -> None:
    dataset = signal_dataset()
    rows = np.arange(30, 120)
    parts = inner_parts(dataset, rows, 4, seed=3)
    np.testing.assert_array_equal(np.sort(np.concatenate([test for _, test in parts])), rows)
    for train, test in parts:
        assert count_shared_groups(dataset, train, test) == 0
        np.testing.assert_array_equal(np.sort(np.r_[train, test]), rows)


IDS = ("a", "b", "c", "d", "e", "f")


def write(path: Path, **columns: list[object]) -> Path:
    pl.DataFrame(columns, strict=False).write_csv(path / "folds.csv")
    return path / "folds.csv"


def read(path: Path, ids: tuple[str, ...] = IDS) -> Split:
    table, source = read_folds(path)
    return split_from_table(table, ids, source)


@pytest.mark.parametrize(
    "override", ["cv=grouped", "cv=stratified", "cv=repeated", "cv=leave_platform_out", "cv.test_size=0", "parts"]
)
def test_written_folds_give_the_same_run_again(compose_config: Compose, tmp_path: Path, override: str) -> None:
    dataset = on_platforms(signal_dataset(n_groups=60), ["youtube", "twitter", "facebook"] * 60)
    words = [override, "cv.n_splits=3"]
    if override == "parts":  # with training rows of no fold
        path = write(tmp_path, video_path=list(dataset.ids), split=["train"] * 90 + ["val"] * 45 + ["test"] * 45)
        words = ["cv=predefined", f"cv.folds={path}"]
    first = run(compose_config(*words), dataset)
    first.data.folds.write_parquet(tmp_path / "folds.parquet")
    again = run(compose_config("cv=predefined", f"cv.folds={tmp_path / 'folds.parquet'}"), dataset)
    assert len(again.split.folds) == len(first.split.folds)
    for one, other in zip(first.split.folds, again.split.folds, strict=True):
        np.testing.assert_array_equal(one.train, other.train)
        np.testing.assert_array_equal(one.test, other.test)
    np.testing.assert_array_equal(first.split.test, again.split.test)
    assert first.summary == again.summary
    assert first.test_scores == again.test_scores
    assert again.data.folds.sort(pl.all()).equals(first.data.folds.sort(pl.all()))


def test_train_validation_and_test_parts(tmp_path: Path) -> None:
    path = write(tmp_path, video_path=list(IDS), split=["train", "Train", "val", "val", "test", "test"])
    split = read(path)
    (fold,) = split.folds
    assert (fold.train.tolist(), fold.test.tolist()) == ([0, 1], [2, 3])
    assert (split.development.tolist(), split.test.tolist()) == ([0, 1, 2, 3], [4, 5])
    assert [name for name, _, _ in split.parts()] == ["repeat 0, fold 0", "held-out test"]


def test_repeats_and_explicit_training_rows(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        video_path=["a", "b", "c", "a", "b", "c", "d", "c"],
        fold=[0, 0, 1, 0, 1, 1, None, 0],
        repeat=[0, 0, 0, 1, 1, 1, None, 0],
        split=["cv"] * 6 + ["train", "train"],
    )
    split = read(path, IDS[:4])
    sides = [(fold.repeat, fold.index, fold.train.tolist(), fold.test.tolist()) for fold in split.folds]
    assert sides == [(0, 0, [2], [0, 1]), (0, 1, [0, 1, 3], [2]), (1, 0, [1, 2, 3], [0]), (1, 1, [0, 3], [1, 2])]


def test_rows_are_in_the_order_of_the_data_and_others_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path, video_path=[*"fedcba", "gone"], fold=[0, 1, 0, 1, 0, 1, 0])
    assert [fold.test.tolist() for fold in read(path).folds] == [[1, 3, 5], [0, 2, 4]]
    assert read(path).notes == (f"{path}: 1 of its videos are not in the data",)


WRONG = {
    "no videos": ({"fold": [0] * 6, "video_path": None}, r"a fold file has the columns 'video_path' and 'fold'"),
    "no folds": ({}, r"a fold file has the columns"),
    "text": ({"fold": ["x"] * 6}, r"column 'fold', row 1: 'x' is not an integer"),
    "no fold": ({"fold": [0, None] * 3}, r"column 'fold', row 2: None is missing in a cv row"),
    "unknown part": ({"split": ["dev"] * 6}, r"column 'split', row 1: 'dev' is not allowed.*cv, train"),
    "absent": ({"video_path": "abcde", "fold": [0, 1, 0, 1, 0]}, r"1 of 6 videos are in no fold, the first is 'f'"),
    "twice": ({"video_path": "abcdefa", "fold": [0, 1] * 3 + [1]}, r"video 'a' is tested twice in one repeat"),
    "all tested": ({"fold": [0] * 6}, r"fold 0 of repeat 0 has no training row"),
    "test": ({"video_path": "abcdefa", "fold": [0, 1] * 3 + [None], "split": ["cv"] * 6 + ["test"]},
             r"1 videos are held out for the test and used before it, the first is 'a'"),
    "train": ({"video_path": "abcdefa", "fold": [0, 1] * 3 + [0], "split": ["cv"] * 6 + ["train"]},
              r"1 videos are trained on and tested in fold 0 of repeat 0, the first is 'a'"),
}  # fmt: skip


@pytest.mark.parametrize(("columns", "message"), WRONG.values(), ids=WRONG)
def test_wrong_files_are_refused(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    given = {"video_path": "abcdef"} | columns
    with pytest.raises(DataError, match=message):
        read(write(tmp_path, **{name: list(values) for name, values in given.items() if values is not None}))


@pytest.mark.parametrize(
    ("column", "message"),
    [("split", "no row is of split cv"), ("fold", r"training part of fold 0 has no 'real' row")],
    ids=["no fold", "one class"],
)
def test_folds_that_cannot_be_scored(compose_config: Compose, tmp_path: Path, column: str, message: str) -> None:
    dataset = signal_dataset()
    values = {"split": ["train", "train", "test"] * 40, "fold": dataset.y.tolist()}
    path = write(tmp_path, video_path=list(dataset.ids), **{column: values[column]})
    with pytest.raises(DataError, match=message):
        run(compose_config("cv=predefined", f"cv.folds={path}"), dataset)


def test_the_content_of_the_file_makes_the_experiment(compose_config: Compose, tmp_path: Path) -> None:
    path = write(tmp_path, video_path=list(IDS), fold=[0, 1] * 3)
    config = compose_config("cv=predefined", f"cv.folds={path}")
    before = canonical(config)
    path.rename(tmp_path / "moved.csv")
    assert canonical(compose_config("cv=predefined", f"cv.folds={tmp_path / 'moved.csv'}", "cv.n_splits=9")) == before
    write(tmp_path, video_path=list(IDS), fold=[0, 1, 1] * 2)
    assert canonical(config) != before


def test_a_missing_file_is_named(compose_config: Compose) -> None:
    config = compose_config("cv=predefined", "cv.folds=/nowhere/folds.parquet")
    for use in (canonical, lambda config: run(config, signal_dataset())):
        with pytest.raises(DataError, match=r"/nowhere/folds\.parquet: no such file"):
            use(config)
