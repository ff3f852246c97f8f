"""What a job does: run its configurations one after the other, each in its own folder, whatever happens to the others.

This module is imported by every job first, so it loads nothing scientific before it has work to do.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import submitit
from submitit.core.utils import UncompletedJobError

from fvc_exp import quick_imports
from fvc_exp._typing import Progress, no_progress
from fvc_exp.config.schema import Config
from fvc_exp.errors import DataError, FvcError
from fvc_exp.io.run_folder import code_hash, write_status
from fvc_exp.io.signals import Stopped, raise_when_stopped
from fvc_exp.sweeps.claims import Claim, heartbeat, process_start, try_claim
from fvc_exp.sweeps.folder import Member, MemberFolder, SweepFolder, finished, read_status

if TYPE_CHECKING:
    from fvc_exp.data.dataset import Dataset
    from fvc_exp.training import shared_fits, split_dataset

log = logging.getLogger(__name__)

_CODE_CHANGED = "code changed since submission"
_WAIT_SECONDS = 1.0
_SPARE_SECONDS = 20.0  # at the end of a job's time, in which it only says that its time is over
_EARLY_SECONDS = 300.0  # SLURM warns signal_delay_s before the end, and up to a minute earlier
_KEPT = 8  # data sets, and splits: a sweep over seeds has folds for each
Value = TypeVar("Value")


class TimeLimitError(FvcError):
    """The scheduler announced the end of the job's time."""


@dataclass(frozen=True)
class MemberBatch:
    """A callable for submitit: the members of a job with so many minutes. It restarts as it is."""

    sweep: str
    members: tuple[Member, ...]
    minutes: float

    def __call__(self) -> None:
        """Run the members, and exit as SLURM's reports and ``afterok`` need it: with 0 only if all of them are done."""
        _raise_at_time_limit(self.minutes)
        try:
            with raise_when_stopped(), quick_imports():
                statuses = run_members(SweepFolder(Path(self.sweep)), self.members, submitit.JobEnvironment().job_id)
        except Stopped as stopped:
            sys.exit(128 + signal.Signals[str(stopped)])
        if any(status["state"] != "done" for status in statuses):
            sys.exit(1)

    def checkpoint(self) -> Any:
        """Hydra's ``max_num_timeout`` above 0 starts the job again: what is finished stays finished."""
        return submitit.helpers.DelayedSubmission(self)


def run_members(
    sweep: SweepFolder, members: Sequence[Member], job: str, cache: SweepCache | None = None
) -> list[dict[str, Any]]:
    """Run each member that is not finished yet, for this job; after the time limit no further one is begun.

    ``cache`` is what they share with other members that this process runs.
    """
    cache = cache or SweepCache()
    statuses = []
    for member in members:
        statuses.append(run_member(sweep.member(member.run_id), member, job, cache))
        if statuses[-1].get("reason") == TimeLimitError.__name__:
            break
    return statuses


def run_member(folder: MemberFolder, member: Member, job: str, cache: SweepCache | None = None) -> dict[str, Any]:
    """Run one configuration unless it is done, waiting while another process works on it; returns its status."""
    while True:
        if (status := finished(folder, member, job)) is not None:
            return status
        if (claim := try_claim(folder, job)) is not None:
            break
        time.sleep(_WAIT_SECONDS)
    if (status := finished(folder, member, job)) is not None:  # by the owner before, just now
        claim.path.unlink()
        return status
    for path in (folder.status, folder.lost):  # how the attempt before ended; the rest of it is deleted by the run
        if (old := read_status(path)) is not None:
            path.rename(folder.attempts / f"{int(old.get('attempt', 0))}.{path.name}")
    with heartbeat(claim):
        return _execute(folder, member, claim, cache or SweepCache())


def _execute(folder: MemberFolder, member: Member, claim: Claim, cache: SweepCache) -> dict[str, Any]:
    from fvc_exp.runs import execute

    assert claim.owner is not None  # it is this process
    owner = claim.owner
    facts = {"attempt": claim.number, "host": owner.host, "job": owner.job, "restart": owner.restart}
    facts["code_hash"] = code_hash()
    if member.code_hash not in ("", facts["code_hash"]) and not member.config.sweep.allow_code_change:
        message = f"fvc retry {folder.path.parents[1]} runs it with the new code"
        return write_status(folder, "failed", datetime.now(UTC), **facts, reason=_CODE_CHANGED, message=message)
    return execute.execute(
        member.config,
        folder.path,
        load=lambda config: cache.split_dataset(config, member.data_sha256),
        show=False,
        facts=facts,
    )


