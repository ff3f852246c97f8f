"""The state of each member: from its files first, then from the scheduler, if one answers."""

import contextlib
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from fvc_exp.config.schema import Rerun
from fvc_exp.errors import ArtifactError
from fvc_exp.io import files, run_folder
from fvc_exp.runs.load import LoadedRun
from fvc_exp.sweeps import claims, queues, schedulers
from fvc_exp.sweeps.folder import Member, MemberFolder, Plan, SweepFolder, finished, read_status
from fvc_exp.sweeps.queues import Entry, NoSchedulerError, SchedulerError

log = logging.getLogger(__name__)

GRACE_SECONDS = 5.0  # between the end of a job and its last file on a shared file system
LOOK_SECONDS = 0.5
_LOOK_SHARE = 10  # a large sweep on a slow file system is looked at less often
_STEP_SECONDS = 0.01


# Where a member is; ``waiting`` ones were not submitted yet.
State = StrEnum("State", "done running pending failed lost waiting")


AT_REST = (State.done, State.failed, State.lost, State.waiting)
TO_RUN = (State.failed, State.lost, State.waiting)


@dataclass(frozen=True)
class MemberState:
    """A member, its run, its state, and why in a few words; ``status`` is that of the run, or its lost file."""

    member: Member
    run: LoadedRun
    state: State
    reason: str = ""
    message: str = ""
    attempt: int = 0
    host: str | None = None
    job: str | None = None
    log: Path | None = None
    status: Mapping[str, Any] | None = None
    seconds: float | None = None  # since the work began, or how long it took

    @property
    def key(self) -> tuple[str, int, str | None]:
        """Which attempt at which member this is about."""
        return self.member.run_id, self.attempt, self.job

    @property
    def why(self) -> str:
        """The reason and the first line of the message, such as ``ValueError: boom``."""
        return run_folder.failure_text(self.reason, self.message)

    @property
    def failure(self) -> str:
        """One line on a member that failed, was lost or is held."""
        return f"{self.state.value}: {self.member.run_id} {' '.join(self.member.overrides)}: {self.why}"

    @property
    def is_of_other_code(self) -> bool:
        """Whether it is done, by other code than the present one, or by nobody knows which."""
        return self.state is State.done and (self.status or {}).get("code_hash") != run_folder.code_hash()

    def runs_again(self, rerun: Rerun) -> bool:
        """Whether it is done, and runs nevertheless: a stage that trains nothing looks at its videos in every sweep."""
        return self.state is State.done and (not self.member.trains or (rerun is Rerun.code and self.is_of_other_code))


# What a queue answers about the jobs that have not ended; or why there is no answer.
Answer = Mapping[str, Entry] | SchedulerError
Answers = dict[schedulers.Cluster, Answer]


States = Sequence[MemberState]


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


def _ask_queues(jobs: Collection[schedulers.Job]) -> Answers:
    found: Answers = {}
    for cluster in {job.cluster for job in jobs}:
        try:
            found[cluster] = schedulers.QUEUES[cluster].active({job.id for job in jobs if job.cluster is cluster})
        except SchedulerError as error:
            found[cluster] = error
    return found


def _state_of(sweep: SweepFolder, member: Member, job: schedulers.Job | None, answers: Answers) -> MemberState:
    """By the files of the member first, then by the queue of its newest job."""
    folder, asked = sweep.member(member.run_id), replace(member, again=job is not None and job.again)
    claim, own_id = claims.latest_claim(folder), job.own_id if job else None
    run, status = LoadedRun(folder.path, is_checked=True), dict[str, Any]()
    with contextlib.suppress(ArtifactError):  # there is none yet, or a broken one
        status = run.status
    if claim and status.get("attempt", 0) != claim.number:
        status = {}  # of an earlier attempt
    state, reason, record = State.waiting, "", dict[str, Any]()
    # SLURM tells why it stopped a job, and may be about to start it again
    is_open = job and job.cluster is schedulers.Cluster.slurm and status.get("state") == "interrupted"
    if status and finished(folder, asked, own_id, status) is not None:
        state, record = State.done, status
    elif status and not is_open and own_id in (None, status.get("job")):  # no job was submitted after that
        state, reason, record = State.failed, queues.status_reason(status), status
    elif job and (noted := read_status(folder.lost) or {}).get("job") == job.id:
        state, reason, record = State.lost, str(noted.get("reason")), noted
    elif job:
        state, reason = _in_queue(job, claim, answers[job.cluster])
        if is_open and reason == queues.VANISHED:
            reason = queues.status_reason(status)
    message, times = str(record.get("message", "")), record
    if state is State.running and claim and claim.owner:
        times = {"started": claim.owner.started, "ended": datetime.now(UTC).isoformat()}
    return MemberState(
        member=member,
        run=run,
        state=state,
        reason=reason,
        message=queues.last_words(job.log) if state is State.lost and job and not record else message,
        attempt=claim.number if claim else 0,
        host=claim.owner.host if claim and claim.owner else None,
        job=job.id if job else None,
        log=job.log if job else None,
        status=record or None,
        seconds=run_folder.seconds_of(times),
    )


