"""The state of each member: from its files first, then from the scheduler, if one answers."""

import contextlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from fvc_exp.io import files, run_folder
from fvc_exp.sweeps import claims, schedulers
from fvc_exp.sweeps.folder import Member, MemberFolder, Plan, SweepFolder, finished, read_status
from fvc_exp.sweeps.job import TimeLimitError
from fvc_exp.sweeps.schedulers import Cluster, Job, SchedulerError

ASK_SECONDS = 2.0  # between two questions to a scheduler that many people share
GRACE_SECONDS = 5.0  # between the end of a job and its last file on a shared file system
_LOOK_SECONDS = 0.5
_LOOK_SHARE = 10  # a large sweep on a slow file system is looked at less often
_STEP_SECONDS = 0.05


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
    """A member, its state, and why in a few words; ``status`` is the content of its status or lost file."""

    member: Member
    state: State
    reason: str = ""
    message: str = ""
    attempt: int = 0
    host: str | None = None
    job: str | None = None
    log: Path | None = None
    status: Mapping[str, Any] | None = None

    @property
    def why(self) -> str:
        """The reason and the first line of the message, such as ``ValueError: boom``."""
        return run_folder.failure_text(self.reason, self.message)

    @property
    def failure(self) -> str:
        """One line on a member that failed or was lost."""
        return f"{self.state.value}: {self.member.run_id} {' '.join(self.member.overrides)}: {self.why}"


Answers = dict[Cluster, Mapping[str, str] | SchedulerError]
"""What each queue answers: ``running`` or ``pending`` for each job that has not ended; or why there is no answer."""


States = Sequence[MemberState]


@dataclass(frozen=True)
class Evidence:
    """What the files of a member and the queue of its newest job tell.

    ``status`` is that of the newest attempt, ``lost`` what was noted about the newest job; each is empty if there is
    none. ``ended``: the newest attempt has ended, and no job was submitted after that. ``begun``: the newest attempt is
    of the newest job. ``queued`` is the job's state in its queue; ``unanswered`` why the queue did not answer.
    """

    claim: claims.Claim | None
    job: Job | None
    status: Mapping[str, Any]
    lost: Mapping[str, Any]
    finished: bool
    ended: bool
    begun: bool
    queued: str
    unanswered: str


def first_match(seen: Evidence) -> tuple[State, str]:
    """State and reason by the first condition that holds; the scheduler is asked later for that of a lost job."""
    failure = seen.status.get("reason") or seen.status.get("state")
    alive = seen.unanswered and seen.begun and seen.claim and seen.claim.is_alive(time.time())
    rows: tuple[tuple[object, State, object], ...] = (
        (seen.finished, State.done, ""),
        (seen.ended and seen.status["state"] == "done", State.failed, "finished without metrics"),
        (seen.ended and failure == TimeLimitError.__name__, State.failed, "time limit"),
        (seen.ended, State.failed, failure),
        (seen.job is None, State.waiting, ""),
        (seen.lost, State.lost, seen.lost.get("reason")),
        (alive, State.running, seen.unanswered),
        (seen.unanswered, State.pending, seen.unanswered),
        (seen.queued == "running" and seen.begun, State.running, ""),
        (seen.queued, State.pending, ""),
        (True, State.lost, ""),
    )
    return next((state, str(reason)) for holds, state, reason in rows if holds)


def open_sweep(path: Path) -> tuple[SweepFolder, Plan, list[MemberState]]:
    """The folder of a sweep, its plan, and the state of every member now.

    Raises:
        ArtifactError: this is no sweep folder, or its plan was written by another version.
    """
    sweep = SweepFolder(path)
    plan = sweep.read_plan()
    return sweep, plan, member_states(sweep, plan)


def member_states(sweep: SweepFolder, plan: Plan) -> list[MemberState]:
    """The state of every member of the plan, now."""
    jobs = schedulers.latest_jobs(schedulers.read_submissions(sweep))
    answers = _ask_queues({jobs[member.run_id] for member in plan.members if member.run_id in jobs})
    return [_state_of(sweep, member, jobs.get(member.run_id), answers) for member in plan.members]


def _ask_queues(jobs: Collection[Job]) -> Answers:
    found: Answers = {}
    for cluster in {job.cluster for job in jobs}:
        try:
            found[cluster] = schedulers.QUEUES[cluster].active({job.id for job in jobs if job.cluster is cluster})
        except SchedulerError as error:
            found[cluster] = error
    return found


def _state_of(sweep: SweepFolder, member: Member, job: Job | None, answers: Answers) -> MemberState:
    seen = _gather(sweep.member(member.run_id), member, job, answers)
    state, reason = first_match(seen)
    record = seen.status if seen.finished or seen.ended else seen.lost
    message = str(record.get("message", ""))
    if state is State.lost and not record and job:
        reason = schedulers.QUEUES[job.cluster].end_of(job.id, had_started=seen.begun)
        message = _last_line_of(job.log)
    return MemberState(
        member=member,
        state=state,
        reason=reason,
        message=message,
        attempt=seen.claim.number if seen.claim else 0,
        host=seen.claim.owner.host if seen.claim and seen.claim.owner else None,
        job=job.id if job else None,
        log=job.log if job else None,
        status=record or None,
    )


