"""What all stages share: skip what is finished, let workers do the rest, keep each row as it comes, then merge."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from fvc_exp._typing import Progress, no_progress
from fvc_exp.config.schema import VideoConfig
from fvc_exp.data.columns import KEY
from fvc_exp.stages.table_store import Source, TableStore, find_source, states
from fvc_exp.stages.tasks import Task
from fvc_exp.video.worker_pool import Failed, run_in_workers

Rows = Mapping[str, Mapping[str, Any]]  # the row of one video for each table
_HANG = "timeout"


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

    ``known`` is the row where no work is needed for it, or the failure of an earlier stage.
    """

    key: str
    file: str
    payload: Any = None
    known: Mapping[str, Any] | Failed | None = None


def run_units(
    stores: Mapping[str, TableStore],
    units: Sequence[Unit],
    videos: pl.DataFrame,
    function: Callable[[Task], Rows],
    options: Options,
) -> list[StageSummary]:
    """Give every unit of this shard its row in every store, and merge the stores that are complete then.

    ``function`` runs in the workers. ``videos`` has the key and the input columns that the merged tables repeat.
    """
    with ExitStack() as stack:
        for store in stores.values():
            stack.enter_context(store.writing())
        ordered = sorted(units, key=lambda unit: unit.key)
        looked_at = {name: find_source(options.root, name, options.made) for name in {unit.file for unit in ordered}}
        sources = {unit.key: looked_at[unit.file] for unit in ordered}
        current, shard = states(sources), ordered[options.shard :: options.num_shards]
        kept = {name: _kept(store, current, options) for name, store in stores.items()}
        tasks = list(_tasks(stores, shard, sources, kept))
        video, n_before = options.video, len(shard) - len(tasks)
        options.on_progress(n_before, len(shard))
        outcomes = run_in_workers(function, tasks, limits=video.limits, workers=video.workers)
        for done, (task, result) in enumerate(stack.enter_context(closing(outcomes)), start=n_before + 1):
            for name in task.tables:
                row = _without_path(result, task.path) if isinstance(result, Failed) else result[name]
                stores[name].add(task.key, sources[task.key], row)
            options.on_progress(done, len(shard))
        for store in stores.values():
            store.flush()
        keys = [unit.key for unit in shard]
        return [_summary(store, current, videos, keys, kept[name]) for name, store in stores.items()]


def unit_of(row: Mapping[str, Any], made: Path, payload: Any = None) -> Unit:
    """The work on an input video, or its failure in an earlier stage; a copy by stage=augment lies below ``made``."""
    key, error_class = str(row[KEY]), row.get("error_class")
    file = key if row.get("augmentation") is None else str(made.absolute() / key)
    return Unit(key, file, payload, Failed(error_class, str(row["error"])) if error_class is not None else None)


def _kept(store: TableStore, current: pl.DataFrame, options: Options) -> set[str]:
    """The videos whose rows stay as they are."""
    rows = store.finished(current)
    # A hang may be the fault of the machine.
    failures = pl.col("error_class").is_not_null() if options.video.retry_failed else pl.col("error_class") == _HANG
    return set(rows[KEY]) - set(rows.filter(failures)[KEY])


def _tasks(
    stores: Mapping[str, TableStore], shard: Sequence[Unit], sources: Mapping[str, Source], kept: Mapping[str, set[str]]
) -> Iterator[Task]:
    """What the workers have to do; rows that are known without work go to the stores."""
    for unit in shard:
        missing = tuple(name for name in stores if unit.key not in kept[name])
        source = sources[unit.key]
        known = unit.known if isinstance(unit.known, Failed) else source.failed or unit.known
        if known is not None:
            for name in missing:
                stores[name].add(unit.key, source, known)
        elif missing and source.path:
            yield Task(unit.key, source.path, missing, unit.payload)


def _without_path(failed: Failed, path: Path) -> Failed:
    """The row names its video already, and a table must not depend on where it was made."""
    return Failed(failed.error_class, failed.message.removeprefix(f"{path}: "))


def _summary(
    store: TableStore, current: pl.DataFrame, videos: pl.DataFrame, keys: Sequence[str], kept: set[str]
) -> StageSummary:
    rows = store.finished(current).filter(pl.col(KEY).is_in(keys))
    good = set(rows.filter(pl.col("error_class").is_null())[KEY])
    bad = rows.filter(pl.col("error_class").is_not_null())
    failed = dict(sorted(Counter(bad["error_class"]).items()))
    n_kept = len(kept.intersection(bad[KEY]))
    return StageSummary(len(good - kept), len(good & kept), failed, n_kept, store.path, store.merge(current, videos))
