from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fvc_exp.io.files import write_json
from fvc_exp.sweeps import states
from fvc_exp.sweeps.folder import MemberFolder, Plan, SweepFolder
from fvc_exp.sweeps.launchers import InProcess
from fvc_exp.sweeps.schedulers import SchedulerError
from fvc_exp.sweeps.states import MemberState, State, Watch, inspect, wait
from fvc_exp.sweeps.submissions import Cluster, Submission, latest_jobs, read_all, write
from tests.sweeps.conftest import MakePlan

JOB = "5_0"


class FakeQueue:
    """A scheduler that says what the test tells it."""

    def __init__(self) -> None:
        self.answer: dict[str, str] | SchedulerError = {}
        self.reason = "cancelled while pending"

    def active(self, _jobs: object) -> dict[str, str]:
        if isinstance(self.answer, SchedulerError):
            raise self.answer
        return self.answer

    def end_of(self, _job: str, *, had_started: bool) -> str:
        return f"{self.reason} {had_started}"


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> FakeQueue:
    queue = FakeQueue()
    monkeypatch.setattr(states, "QUEUES", {Cluster.slurm: queue})
    return queue


@pytest.fixture
def plan(make: MakePlan) -> Plan:
    return make("C=0.1")


def look(sweep: SweepFolder, plan: Plan) -> MemberState:
    (found,) = inspect(sweep, plan)
    return found


def submit(sweep: SweepFolder, plan: Plan, job: str = JOB) -> None:
    submission = Submission.new(Cluster.slurm, str(sweep.path / ".submitit" / "%j"), [[plan.members[0].run_id]])
    write(sweep, submission.with_jobs([job]))


def claim(folder: MemberFolder, number: int, job: str = JOB, age: float = 0) -> None:
    folder.attempts.mkdir(parents=True, exist_ok=True)
    path = folder.attempts / f"{number}.claim"
    owner = {"host": "node1", "pid": 1, "process_start": "1", "job": job, "restart": 0, "started": ""}
    path.write_text(json.dumps(owner))
    os.utime(path, (time.time() - age,) * 2)


def end(folder: MemberFolder, state: str, job: str = JOB, attempt: int = 1, **facts: object) -> None:
    write_json(folder.status, {"state": state, "job": job, "attempt": attempt, **facts})


def finish(folder: MemberFolder) -> None:
    write_json(folder.metrics, [{"fold": 0}])
    write_json(folder.results, {"flags": []})


def never_submitted(sweep: SweepFolder, plan: Plan, queue: FakeQueue) -> None:
    pass


def pending(sweep: SweepFolder, plan: Plan, queue: FakeQueue) -> None:
    submit(sweep, plan)
    queue.answer = {JOB: "pending"}


def starting(sweep: SweepFolder, plan: Plan, queue: FakeQueue) -> None:
    submit(sweep, plan)
    queue.answer = {JOB: "running"}


def running(sweep: SweepFolder, plan: Plan, queue: FakeQueue) -> None:
    starting(sweep, plan, queue)
    claim(sweep.member(plan.members[0].run_id), 1)


def requeued(sweep: SweepFolder, plan: Plan, queue: FakeQueue) -> None:
    running(sweep, plan, queue)
    queue.answer = {JOB: "pending"}


def cancelled_while_pending(sweep: SweepFolder, plan: Plan, queue: FakeQueue) -> None:
    submit(sweep, plan)


def gone_while_running(sweep: SweepFolder, plan: Plan, queue: FakeQueue) -> None:
    running(sweep, plan, queue)
    queue.answer = {}


def done(sweep: SweepFolder, plan: Plan, queue: FakeQueue) -> None:
    running(sweep, plan, queue)
    finish(sweep.member(plan.members[0].run_id))
    end(sweep.member(plan.members[0].run_id), "done")


def done_without_metrics(sweep: SweepFolder, plan: Plan, queue: FakeQueue) -> None:
    running(sweep, plan, queue)
    end(sweep.member(plan.members[0].run_id), "done")


def done_with_empty_metrics(sweep: SweepFolder, plan: Plan, queue: FakeQueue) -> None:
    done(sweep, plan, queue)
    write_json(sweep.member(plan.members[0].run_id).metrics, [])


def raised(sweep: SweepFolder, plan: Plan, queue: FakeQueue) -> None:
    running(sweep, plan, queue)
    end(sweep.member(plan.members[0].run_id), "failed", reason="ValueError", message="boom")


def out_of_time(sweep: SweepFolder, plan: Plan, queue: FakeQueue) -> None:
    running(sweep, plan, queue)
    end(sweep.member(plan.members[0].run_id), "failed", reason="TimeLimitError", message="over")


def submitted_again_after_a_failure(sweep: SweepFolder, plan: Plan, queue: FakeQueue) -> None:
    raised(sweep, plan, queue)
    submit(sweep, plan, "6_0")
    queue.answer = {"6_0": "pending"}


def running_again_after_a_failure(sweep: SweepFolder, plan: Plan, queue: FakeQueue) -> None:
    submitted_again_after_a_failure(sweep, plan, queue)
    claim(sweep.member(plan.members[0].run_id), 2, "6_0")
    queue.answer = {"6_0": "running"}