def _in_queue(job: schedulers.Job, claim: claims.Claim | None, answer: Answer) -> tuple[State, str]:
    """State and reason of a job that left no status."""
    begun = claim is not None and claim.owner is not None and claim.owner.job == job.own_id
    if isinstance(answer, SchedulerError):
        is_alive = begun and claim is not None and claim.is_alive(time.time())
        return State.running if is_alive else State.pending, str(answer)
    if job.id in answer:
        runs, reason = answer[job.id]
        if not runs:
            return State.pending, f"requeued, {reason}" if begun else reason
        return (State.running, "") if begun or not job.is_shared else (State.pending, "its job runs others first")
    if job.id.endswith(queues.QUEUED):
        return State.waiting, ""  # its driver ended before its turn
    try:
        end = schedulers.QUEUES[job.cluster].end_of(job.id, job.log)
    except SchedulerError as error:
        return State.lost, f"ended for an unknown reason ({error})"
    return State.lost, queues.job_reason(end, job.log, begun=begun)


class Watch:
    """The states of a plan's members over time; one that is done, or lost for good, is not looked at again."""

    def __init__(self, sweep: SweepFolder, plan: Plan) -> None:
        self._sweep = sweep
        self._plan = plan
        self._ended: dict[str, MemberState] = {}
        self._gone_since: dict[str, float] = {}

    def look(self) -> States:
        """The states now. A job that has been gone for a while and left no status is noted as lost.

        Raises:
            NoSchedulerError: there are jobs that this machine cannot ask about.
        """
        jobs = schedulers.latest_jobs(schedulers.read_submissions(self._sweep))
        asked = {each.run_id for each in self._plan.members} - self._ended.keys()
        answers = _ask_queues({jobs[run_id] for run_id in asked & jobs.keys()})
        states = [
            self._ended.get(each.run_id) or self._state_of(each, jobs.get(each.run_id), answers)
            for each in self._plan.members
        ]
        for answer in answers.values():
            if isinstance(answer, NoSchedulerError) and any(each.state is State.pending for each in states):
                raise answer
        return states

    def settle(self) -> States:
        """Look until it is certain for each job that is gone whether it was lost: after a grace of a few seconds."""
        states = self.look()
        while self._gone_since:
            time.sleep(LOOK_SECONDS)
            states = self.look()
        return states

    def _state_of(self, member: Member, job: schedulers.Job | None, answers: Answers) -> MemberState:
        """Count a lost member as running for a moment, since its last files may not be visible yet."""
        folder = self._sweep.member(member.run_id)
        if member.run_id in self._gone_since:
            with contextlib.suppress(FileNotFoundError, PermissionError):
                folder.path.chmod(folder.path.stat().st_mode)  # a network file system drops its cached listing
        found = _state_of(self._sweep, member, job, answers)
        if found.state is State.lost and found.status is None:
            since = self._gone_since.setdefault(member.run_id, time.monotonic())
            if time.monotonic() - since < GRACE_SECONDS:
                return replace(found, state=State.running, reason="", message="")
            _note(folder, found)
        self._gone_since.pop(member.run_id, None)
        if found.state in (State.done, State.lost):
            self._ended[member.run_id] = found
        return found


def _note(folder: MemberFolder, found: MemberState) -> None:
    lost = {"state": "lost", "job": found.job, "attempt": found.attempt, "reason": found.reason}
    lost |= {"message": found.message, "noticed": datetime.now(UTC).isoformat()}
    try:
        folder.path.mkdir(exist_ok=True)
        files.write_json(folder.lost, lost)
    except (ArtifactError, OSError) as error:  # a full disk costs the note only
        log.warning("%s; the sweep waits on", error)


def wait(
    watch: Watch, step: Callable[[], bool], on_look: Callable[[States], None], seconds: float = LOOK_SECONDS
) -> States:
    """Look until every member is at rest and the launcher's ``step`` has nothing left; returns the last look.

    ``seconds`` is the time between two looks.
    """
    next_look, busy = 0.0, False
    while True:
        began, was_busy = time.monotonic(), busy
        busy = step()
        if (now := time.monotonic()) >= next_look or (was_busy and not busy):
            states = watch.look()
            on_look(states)
            if not busy and all(each.state in AT_REST for each in states):
                return states
            next_look = now + max(seconds, _LOOK_SHARE * (time.monotonic() - now))
        time.sleep(max(0.0, began + _STEP_SECONDS - time.monotonic()))
