"""What a job does: run its configurations one after the other, each in its own folder, whatever happens to the others.

This module is imported by every job first, so it loads nothing scientific before it has work to do.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from fvc_exp.errors import FvcError
from fvc_exp.sweeps.cache import SweepCache
from fvc_exp.sweeps.claims import Claim, heartbeat, try_claim
from fvc_exp.sweeps.folder import Member, MemberFolder, SweepFolder, finished, read_status

if TYPE_CHECKING:
    pass


_WAIT_SECONDS = 1.0


_WARN_FROM = 0.75  # of a job's time: an earlier warning is put off until then


_SHORT_MINUTES = (
    10  # in so short a job submitit takes any warning for the time limit, in longer ones it checks the time
)


class TimeLimitError(FvcError):
    """The scheduler announced the end of the job's time."""


@dataclass(frozen=True)
class MemberBatch:
    """A callable for submitit: the members of a job with so many minutes. Returns plain data, and restarts as it is."""

    sweep: str
    members: tuple[Member, ...]
    minutes: float

    def __call__(self) -> list[dict[str, Any]]:
        """Run the members; returns what their ``status.json`` say."""
        import submitit

        _raise_at_time_limit(self.minutes)
        return run_members(SweepFolder(Path(self.sweep)), self.members, submitit.JobEnvironment().job_id)

    def checkpoint(self) -> Any:
        """Hydra's ``max_num_timeout`` above 0 starts the job again: what is finished stays finished."""
        import submitit

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
    _clear(folder)
    with heartbeat(claim):
        return _execute(folder, member, claim, cache or SweepCache())


def _clear(folder: MemberFolder) -> None:
    """Keep how the attempt before ended under ``attempts``, and delete the rest of it."""
    for path in (folder.status, folder.lost):
        if (old := read_status(path)) is not None:
            path.rename(folder.attempts / f"{old.get('attempt', 0)}.{path.name}")
    for path in folder.files():
        path.unlink(missing_ok=True)


def _execute(folder: MemberFolder, member: Member, claim: Claim, cache: SweepCache) -> dict[str, Any]:
    from fvc_exp.runs import execute

    assert claim.owner is not None  # it is this process
    owner = claim.owner
    facts = {"attempt": claim.number, "host": owner.host, "job": owner.job, "restart": owner.restart}
    return execute.execute(
        member.config,
        folder.path,
        load=lambda config: cache.split_dataset(config, member.data_sha256),
        show=False,
        facts=facts,
    )


def _raise_at_time_limit(minutes: float) -> None:
    """Turn submitit's exception about the time limit into one that the run records as its reason.

    SLURM may warn a minute earlier than it was asked to, which of a short limit is nearly all of it: a warning that
    comes too soon is put off. Longer jobs are left to submitit, which tells time limits from preemptions.
    """
    from submitit.core.job_environment import JobEnvironment
    from submitit.core.utils import UncompletedJobError

    number = signal.Signals[f"SIG{JobEnvironment.USR_SIG}"]
    stock = signal.getsignal(number)
    if not callable(stock):
        return
    warn_from = time.monotonic() + _WARN_FROM * 60 * minutes

    def handle(received: int, frame: FrameType | None) -> None:
        early = warn_from - time.monotonic()
        if early > 0 and minutes <= _SHORT_MINUTES:
            signal.setitimer(signal.ITIMER_REAL, early)
            return
        try:
            stock(received, frame)
        except UncompletedJobError as error:
            raise TimeLimitError("the job reached its time limit (hydra.launcher.timeout_min)") from error

    signal.signal(number, handle)
    signal.signal(signal.SIGALRM, handle)
