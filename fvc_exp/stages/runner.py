"""What all stages share: skip what is finished, let workers do the rest, keep each row as it comes, then merge."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from fvc_exp._typing import Progress, no_progress
from fvc_exp.config.schema import VideoConfig
from fvc_exp.data.columns import KEY
from fvc_exp.stages.table_store import OWN_COLUMNS, Source, TableStore, find_source, states
from fvc_exp.stages.tasks import Task
from fvc_exp.video.worker_pool import Failed, WorkerFailure, run_in_workers

Rows = Mapping[str, Mapping[str, Any]]  # the row of one video for each table
_HANG = WorkerFailure.timeout.value


@dataclass(frozen=True)
class Options:
    """Where and how a stage works, and on how much: every ``num_shards``-th video from ``shard`` on.

    The videos lie below ``root``, what is made from them below ``made``. ``on_progress`` is called with the videos that
    have their rows and with all that are to get one.
    """

    root: Path
    made: Path
    video: VideoConfig
    shard: int = 0
    num_shards: int = 1
    on_progress: Progress = no_progress


@dataclass(frozen=True)
class StageSummary:
    """Videos of this shard: done now, finished before, and how many failed (now or before) per error class.

    ``kept`` of the failures are from before and were not tried again. ``is_complete`` says whether ``table`` was
    written; else other shards still have rows to add.
    """

    done: int
    skipped: int
    failed: Mapping[str, int]
    kept: int
    table: Path
    is_complete: bool


@dataclass(frozen=True)
class Unit:
    """One row to make: its key, the file to open (below the data root or ``made``), and what else the work needs.

    ``known`` is the row where no work is needed for it; ``failed`` carries the failure of an earlier stage.
    """

    key: str
    file: str
    payload: Any = None
    known: Mapping[str, Any] | None = None
    failed: Failed | None = None


@dataclass
class _Plan:
    """The tasks still to be done, the rows known without work, and the units of this shard."""

    sources: dict[str, Source]
    shard: list[Unit]
    tasks: list[Task] = field(default_factory=list)
    known: list[tuple[Unit, Mapping[str, Any] | Failed, tuple[str, ...]]] = field(default_factory=list)


def run_units(
    stores: Mapping[str, TableStore],
    units: Sequence[Unit],
    carried: pl.DataFrame,
    function: Callable[[Task], Rows],
    options: Options,
) -> dict[str, StageSummary]:
    """Give every unit of this shard its row in every store, and merge the stores that are complete then.

    ``function`` runs in the workers. ``carried`` has the key and the input columns that the merged tables repeat.
    """
    with ExitStack() as stack:
        for store in stores.values():
            stack.enter_context(store)
        plan = _plan(stores, units, options)
        pending = {name: {task.key for task in plan.tasks if name in task.tables} for name in stores}
        for unit, row, names in plan.known:
            for name in names:
                pending[name].add(unit.key)
                stores[name].add(unit.key, plan.sources[unit.key], row)
        _work(stores, plan, function, options)
        for store in stores.values():
            store.flush()
        current = states(plan.sources)
        keys = [unit.key for unit in plan.shard]
        return {name: _summary(store, current, carried, keys, pending[name]) for name, store in stores.items()}


def carried_columns(videos: pl.DataFrame, computed: Sequence[str]) -> pl.DataFrame:
    """The input columns that an output table repeats: all that neither this stage nor the bookkeeping writes."""
    return videos.select(KEY, pl.exclude(KEY, *computed, *OWN_COLUMNS))


def file_of(row: Mapping[str, Any], made: Path) -> str:
    """The file of an input video: a copy that stage=augment wrote lies below ``made``."""
    key = str(row[KEY])
    return key if row.get("augmentation") is None else str(made.absolute() / key)


def earlier_failure(row: Mapping[str, Any]) -> Failed | None:
    """The failure that an earlier stage wrote into this row of its table."""
    error_class = row.get("error_class")
    return Failed(str(error_class), str(row.get("error"))) if error_class is not None else None


def _plan(stores: Mapping[str, TableStore], units: Sequence[Unit], options: Options) -> _Plan:
    ordered = sorted(units, key=lambda unit: unit.key)
    looked_at = {name: find_source(options.root, name, options.made) for name in {unit.file for unit in ordered}}
    plan = _Plan({unit.key: looked_at[unit.file] for unit in ordered}, ordered[options.shard :: options.num_shards])
    current = states(plan.sources)
    kept = {}
    for name, store in stores.items():
        rows = store.finished(current)
        # A hang may be the fault of the machine.
        failures = pl.col("error_class").is_not_null() if options.video.retry_failed else pl.col("error_class") == _HANG
        kept[name] = set(rows[KEY]) - set(rows.filter(failures)[KEY])
    for unit in plan.shard:
        missing = tuple(name for name in stores if unit.key not in kept[name])
        source = plan.sources[unit.key]
        if failed := unit.failed or source.failed:
            plan.known.append((unit, failed, missing))
        elif unit.known is not None:
            plan.known.append((unit, unit.known, missing))
        elif missing and source.path:
            plan.tasks.append(Task(unit.key, source.path, missing, unit.payload))
    return plan


def _work(stores: Mapping[str, TableStore], plan: _Plan, function: Callable[[Task], Rows], options: Options) -> None:
    video, total = options.video, len(plan.shard)
    finished = total - len(plan.tasks)
    options.on_progress(finished, total)
    with closing(run_in_workers(function, plan.tasks, limits=video.limits, workers=video.workers)) as outcomes:
        for done, (task, result) in enumerate(outcomes, start=finished + 1):
            for name in task.tables:
                row = _without_path(result, task.path) if isinstance(result, Failed) else result[name]
                stores[name].add(task.key, plan.sources[task.key], row)
            options.on_progress(done, total)


def _without_path(failed: Failed, path: Path) -> Failed:
    """The row names its video already, and a table must not depend on where it was made."""
    return Failed(failed.error_class, failed.message.removeprefix(f"{path}: "))


def _summary(
    store: TableStore, current: pl.DataFrame, carried: pl.DataFrame, keys: Sequence[str], pending: set[str]
) -> StageSummary:
    rows = store.finished(current).filter(pl.col(KEY).is_in(keys))
    good = rows.filter(pl.col("error_class").is_null())[KEY]
    done = len(pending.intersection(good))
    bad = rows.filter(pl.col("error_class").is_not_null())
    failed = dict(sorted(Counter(bad["error_class"]).items()))
    kept = len(set(bad[KEY]) - pending)
    return StageSummary(done, len(good) - done, failed, kept, store.path, store.merge(current, carried))
