"""What became of each member: from its files first, then from the scheduler, and without one as far as files go."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from fvc_exp.sweep import claim
from fvc_exp.sweep.folder import Member, MemberFolder, Plan, SweepFolder
from fvc_exp.sweep.member import TimeLimitError, finished, read_status
from fvc_exp.sweep.queues import LocalQueue, Queue, SchedulerError, SlurmQueue
from fvc_exp.sweep.submissions import Cluster, Job, latest_jobs, read_all

QUEUES: Mapping[Cluster, Queue] = {Cluster.slurm: SlurmQueue(), Cluster.local: LocalQueue()}
NO_METRICS = "finished without metrics"


class State(StrEnum):
    """Where a member is; ``waiting`` ones were not submitted yet."""

    done = "done"
    running = "running"
    pending = "pending"
    failed = "failed"
    lost = "lost"
    waiting = "waiting"


AT_REST = (State.done, State.failed, State.lost, State.waiting)
TO_RUN = (State.failed, State.lost, State.waiting)


@dataclass(frozen=True)
class MemberState:
    """A member, its state, and why in a few words; ``status`` is what its status or lost file says, or empty."""

    member: Member
    state: State
    reason: str = ""
    message: str = ""
    attempt: int = 0
    host: str | None = None
    job: str | None = None
    log: Path | None = None
    status: Mapping[str, Any] | None = None


Activity = Mapping[Cluster, Mapping[str, str] | SchedulerError]


def ask_queues(jobs: Iterable[Job]) -> Activity:
    """What the schedulers say of these jobs, or why they say nothing."""
    found: dict[Cluster, Mapping[str, str] | SchedulerError] = {}
    listed = list(jobs)
    for cluster in {job.cluster for job in listed}:
        try:
            found[cluster] = QUEUES[cluster].active({job.id for job in listed if job.cluster is cluster})
        except SchedulerError as error:
            found[cluster] = error
    return found


def inspect(sweep: SweepFolder, plan: Plan) -> list[MemberState]:
    """The state of every member of the plan, now."""
    jobs = latest_jobs(read_all(sweep))
    asked = ask_queues(jobs[member.run_id] for member in plan.members if member.run_id in jobs)
    return [state_of(sweep, member, jobs.get(member.run_id), asked) for member in plan.members]


def state_of(sweep: SweepFolder, member: Member, job: Job | None, asked: Activity) -> MemberState:
    """The state of one member, of whose newest job the queues said this."""
    folder = sweep.member(member.run_id)
    newest = claim.latest(folder)
    status = read_status(folder.status)
    facts: dict[str, Any] = {
        "attempt": newest.number if newest else 0,
        "host": newest.owner.host if newest and newest.owner else None,
        "job": job.id if job else None,
        "log": job.log if job else None,
    }
    if status and (not newest or status.get("attempt", 0) == newest.number):
        ended = _ended(folder, member, status, job)
        # A job that was submitted after this end, and has not begun yet, is the newer truth.
        if ended[0] is State.done or not job or status.get("job") == job.own_id:
            return MemberState(member, *ended, status=status, **facts)
    if job is None:
        return MemberState(member, State.waiting, **facts)
    return _with_job(member, folder, newest, job, asked[job.cluster], facts)


def _ended(folder: MemberFolder, member: Member, status: Mapping[str, Any], job: Job | None) -> tuple[State, str, str]:
    if finished(folder, member, job.own_id if job else None):
        return State.done, "", ""
    if status["state"] == "done":
        return State.failed, NO_METRICS, ""
    message = str(status.get("message", ""))
    if status.get("reason") == TimeLimitError.__name__:
        return State.failed, "time limit", message
    return State.failed, str(status.get("reason") or status["state"]), message


def _with_job(
    member: Member,
    folder: MemberFolder,
    newest: claim.Claim | None,
    job: Job,
    asked: Mapping[str, str] | SchedulerError,
    facts: dict[str, Any],
) -> MemberState:
    begun = newest is not None and newest.owner is not None and newest.owner.job == job.own_id
    lost = read_status(folder.lost)
    if lost and lost["job"] == job.id:
        return MemberState(member, State.lost, lost["reason"], lost["message"], status=lost, **facts)
    if isinstance(asked, SchedulerError):
        alive = begun and newest is not None and newest.is_alive(time.time())
        return MemberState(member, State.running if alive else State.pending, str(asked), **facts)
    if job.id in asked:
        state = State.running if begun and asked[job.id] == "running" else State.pending
        return MemberState(member, state, **facts)
    reason = QUEUES[job.cluster].end_of(job.id, had_started=begun)
    return MemberState(member, State.lost, reason, _last_words(job.log), **facts)


def _last_words(log: Path) -> str:
    """The last line that a job wrote to stderr, before SLURM's own."""
    try:
        lines = log.read_text(errors="replace").split("\n")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    own = (line.strip() for line in reversed(lines) if not line.startswith(("srun: ", "slurmstepd: ")))
    return next((line for line in own if line), "")
