"""What became of each member: from its files first, then from the scheduler, and without one as far as files go."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from fvc_exp.io.files import write_json
from fvc_exp.sweeps import claims
from fvc_exp.sweeps.folder import Member, MemberFolder, Plan, SweepFolder, finished, read_status
from fvc_exp.sweeps.job import TimeLimitError
from fvc_exp.sweeps.launchers import Launcher
from fvc_exp.sweeps.schedulers import LocalQueue, NoSchedulerError, Queue, SchedulerError, SlurmQueue
from fvc_exp.sweeps.submissions import Cluster, Job, latest_jobs, read_all

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
    newest = claims.latest(folder)
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
    newest: claims.Claim | None,
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


ASK_SECONDS = 2.0  # between two questions to a scheduler that many people share


GRACE_SECONDS = 5.0  # between the end of a job and its last file on a shared file system


_LOOK_SECONDS = 0.5


_LOOK_SHARE = 10  # a large sweep on a slow file system is looked at less often


_STEP_SECONDS = 0.05


States = Sequence[MemberState]


class Watch:
    """The states of a plan's members over time; a member that is done is not looked at again."""

    def __init__(self, sweep: SweepFolder, plan: Plan) -> None:
        self._sweep = sweep
        self._plan = plan
        self._states: dict[str, MemberState] = {}
        self._gone_since: dict[str, float] = {}
        self._answer: Activity = {}
        self._asked: set[Job] = set()
        self._asked_at = 0.0

    def look(self) -> States:
        """The states now. A job that is gone without a word for a while is noted as lost.

        Raises:
            NoSchedulerError: there are jobs that this machine cannot ask about.
        """
        jobs = latest_jobs(read_all(self._sweep))
        open_members = [member for member in self._plan.members if not self._is_done(member.run_id)]
        asked = self._ask({jobs[member.run_id] for member in open_members if member.run_id in jobs})
        for member in open_members:
            self._refresh(member.run_id)
            found = state_of(self._sweep, member, jobs.get(member.run_id), asked)
            self._states[member.run_id] = self._settled(found)
        states = [self._states[member.run_id] for member in self._plan.members]
        for answer in asked.values():
            if isinstance(answer, NoSchedulerError) and any(each.state is State.pending for each in states):
                raise answer
        return states

    @property
    def total(self) -> int:
        """How many members there are."""
        return len(self._plan.members)

    def settle(self) -> States:
        """Look until nothing is only perhaps lost: at once, or after the grace of a few seconds."""
        states = self.look()
        while self._gone_since.keys() - {each.member.run_id for each in states if each.state is State.lost}:
            time.sleep(_LOOK_SECONDS)
            states = self.look()
        return states

    def _ask(self, jobs: set[Job]) -> Activity:
        if time.monotonic() - self._asked_at > ASK_SECONDS or not jobs <= self._asked:
            self._answer, self._asked, self._asked_at = ask_queues(jobs), jobs, time.monotonic()
        return self._answer

    def _is_done(self, run_id: str) -> bool:
        return run_id in self._states and self._states[run_id].state is State.done

    def _refresh(self, run_id: str) -> None:
        """Make a network file system forget what it remembers of a folder whose job is gone."""
        if run_id in self._gone_since:
            path = self._sweep.member(run_id).path
            with contextlib.suppress(FileNotFoundError, PermissionError):
                path.chmod(path.stat().st_mode)

    def _settled(self, found: MemberState) -> MemberState:
        """Count a lost member as running for a moment, since its last words may still be on their way."""
        run_id = found.member.run_id
        if found.state is not State.lost or found.status is not None:
            self._gone_since.pop(run_id, None)
            return found
        since = self._gone_since.setdefault(run_id, time.monotonic())
        if time.monotonic() - since < GRACE_SECONDS:
            return MemberState(found.member, State.running, attempt=found.attempt, job=found.job, host=found.host)
        lost = {"state": "lost", "job": found.job, "attempt": found.attempt, "reason": found.reason}
        lost |= {"message": found.message, "noticed": datetime.now(UTC).isoformat()}
        folder = self._sweep.member(run_id)
        folder.path.mkdir(exist_ok=True)
        write_json(folder.lost, lost)
        return found


def wait(watch: Watch, launcher: Launcher, on_look: Callable[[States], None]) -> States:
    """Look until every member is at rest and the launcher has nothing left; returns the last look."""
    next_look = 0.0
    while True:
        began = time.monotonic()
        busy = launcher.step()
        if (now := time.monotonic()) >= next_look:
            states = watch.look()
            on_look(states)
            if not busy and all(each.state in AT_REST for each in states):
                return states
            next_look = now + max(_LOOK_SECONDS, _LOOK_SHARE * (time.monotonic() - now))
        time.sleep(max(0.0, began + _STEP_SECONDS - time.monotonic()))