def _raise_at_time_limit(minutes: float) -> None:
    """Turn submitit's exception about the time limit into one that the run records as its reason.

    It is raised by a timer when the spare seconds begin, counted from the start of the process: Python may have taken
    long to start. SLURM's own warning comes minutes before the end and is not needed; one that comes still earlier is
    about a preemption, and for submitit.
    """
    number = signal.Signals[f"SIG{submitit.JobEnvironment.USR_SIG}"]
    stock = signal.getsignal(number)
    if not callable(stock):
        return
    begun = int(process_start(os.getpid()) or 0) / os.sysconf("SC_CLK_TCK")  # since the machine's start
    limit = begun + 60 * minutes - min(_SPARE_SECONDS, 60 * minutes / 4)

    def left() -> float:
        return limit - time.clock_gettime(time.CLOCK_BOOTTIME)

    def handle(received: int, frame: Any) -> None:
        if received == number and 0 < left() < _EARLY_SECONDS:
            return
        try:
            stock(number, frame)
        except UncompletedJobError as error:
            raise TimeLimitError("the job reached its time limit (hydra.launcher.timeout_min)") from error

    signal.signal(number, handle)
    signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, max(left(), 0.001))  # 0 would set none


class SweepCache:
    """Data sets by their configuration, and splits by folds, audit and seed: each is made once for many members.

    One object serves the members that one process runs. A single run works without it.
    """

    def __init__(self) -> None:
        self._datasets: dict[str, Dataset] = {}
        self._splits: dict[str, split_dataset.SplitDataset] = {}
        self._fits: dict[str, shared_fits.SharedFits] = {}

    def split_dataset(self, config: Config, planned_sha256: str | None) -> split_dataset.SplitDataset:
        """Rows and folds of a member, with the fits that its grid shares; the rows must be those of the plan.

        Raises:
            DataError: the rows are missing, have changed, or cannot be split like this.
        """
        from fvc_exp.data import dataset, splits
        from fvc_exp.training.split_dataset import SplitDataset

        source = repr((config.data, config.features))
        rows = _once(self._datasets, source, lambda: dataset.load_dataset(config.data, config.features))
        if planned_sha256 not in (None, found := rows.content_hash):
            raise DataError(
                f"{config.data.root}: the data changed after the sweep was planned (sha256 {found[:12]}, "
                f"planned {planned_sha256[:12]}); give the command again for a sweep of the new data"
            )
        cv, audit, seed = config.cv, config.audit, config.seed
        return _once(
            self._splits,
            repr((found, source, cv, audit, seed)),
            # The price of a leak is for best/ alone, see driver.copy_best.
            lambda: SplitDataset(rows, splits.make_split(rows, cv, seed), audit, seed, self._fits).without_price(),
        )

    def fit_together(
        self, members: Sequence[Member], wanted: Collection[Member], on_progress: Progress = no_progress
    ) -> None:
        """Fit the grids that the wanted members belong to, and keep them in this cache for its split data sets.

        A grid is always fitted as a whole, so that its numbers do not depend on what was finished before. Members whose
        data cannot be used are skipped here; each fails with that reason when it is run.
        """
        from fvc_exp.training.shared_fits import grid_key, points_of

        grids: dict[str, list[Member]] = {}
        for member in members:
            grids.setdefault(grid_key(member.config), []).append(member)
        for grid in grids.values():
            points = dict.fromkeys(point for member in grid for point in points_of(member.config))
            if not points or not any(member in wanted for member in grid):
                continue
            config, planned = grid[0].config, grid[0].data_sha256
            try:
                self.split_dataset(config, planned).fit_together(config, points, on_progress)
            except DataError as error:
                log.info("no fits to share: %s", error)


def _once(known: dict[str, Value], key: str, make: Callable[[], Value]) -> Value:
    """The value of this key, made where it is not known; the oldest ones are forgotten."""
    if key not in known:
        value = make()
        while len(known) >= _KEPT:
            del known[next(iter(known))]
        known[key] = value
    return known[key]
