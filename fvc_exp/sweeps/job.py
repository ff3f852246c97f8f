"""What a job does: run its configurations one after the other, each in its own folder, whatever happens to the others.

This module is imported by every job first, so it loads nothing scientific before it has work to do.
"""

from __future__ import annotations

import logging
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
    from submitit.helpers import DelayedSubmission


log = logging.getLogger(__name__)


_WAIT_SECONDS = 1.0


_HEEDED_FROM = 0.75  # of a job's time: a warning before that is put off until then


_SHORT_MINUTES = 10  # submitit takes any warning in so short a job for its time limit, in longer ones it looks


class TimeLimitError(FvcError):
    """The scheduler announced the end of the job's time."""


@dataclass(frozen=True)
class Pack:
    """A callable for submitit: the members of a job of so many minutes. Returns plain data, and restarts as it is."""

    sweep: str
    members: tuple[Member, ...]
    minutes: float

    def __call__(self) -> list[dict[str, Any]]:
        """Run the members; returns what their ``status.json`` say."""
        import submitit

        _raise_at_time_limit(self.minutes)
        return run_members(SweepFolder(Path(self.sweep)), self.members, submitit.JobEnvironment().job_id)

    def checkpoint(self) -> DelayedSubmission:
        """Hydra's ``max_num_timeout`` above 0 starts the job again: what is finished stays finished."""
        import submitit

        return submitit.helpers.DelayedSubmission(self)


def run_members(
    sweep: SweepFolder, members: Sequence[Member], job: str, cache: SweepCache | None = None
) -> list[dict[str, Any]]:
    """Run each member that is not finished yet, for this job; after the time limit no further one is begun.

    ``cache`` is what they share with others of this process.
    """
    cache = cache or SweepCache()
    said = []
    for member in members:
        said.append(run_member(sweep.member(member.run_id), member, job, cache))
        if said[-1].get("reason") == TimeLimitError.__name__:
            break
    return said


def run_member(folder: MemberFolder, member: Member, job: str, cache: SweepCache | None = None) -> dict[str, Any]:
    """Run one configuration unless it is done, waiting while another process is at it; returns its status."""
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
    """Put aside how the attempt before ended, and delete the rest of it."""
    for path in (folder.status, folder.lost):
        if (old := read_status(path)) is not None:
            path.rename(folder.attempts / f"{old.get('attempt', 0)}.{path.name}")
    for path in folder.files():
        path.unlink(missing_ok=True)


def _execute(folder: MemberFolder, member: Member, claim: Claim, cache: SweepCache) -> dict[str, Any]:
    from fvc_exp.runs import execute

    assert claim.owner is not None  # it is ours
    facts = {
        "attempt": claim.number,
        "host": claim.owner.host,
        "job": claim.owner.job,
        "restart": claim.owner.restart,
    }
    return execute.execute(
        member.typed(),
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
    heeded_from = time.monotonic() + _HEEDED_FROM * 60 * minutes

    def handle(received: int, frame: FrameType | None) -> None:
        early = heeded_from - time.monotonic()
        if early > 0 and minutes <= _SHORT_MINUTES:
            signal.setitimer(signal.ITIMER_REAL, early)
            return
        try:
            stock(received, frame)
        except UncompletedJobError as error:
            raise TimeLimitError("the job reached its time limit (hydra.launcher.timeout_min)") from error

    signal.signal(number, handle)
    signal.signal(signal.SIGALRM, handle)