def noted_as_lost(sweep: SweepFolder, plan: Plan, queue: FakeQueue) -> None:
    submit(sweep, plan)
    folder = sweep.member(plan.members[0].run_id)
    folder.path.mkdir()
    write_json(folder.lost, {"state": "lost", "job": JOB, "reason": "out of memory", "message": "", "attempt": 1})
    queue.answer = SchedulerError("asleep")


def lost_and_submitted_again(sweep: SweepFolder, plan: Plan, queue: FakeQueue) -> None:
    noted_as_lost(sweep, plan, queue)
    submit(sweep, plan, "6_0")
    queue.answer = {"6_0": "pending"}


def no_answer_and_alive(sweep: SweepFolder, plan: Plan, queue: FakeQueue) -> None:
    running(sweep, plan, queue)
    queue.answer = SchedulerError("asleep")


def no_answer_and_silent(sweep: SweepFolder, plan: Plan, queue: FakeQueue) -> None:
    submit(sweep, plan)
    claim(sweep.member(plan.members[0].run_id), 1, age=1000)
    queue.answer = SchedulerError("asleep")


CASES: dict[Callable[..., None], tuple[State, str]] = {
    never_submitted: (State.waiting, ""),
    pending: (State.pending, ""),
    starting: (State.pending, ""),
    running: (State.running, ""),
    requeued: (State.pending, ""),
    cancelled_while_pending: (State.lost, "cancelled while pending False"),
    gone_while_running: (State.lost, "cancelled while pending True"),
    done: (State.done, ""),
    done_without_metrics: (State.failed, "finished without metrics"),
    done_with_empty_metrics: (State.failed, "finished without metrics"),
    raised: (State.failed, "ValueError"),
    out_of_time: (State.failed, "time limit"),
    submitted_again_after_a_failure: (State.pending, ""),
    running_again_after_a_failure: (State.running, ""),
    noted_as_lost: (State.lost, "out of memory"),
    lost_and_submitted_again: (State.pending, ""),
    no_answer_and_alive: (State.running, "asleep"),
    no_answer_and_silent: (State.pending, "asleep"),
}


@pytest.mark.parametrize(("arrange", "expected"), CASES.items(), ids=[case.__name__ for case in CASES])
def test_state(
    sweep: SweepFolder, plan: Plan, queue: FakeQueue, arrange: Callable[..., None], expected: tuple[State, str]
) -> None:
    arrange(sweep, plan, queue)
    found = look(sweep, plan)
    assert (found.state, found.reason) == expected


def test_the_last_words_of_a_job_that_never_began(sweep: SweepFolder, plan: Plan, queue: FakeQueue) -> None:
    submit(sweep, plan)
    log = latest_jobs(read_all(sweep))[plan.members[0].run_id].log
    log.parent.mkdir(parents=True)
    log.write_text("Traceback\nModuleNotFoundError: No module named 'fvc_exp'\nsrun: error: vm: task 0: Exited\n")
    assert look(sweep, plan).message == "ModuleNotFoundError: No module named 'fvc_exp'"


def wait_for(sweep: SweepFolder, plan: Plan, on_look: Callable[[Any], None]) -> MemberState:
    (found,) = wait(Watch(sweep, plan), InProcess(sweep, {}), on_look)
    return found


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fvc_exp.sweeps.states.GRACE_SECONDS", 0.6)
    monkeypatch.setattr("fvc_exp.sweeps.states.ASK_SECONDS", 0.1)


@pytest.mark.usefixtures("_impatient")
def test_a_job_that_is_gone_is_noted_after_a_grace(sweep: SweepFolder, plan: Plan, queue: FakeQueue) -> None:
    gone_while_running(sweep, plan, queue)
    seen: list[State] = []
    found = wait_for(sweep, plan, lambda looked: seen.append(looked[0].state))
    assert seen[0] is State.running
    assert found.state is State.lost
    noted = json.loads(sweep.member(plan.members[0].run_id).lost.read_text())
    assert (noted["job"], noted["reason"]) == (JOB, "cancelled while pending True")


@pytest.mark.usefixtures("_impatient")
def test_last_words_that_come_late_count(sweep: SweepFolder, plan: Plan, queue: FakeQueue) -> None:
    gone_while_running(sweep, plan, queue)
    folder = sweep.member(plan.members[0].run_id)

    def write_them(_: object) -> None:
        finish(folder)
        end(folder, "done")

    assert wait_for(sweep, plan, write_them).state is State.done
    assert not folder.lost.exists()


@pytest.mark.usefixtures("_impatient")
def test_silence_of_the_scheduler_is_waited_through(sweep: SweepFolder, plan: Plan, queue: FakeQueue) -> None:
    gone_while_running(sweep, plan, queue)
    queue.answer = SchedulerError("asleep")
    looks: list[State] = []

    def wake(looked: Any) -> None:
        looks.append(looked[0].state)
        if len(looks) == 3:
            queue.answer = {}

    assert wait_for(sweep, plan, wake).state is State.lost
    assert looks[:3] == [State.running] * 3


def test_the_log_of_a_job_is_below_the_token(tmp_path: Path) -> None:
    submission = Submission.new(Cluster.slurm, str(tmp_path / "x" / "%j"), [["a"]])
    assert submission.log_of("5_0") == tmp_path / "x" / submission.token / "5_0_0_log.err"