def _gather(folder: MemberFolder, member: Member, job: Job | None, answers: Answers) -> Evidence:
    claim = claims.latest_claim(folder)
    owner, own_id = claim.owner if claim else None, job.own_id if job else None
    status, lost = read_status(folder.status) or {}, read_status(folder.lost) or {}
    if claim and status.get("attempt", 0) != claim.number:
        status = {}  # of an earlier attempt
    answer = answers[job.cluster] if job else {}
    in_queue, unanswered = ({}, str(answer)) if isinstance(answer, SchedulerError) else (answer, "")
    return Evidence(
        claim=claim,
        job=job,
        status=status,
        lost=lost if job and lost.get("job") == job.id else {},
        finished=bool(status) and finished(folder, member, own_id) is not None,
        ended=bool(status) and own_id in (None, status.get("job")),
        begun=owner is not None and owner.job == own_id,
        queued=in_queue.get(job.id, "") if job else "",
        unanswered=unanswered,
    )


def _last_line_of(log: Path) -> str:
    """The last line that a job wrote to stderr, before SLURM's own."""
    try:
        lines = log.read_text(errors="replace").split("\n")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    own = (line.strip() for line in reversed(lines) if not line.startswith(("srun: ", "slurmstepd: ")))
    return next((line for line in own if line), "")


class Watch:
    """The states of a plan's members over time; a member that is done is not looked at again."""

    def __init__(self, sweep: SweepFolder, plan: Plan) -> None:
        self._sweep = sweep
        self._plan = plan
        self._states: dict[str, MemberState] = {}
        self._gone_since: dict[str, float] = {}
        self._answers: Answers = {}
        self._asked: set[Job] = set()
        self._asked_at = 0.0

    def look(self) -> States:
        """The states now. A job that has been gone for a while and left no status is noted as lost.

        Raises:
            schedulers.NoSchedulerError: there are jobs that this machine cannot ask about.
        """
        jobs = schedulers.latest_jobs(schedulers.read_submissions(self._sweep))
        open_members = [member for member in self._plan.members if not self._is_done(member.run_id)]
        answers = self._ask({jobs[member.run_id] for member in open_members if member.run_id in jobs})
        for member in open_members:
            self._refresh(member.run_id)
            found = _state_of(self._sweep, member, jobs.get(member.run_id), answers)
            self._states[member.run_id] = self._settled(found)
        states = [self._states[member.run_id] for member in self._plan.members]
        for answer in answers.values():
            if isinstance(answer, schedulers.NoSchedulerError) and any(each.state is State.pending for each in states):
                raise answer
        return states

    def settle(self) -> States:
        """Look until it is certain for each job that is gone whether it was lost: after a grace of a few seconds."""
        states = self.look()
        while self._gone_since.keys() - {each.member.run_id for each in states if each.state is State.lost}:
            time.sleep(_LOOK_SECONDS)
            states = self.look()
        return states

    def _ask(self, jobs: set[Job]) -> Answers:
        if time.monotonic() - self._asked_at > ASK_SECONDS or not jobs <= self._asked:
            self._answers, self._asked, self._asked_at = _ask_queues(jobs), jobs, time.monotonic()
        return self._answers

    def _is_done(self, run_id: str) -> bool:
        return run_id in self._states and self._states[run_id].state is State.done

    def _refresh(self, run_id: str) -> None:
        """Make a network file system drop its cached listing of a folder whose job is gone."""
        if run_id in self._gone_since:
            path = self._sweep.member(run_id).path
            with contextlib.suppress(FileNotFoundError, PermissionError):
                path.chmod(path.stat().st_mode)

    def _settled(self, found: MemberState) -> MemberState:
        """Count a lost member as running for a moment, since its last files may not be visible yet."""
        run_id = found.member.run_id
        if found.state is not State.lost or found.status is not None:
            self._gone_since.pop(run_id, None)
            return found
        since = self._gone_since.setdefault(run_id, time.monotonic())
        if time.monotonic() - since < GRACE_SECONDS:
            return replace(found, state=State.running, reason="", message="")
        lost = {"state": "lost", "job": found.job, "attempt": found.attempt, "reason": found.reason}
        lost |= {"message": found.message, "noticed": datetime.now(UTC).isoformat()}
        folder = self._sweep.member(run_id)
        folder.path.mkdir(exist_ok=True)
        files.write_json(folder.lost, lost)
        return found


def wait(watch: Watch, step: Callable[[], bool], on_look: Callable[[States], None]) -> States:
    """Look until every member is at rest and the launcher's ``step`` has nothing left; returns the last look."""
    next_look = 0.0
    while True:
        began = time.monotonic()
        busy = step()
        if (now := time.monotonic()) >= next_look:
            states = watch.look()
            on_look(states)
            if not busy and all(each.state in AT_REST for each in states):
                return states
            next_look = now + max(_LOOK_SECONDS, _LOOK_SHARE * (time.monotonic() - now))
        time.sleep(max(0.0, began + _STEP_SECONDS - time.monotonic()))
