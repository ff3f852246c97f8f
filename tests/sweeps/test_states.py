import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import pytest

from fvc_exp.errors import ArtifactError
from fvc_exp.io.files import write_json
from fvc_exp.sweeps import schedulers, states
from fvc_exp.sweeps.folder import Plan, SweepFolder
from fvc_exp.sweeps.queues import Entry, JobEnd, SchedulerError
from fvc_exp.sweeps.states import MemberState, State, Watch, member_states, wait
from tests.sweeps.conftest import MakePlan, write_claim

OLD, NEW = "5_0", "6_0"  # jobs
ASLEEP = SchedulerError("asleep")
RUNS, WAITS = Entry(runs=True), Entry(runs=False, reason="Resources")


class FakeQueue:
    """A scheduler that says what the test tells it."""

    def __init__(self) -> None:
        self.answer: dict[str, Entry] | SchedulerError = {}
        self.end = JobEnd()

    def active(self, _jobs: object) -> dict[str, Entry]:
        if isinstance(self.answer, SchedulerError):
            raise self.answer
        return self.answer

    def end_of(self, _job: str, _log: object) -> JobEnd:
        return self.end


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> FakeQueue:
    queue = FakeQueue()
    monkeypatch.setattr(schedulers, "QUEUES", {schedulers.Cluster.slurm: queue})
    return queue


@pytest.fixture
def plan(make: MakePlan) -> Plan:
    return make("C=0.1")


def look(sweep: SweepFolder, plan: Plan) -> MemberState:
    (found,) = member_states(sweep, plan)
    return found


def leave(sweep: SweepFolder, plan: Plan, **left: Any) -> None:
    """Make what a driver and its jobs leave: ``jobs`` in their order, claims as (job, age), and the other files."""
    folder = sweep.member(plan.members[0].run_id)
    folder.path.mkdir()
    for job in left.get("jobs", [OLD]):
        where = str(sweep.path / ".submitit" / "%j")
        submission = schedulers.Submission.new(sweep, schedulers.Cluster.slurm, where, [plan.members])
        schedulers.write_submission(sweep, replace(submission, again="again" in left, jobs=[job]))
    for number, (job, age) in enumerate(left.get("claims", []), start=1):
        write_claim(folder, number, age=age, job=job)
    if "metrics" in left:
        write_json(folder.metrics, left["metrics"])
        write_json(folder.results, {"flags": []})
    if "status" in left:
        write_json(folder.status, {"job": OLD, "attempt": 1, **left["status"]})
    if "lost" in left:
        write_json(folder.lost, {"state": "lost", "job": OLD, "attempt": 1, "message": "", "reason": left["lost"]})


BEGUN = [(OLD, 0)]
DONE = {"claims": BEGUN, "status": {"state": "done"}, "answer": {OLD: RUNS}}
FAILED = {"claims": BEGUN, "status": {"state": "failed", "reason": "ValueError", "message": "boom"}}
STOPPED = {"claims": BEGUN, "status": {"state": "interrupted", "reason": "stopped by SIGTERM"}}
Left = dict[str, Any]
CASES: dict[str, tuple[Left, State, str]] = {
    "never submitted": ({"jobs": []}, State.waiting, ""),
    "pending": ({"answer": {OLD: WAITS}}, State.pending, "Resources"),
    "in setup": ({"answer": {OLD: RUNS}}, State.running, ""),
    "running": ({"claims": BEGUN, "answer": {OLD: RUNS}}, State.running, ""),
    "requeued": ({"claims": BEGUN, "answer": {OLD: WAITS}}, State.pending, "requeued, Resources"),
    "requeued after its end was told": ({**STOPPED, "answer": {OLD: WAITS}}, State.pending, "requeued, Resources"),
    "stopped by the scheduler": ({**STOPPED, "end": JobEnd("PREEMPTED")}, State.lost, "preempted"),
    "stopped by somebody": (STOPPED, State.lost, "stopped by SIGTERM"),
    "cancelled while pending": ({}, State.lost, "cancelled while pending"),
    "gone while running": ({"claims": BEGUN}, State.lost, "vanished while running"),
    "done": ({**DONE, "metrics": [{"fold": 0}]}, State.done, ""),
    "done without metrics": (DONE, State.failed, "finished without metrics"),
    "done with empty metrics": ({**DONE, "metrics": []}, State.failed, "finished without metrics"),
    "raised": (FAILED, State.failed, "ValueError"),
    "out of time": ({**FAILED, "status": {"state": "failed", "reason": "TimeLimitError"}}, State.failed, "time limit"),
    "submitted again": ({**FAILED, "jobs": [OLD, NEW], "answer": {NEW: WAITS}}, State.pending, "Resources"),
    "running again": (
        {**FAILED, "jobs": [OLD, NEW], "claims": [*BEGUN, (NEW, 0)], "answer": {NEW: RUNS}}, State.running, "",
    ),
    "noted as lost": ({"lost": "out of memory", "answer": ASLEEP}, State.lost, "out of memory"),
    "lost and submitted again": (
        {"lost": "out of memory", "jobs": [OLD, NEW], "answer": {NEW: WAITS}}, State.pending, "Resources",
    ),
    "runs again": (
        {**DONE, "metrics": [1], "jobs": [OLD, NEW], "again": True, "answer": {NEW: WAITS}}, State.pending, "Resources",
    ),
    "no answer and alive": ({"claims": BEGUN, "answer": ASLEEP}, State.running, "asleep"),
    "no answer and silent": ({"claims": [(OLD, 1000)], "answer": ASLEEP}, State.pending, "asleep"),
}  # fmt: skip


