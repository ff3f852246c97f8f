from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fvc_exp.config.canonical import canonical
from fvc_exp.data.dataset import Dataset
from fvc_exp.data.folds import Split, read_folds, split_from_table
from fvc_exp.errors import DataError, IncompatibleError
from tests.conftest import Compose, run, signal_dataset

IDS = ("a", "b", "c", "d", "e", "f")


def with_platforms() -> Dataset:
    dataset = signal_dataset(n_groups=60)
    return replace(
        dataset, slices={"platform": tuple(("youtube", "twitter", "facebook")[row % 3] for row in range(180))}
    )


def write(path: Path, **columns: list[object]) -> Path:
    pl.DataFrame(columns, strict=False).write_csv(path / "folds.csv")
    return path / "folds.csv"


def read(path: Path, ids: tuple[str, ...] = IDS) -> Split:
    table, source = read_folds(path)
    return split_from_table(table, ids, source)


@pytest.mark.parametrize(
    "override", ["cv=grouped", "cv=stratified", "cv=repeated", "cv=leave_platform_out", "cv.test_size=0"]
)
def test_written_folds_give_the_same_run_again(compose_config: Compose, tmp_path: Path, override: str) -> None:
    dataset = with_platforms()
    first = run(compose_config(override, "cv.n_splits=3"), dataset)
    first.folds().write_parquet(tmp_path / "folds.parquet")
    again = run(compose_config("cv=predefined", f"cv.folds={tmp_path / 'folds.parquet'}"), dataset)
    assert len(again.split.folds) == len(first.split.folds)
    for one, other in zip(first.split.folds, again.split.folds, strict=True):
        np.testing.assert_array_equal(one.train, other.train)
        np.testing.assert_array_equal(one.test, other.test)
    np.testing.assert_array_equal(first.split.test, again.split.test)
    assert first.summary == again.summary
    assert first.test_scores == again.test_scores
    assert again.folds().sort(pl.all()).equals(first.folds().sort(pl.all()))


def test_train_validation_and_test_parts(tmp_path: Path) -> None:
    path = write(tmp_path, video_path=list(IDS), split=["train", "Train", "val", "val", "test", "test"])
    split = read(path)
    (fold,) = split.folds
    assert (fold.train.tolist(), fold.test.tolist()) == ([0, 1], [2, 3])
    assert (split.development.tolist(), split.test.tolist()) == ([0, 1, 2, 3], [4, 5])
    assert [name for name, _, _ in split.parts()] == ["repeat 0, fold 0", "held-out test"]


def test_training_rows_of_no_fold_survive_the_round_trip(compose_config: Compose, tmp_path: Path) -> None:
    dataset = signal_dataset()
    parts = ["train"] * 60 + ["val"] * 30 + ["test"] * 30
    path = write(tmp_path, video_path=list(dataset.ids), split=parts)
    first = run(compose_config("cv=predefined", f"cv.folds={path}"), dataset)
    first.folds().write_parquet(tmp_path / "again.parquet")
    again = run(compose_config("cv=predefined", f"cv.folds={tmp_path / 'again.parquet'}"), dataset)
    assert len(again.split.folds[0].train) == 60
    assert first.summary == again.summary


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


def test_order_of_rows_is_that_of_the_data(tmp_path: Path) -> None:
    path = write(tmp_path, video_path=list("fedcba"), fold=[0, 1, 0, 1, 0, 1])
    assert [fold.test.tolist() for fold in read(path).folds] == [[1, 3, 5], [0, 2, 4]]


def test_a_note_counts_the_videos_that_are_not_in_the_data(tmp_path: Path) -> None:
    path = write(tmp_path, video_path=[*IDS, "gone"], fold=[0, 1] * 3 + [0])
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


@pytest.mark.parametrize("overrides", [("cv.folds=x.csv",), ("cv=predefined", "cv.folds=null")], ids=["file", "none"])
def test_the_file_and_the_scheme_go_together(compose_config: Compose, overrides: tuple[str, ...]) -> None:
    with pytest.raises(IncompatibleError, match=r"cv\.scheme=.* and cv\.folds=.* do not fit"):
        compose_config(*overrides)


def test_a_missing_file_is_named(compose_config: Compose) -> None:
    config = compose_config("cv=predefined", "cv.folds=/nowhere/folds.parquet")
    for use in (canonical, lambda config: run(config, signal_dataset())):
        with pytest.raises(DataError, match=r"/nowhere/folds\.parquet: no such file"):
            use(config)
