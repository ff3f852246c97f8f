"""Waiting for a sweep: by its files, with a look at the queue now and then, and never for a job that is gone."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from fvc_exp.runfolder import write_json
from fvc_exp.sweep.folder import Plan, SweepFolder
from fvc_exp.sweep.launch import Launcher
from fvc_exp.sweep.queues import NoSchedulerError
from fvc_exp.sweep.states import AT_REST, Activity, MemberState, State, ask_queues, state_of
from fvc_exp.sweep.submissions import Job, latest_jobs, read_all

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
