import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from fvc_exp.stages.runner import Options, StageSummary, Unit, run_units
from fvc_exp.stages.table_store import TableStore
from fvc_exp.video.worker_pool import Failed
from tests.stages.videos import LIMITS, VIDEO
from tests.video.worker_functions import row

Work = tuple[str, Any]


def go(
    root: Path,
    work: dict[str, Work | Failed],
    *,
    tables: tuple[str, ...] = ("t",),
    workers: int = 1,
    retry_failed: bool = False,
    **options: object,
) -> dict[str, StageSummary]:
    """Do the work named for each key; every key is a file of that name."""
    units = []
    for key, item in work.items():
        if not (root / key).exists():
            (root / key).write_text(key)
        known = item if isinstance(item, Failed) else None
        units.append(Unit(key, key, payload=item, known=known))
    stores = {name: TableStore(root / name, {"value": pl.Float64}, "s", LIMITS) for name in tables}
    video = replace(VIDEO, workers=workers, retry_failed=retry_failed, limits=replace(LIMITS, wall_seconds=3))
    keys = pl.DataFrame({"video_path": list(work)})
    summaries = run_units(stores, units, keys, row, Options(root, root, video, **options))
    return {summary.table.stem: summary for summary in summaries}


def read(root: Path, name: str = "t") -> dict[str, float | str]:
    table = pl.read_parquet(root / f"{name}.parquet")
    return {line["video_path"]: line["error_class"] or line["value"] for line in table.iter_rows(named=True)}


SQUARES = {f"{n:02d}": ("square", n) for n in range(20)}


def test_a_killed_and_a_hanging_worker_cost_one_row_each(tmp_path: Path) -> None:
    work: dict[str, Work | Failed] = {**SQUARES, "03": ("kill", signal.SIGKILL), "05": ("hang", None)}
    summary = go(tmp_path, work, workers=2)["t"]
    assert (summary.done, summary.skipped, summary.is_complete) == (18, 0, True)
    assert summary.failed == {"timeout": 1, "worker_died": 1}
    expected = {key: float(n**2) for key, (_, n) in SQUARES.items()}
    assert read(tmp_path) == expected | {"03": "worker_died", "05": "timeout"}


def test_failed_rows_are_tried_again_only_when_wanted_or_changed(tmp_path: Path) -> None:
    bad: dict[str, Work | Failed] = {"a": ("bug", 0), "b": ("bug", 0), "c": ("square", 2)}
    good: dict[str, Work | Failed] = {"a": ("bug", 2), "b": ("bug", 4), "c": ("square", 99)}
    assert go(tmp_path, bad)["t"].failed == {"internal_error": 2}
    summary = go(tmp_path, good)["t"]
    assert (summary.done, summary.skipped, summary.failed, summary.kept) == (0, 1, {"internal_error": 2}, 2)
    (tmp_path / "a").write_text("changed")
    summary = go(tmp_path, good)["t"]
    assert (summary.done, summary.skipped, summary.failed, summary.kept) == (1, 1, {"internal_error": 1}, 1)
    summary = go(tmp_path, good, retry_failed=True)["t"]
    assert (summary.done, summary.skipped, summary.failed) == (1, 2, {})
    assert read(tmp_path) == {"a": 0.5, "b": 0.25, "c": 4.0}


def test_a_hang_is_tried_again_by_the_next_start(tmp_path: Path) -> None:
    first = go(tmp_path, {"a": ("hang", None), "b": ("square", 2)})["t"]
    assert (first.done, first.failed, first.kept, first.is_complete) == (1, {"timeout": 1}, 0, True)
    second = go(tmp_path, {"a": ("square", 3), "b": ("square", 99)})["t"]
    assert (second.done, second.skipped, second.failed) == (1, 1, {})
    assert read(tmp_path) == {"a": 9.0, "b": 4.0}


def test_shards_add_up_to_the_same_table_in_any_order(tmp_path: Path) -> None:
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    for folder in (whole, parted):
        folder.mkdir()
        for key in SQUARES:
            (folder / key).write_text(key)
            os.utime(folder / key, ns=(10**18, 10**18))
    go(whole, dict(SQUARES))
    summaries = [go(parted, dict(SQUARES), shard=shard, num_shards=3)["t"] for shard in (2, 0, 1)]
    assert [summary.is_complete for summary in summaries] == [False, False, True]
    assert sorted(summary.done for summary in summaries) == [6, 7, 7]
    assert_frame_equal(pl.read_parquet(parted / "t.parquet"), pl.read_parquet(whole / "t.parquet"))


def test_two_runs_of_one_shard_at_once_do_no_harm(tmp_path: Path) -> None:
    for key in SQUARES:
        (tmp_path / key).write_text(key)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(go, tmp_path, dict(SQUARES)) for _ in range(2)]
        assert all(each.result()["t"].is_complete for each in both)
    assert read(tmp_path) == {key: float(n**2) for key, (_, n) in SQUARES.items()}
    assert sorted(path.name for path in tmp_path.iterdir()) == [*SQUARES, "t.parquet"]


def test_a_table_that_is_added_later_leaves_the_others(tmp_path: Path) -> None:
    go(tmp_path, {"a": ("square", 2)}, tables=("one",))
    summaries = go(tmp_path, {"a": ("square", 3)}, tables=("one", "two"))
    assert (summaries["one"].done, summaries["two"].done) == (0, 1)
    assert (read(tmp_path, "one"), read(tmp_path, "two")) == ({"a": 4.0}, {"a": 9.0})


def test_progress_counts_what_was_finished_before(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def on_progress(done: int, total: int) -> None:
        seen.append((done, total))

    go(tmp_path, {"a": ("square", 1), "b": ("square", 2)}, on_progress=on_progress)
    assert seen == [(0, 2), (1, 2), (2, 2)]
    seen.clear()
    go(tmp_path, {"a": ("square", 1), "b": ("square", 2), "c": ("square", 3)}, on_progress=on_progress)
    assert seen == [(2, 3), (3, 3)]


def test_an_interrupt_keeps_the_rows_that_are_done(tmp_path: Path) -> None:
    def interrupt(done: int, _total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go(tmp_path, dict(SQUARES), on_progress=interrupt)
    summary = go(tmp_path, dict(SQUARES))["t"]
    assert (summary.done, summary.skipped) == (17, 3)
