"""What a job does: run its configurations one after the other, each in its own folder, whatever happens to the others.

This module is imported by every job first, so it loads nothing scientific before it has work to do.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import submitit
from submitit.core.utils import UncompletedJobError

from fvc_exp.errors import FvcError
from fvc_exp.io.imports import quick_imports
from fvc_exp.io.run_folder import code_hash, write_status
from fvc_exp.io.signals import Stopped, raise_when_stopped
from fvc_exp.sweeps.claims import Claim, heartbeat, process_start, try_claim
from fvc_exp.sweeps.folder import Member, MemberFolder, SweepFolder, finished, read_status

if TYPE_CHECKING:
    from fvc_exp.runs.execute import SplitCache

_CODE_CHANGED = "code changed since submission"
_WAIT_SECONDS = 1.0
_SPARE_SECONDS = 20.0  # at the end of a job's time, in which it only says that its time is over
_EARLY_SECONDS = 300.0  # SLURM warns signal_delay_s before the end, and up to a minute earlier


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
    sweep: SweepFolder, members: Sequence[Member], job: str, cache: SplitCache | None = None
) -> list[dict[str, Any]]:
    """Run each member that is not finished yet, for this job; after the time limit no further one is begun.

    ``cache`` is what they share with other members that this process runs.
    """
    from fvc_exp.runs.execute import SplitCache

    cache, statuses = cache or SplitCache(), list[dict[str, Any]]()
    for member in members:
        statuses.append(run_member(sweep.member(member.run_id), member, job, cache))
        if statuses[-1].get("reason") == TimeLimitError.__name__:
            break
    return statuses


def run_member(folder: MemberFolder, member: Member, job: str, cache: SplitCache | None = None) -> dict[str, Any]:
    """Run one configuration unless it is done, waiting while another process works on it; returns its status."""
    while True:
        if (status := finished(folder, member, job, read_status(folder.status))) is not None:
            return status
        if (claim := try_claim(folder, job)) is not None:
            break
        time.sleep(_WAIT_SECONDS)
    if (status := finished(folder, member, job, read_status(folder.status))) is not None:  # by the owner before
        claim.path.unlink()
        return status
    for path in (folder.status, folder.lost):  # how the attempt before ended; the rest of it is deleted by the run
        if (old := read_status(path)) is not None:
            path.rename(folder.attempts / f"{int(old.get('attempt', 0))}.{path.name}")
    with heartbeat(claim):
        return _execute(folder, member, claim, cache)


def _execute(folder: MemberFolder, member: Member, claim: Claim, cache: SplitCache | None) -> dict[str, Any]:
    from fvc_exp.runs import execute

    assert claim.owner is not None  # it is this process
    owner = claim.owner
    facts = {"attempt": claim.number, "host": owner.host, "job": owner.job, "code_hash": code_hash()}
    if member.code_hash not in ("", facts["code_hash"]) and not member.config.sweep.allow_code_change:
        message = f"fvc retry {folder.path.parents[1]} runs it with the new code"
        return write_status(folder, "failed", datetime.now(UTC), **facts, reason=_CODE_CHANGED, message=message)
    known = cache or execute.SplitCache()
    return execute.execute(
        member.config,
        folder.path,
        load=lambda config: known.split_dataset(config, member.data_sha256),
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