@pytest.mark.parametrize(("left", "state", "reason"), CASES.values(), ids=CASES)
def test_state(sweep: SweepFolder, plan: Plan, queue: FakeQueue, left: Left, state: State, reason: str) -> None:
    leave(sweep, plan, **left)
    queue.answer, queue.end = left.get("answer", {}), left.get("end", JobEnd())
    found = look(sweep, plan)
    assert (found.state, found.reason) == (state, reason)


def test_a_run_that_lists_no_metrics_is_not_done(sweep: SweepFolder, plan: Plan) -> None:
    listed = {"run.log": {"size": 0, "sha256": "0" * 64}}
    leave(sweep, plan, claims=BEGUN, status={"state": "done", "files": listed})
    sweep.member(plan.members[0].run_id).log.touch()
    assert (look(sweep, plan).state, look(sweep, plan).reason) == (State.failed, "finished without metrics")


def test_the_last_line_of_a_job_that_never_began(sweep: SweepFolder, plan: Plan, queue: FakeQueue) -> None:
    leave(sweep, plan)
    (submission,) = schedulers.read_submissions(sweep)
    log = schedulers.latest_jobs([submission])[plan.members[0].run_id].log
    assert log == sweep.path / ".submitit" / submission.token / f"{OLD}_0_log.err"
    log.parent.mkdir(parents=True)
    log.write_text("Traceback\nModuleNotFoundError: No module named 'fvc_exp'\nsrun: error: vm: task 0: Exited\n")
    assert look(sweep, plan).message == "ModuleNotFoundError: No module named 'fvc_exp'"


def wait_for(sweep: SweepFolder, plan: Plan, on_look: Callable[[Any], None]) -> MemberState:
    (found,) = wait(Watch(sweep, plan), lambda: False, on_look)
    return found


@pytest.fixture
def _gone(sweep: SweepFolder, plan: Plan, queue: FakeQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that was running and is in no queue, and a driver that does not wait long for its last files."""
    monkeypatch.setattr(states, "GRACE_SECONDS", 0.6)
    leave(sweep, plan, claims=BEGUN)


@pytest.mark.usefixtures("_gone")
def test_a_job_that_is_gone_is_noted_after_a_grace(sweep: SweepFolder, plan: Plan) -> None:
    seen: list[State] = []
    found = wait_for(sweep, plan, lambda looked: seen.append(looked[0].state))
    assert seen[0] is State.running
    assert found.state is State.lost
    noted = json.loads(sweep.member(plan.members[0].run_id).lost.read_text())
    assert (noted["job"], noted["reason"]) == (OLD, "vanished while running")


@pytest.mark.usefixtures("_gone")
def test_a_full_disk_is_told_once_and_ends_nothing(
    sweep: SweepFolder, plan: Plan, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    full = ArtifactError("lost.json: cannot be written: No space left on device")
    monkeypatch.setattr("fvc_exp.io.files.write_json", Mock(side_effect=full))
    watch = Watch(sweep, plan)
    assert wait(watch, lambda: False, lambda _: None)[0].state is State.lost
    watch.look()
    assert caplog.messages == [f"{full}; the sweep waits on"]


@pytest.mark.usefixtures("_gone")
def test_files_that_come_late_count(sweep: SweepFolder, plan: Plan) -> None:
    folder = sweep.member(plan.members[0].run_id)

    def write_them(_: object) -> None:
        write_json(folder.metrics, [{"fold": 0}])
        write_json(folder.results, {"flags": []})
        write_json(folder.status, {"state": "done", "job": OLD, "attempt": 1})

    assert wait_for(sweep, plan, write_them).state is State.done
    assert not folder.lost.exists()


@pytest.mark.usefixtures("_gone")
def test_a_scheduler_without_an_answer_is_asked_again(sweep: SweepFolder, plan: Plan, queue: FakeQueue) -> None:
    queue.answer = ASLEEP
    looks: list[State] = []

    def wake(looked: Any) -> None:
        looks.append(looked[0].state)
        if len(looks) == 3:
            queue.answer = {}

    assert wait_for(sweep, plan, wake).state is State.lost
    assert looks[:3] == [State.running] * 3
