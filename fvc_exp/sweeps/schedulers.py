"""The jobs of a sweep: which members each has, and what the scheduler knows about it.

One record per submission is written before its jobs exist, and completed with their ids.
"""

import logging
import os
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Self

from submitit.core.utils import JobPaths

from fvc_exp.errors import ArtifactError, FvcError
from fvc_exp.io import files
from fvc_exp.sweeps.claims import process_start
from fvc_exp.sweeps.folder import Member, SweepFolder

log = logging.getLogger(__name__)

_SECONDS = 30.0
_PENDING = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT")
_RUNNING = ("RUNNING", "COMPLETING", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED", "SUSPENDED")
_ACTIVITY = dict.fromkeys(_PENDING, "pending") | dict.fromkeys(_RUNNING, "running")
_ENDS = {
    "TIMEOUT": "time limit",
    "DEADLINE": "deadline",
    "OUT_OF_MEMORY": "out of memory",
    "NODE_FAIL": "node failed",
    "BOOT_FAIL": "node failed",
    "PREEMPTED": "preempted",
}


class SchedulerError(FvcError):
    """The scheduler is not there, or does not answer."""


class NoSchedulerError(SchedulerError):
    """This machine cannot ask the scheduler, now or later."""


class LocalQueue:
    """Processes of this machine; an id is ``PID.START``, so that a reused pid is another job."""

    def active(self, jobs: Collection[str]) -> Mapping[str, str]:
        """``running`` for each process that still lives."""
        parts = {job: job.split(".") for job in jobs}
        return {job: "running" for job, (pid, start) in parts.items() if process_start(int(pid)) == start}

    def end_of(self, _job: str, /, *, had_started: bool) -> str:
        """Whether it had begun its work; only the parent of a process learns its exit code."""
        return "its process ended" if had_started else "its process ended before it began"


class SlurmQueue:
    """Asks squeue about active jobs; scontrol and, where there is accounting, sacct about ended ones."""

    def active(self, jobs: Collection[str]) -> Mapping[str, str]:
        """``running`` or ``pending`` for each job that has not ended, by one call of squeue for all of them.

        Raises:
            SchedulerError: squeue is missing, fails, or does not answer; the state of the jobs is then unknown.
        """
        arrays = sorted({job.partition("_")[0] for job in jobs})
        if not arrays:
            return {}
        states = dict(_squeue("--array", "--format=%i|%T", f"--jobs={','.join(arrays)}"))
        return {job: _ACTIVITY[states[job]] for job in jobs if states.get(job) in _ACTIVITY}

    def end_of(self, job: str, *, had_started: bool) -> str:
        """Why a job ended, as far as SLURM still knows."""
        try:
            state, code = _record(job)
        except SchedulerError as error:
            return f"ended for an unknown reason ({error})"
        if state.startswith("CANCELLED"):
            return f"cancelled while {'running' if had_started else 'pending'}"
        if state in _ENDS:
            return _ENDS[state]
        if state == "FAILED":
            return _exit_words(code)
        if state == "COMPLETED":
            return "its job ended and left no status" if had_started else "its job ended before its turn"
        # SLURM forgets a pending task of an array at once when it is cancelled.
        return "vanished while running" if had_started else "cancelled while pending"


def max_array_size() -> int:
    """The cluster's highest number of tasks in one array.

    Raises:
        SchedulerError: SLURM does not answer.
    """
    done = run_client("scontrol", "show", "config")
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", done.stdout, re.MULTILINE)
    if not found:
        raise SchedulerError(f"SLURM does not answer: {_last_line(done.stderr)}")
    return int(found.group(1))


def find_array(path_part: str) -> str | None:
    """The id of our queued or running job whose script lies at a path with this part.

    Raises:
        SchedulerError: squeue does not answer.
    """
    jobs = _squeue(f"--user={os.geteuid()}", "--format=%F|%o")
    return next((job for job, script in jobs if path_part in script), None)


def _squeue(*options: str) -> list[tuple[str, str]]:
    """The two columns that squeue prints."""
    done = run_client("squeue", "--noheader", *options)
    if done.returncode and "Invalid job id" not in done.stderr:  # the answer where the only job is forgotten
        raise SchedulerError(f"squeue failed: {_last_line(done.stderr)}")
    lines = (line.strip().partition("|") for line in done.stdout.splitlines() if "|" in line)
    return [(first, second) for first, _, second in lines]


def run_client(*command: str) -> subprocess.CompletedProcess[str]:
    """Call one of SLURM's programs.

    Raises:
        NoSchedulerError: it is not installed.
        SchedulerError: it does not answer.
    """
    if shutil.which(command[0]) is None:
        raise NoSchedulerError(f"{command[0]} is not on the PATH: SLURM is not installed here")
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise SchedulerError(f"{command[0]} did not answer within {_SECONDS:.0f} s") from error


def _record(job: str) -> tuple[str, str]:
    """State and exit code of an ended job, from slurmctld while it remembers, else from accounting; or empty."""
    shown = run_client("scontrol", "show", "job", "--oneliner", job).stdout
    if fields := dict(re.findall(r"\b(JobState|ExitCode)=(\S+)", shown)):
        return fields["JobState"], fields.get("ExitCode", "")
    if shutil.which("sacct") is None:
        return "", ""
    listed = run_client("sacct", "--noheader", "--parsable2", "--allocations", "--format=State,ExitCode", "-j", job)
    state, _, code = (listed.stdout.splitlines() or [""])[-1].partition("|")
    return state, code


def _exit_words(code: str) -> str:
    """``7:0`` -> exit code 7; a shell's 137, or ``0:9``, -> killed by SIGKILL."""
    status, _, number = code.partition(":")
    killed = int(number or 0) or max(int(status or 0) - 128, 0)
    if killed in {each.value for each in signal.Signals}:
        return f"killed by {signal.Signals(killed).name}"
    return f"exit code {status}"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"


class Cluster(StrEnum):
    """Where a submission went; submitit's names."""

    slurm = "slurm"
    local = "local"


QUEUES: Mapping[Cluster, SlurmQueue | LocalQueue] = {Cluster.slurm: SlurmQueue(), Cluster.local: LocalQueue()}


@dataclass(frozen=True)
class Submission:
    """Jobs that were submitted together: the members of each, and its id once that is known.

    ``folder`` is submitit's. Its path, and so that of the job script, contains ``token``: by that a job whose id was
    not written down can be found. ``number`` counts the submissions of the sweep, and ``again`` says that members run
    which earlier jobs finished.
    """

    token: str
    cluster: Cluster
    folder: str
    submitted: str
    members: list[list[str]]
    number: int = 0
    again: bool = False
    jobs: list[str] | None = None

    @classmethod
    def new(cls, sweep: SweepFolder, cluster: Cluster, folder: str, jobs: Sequence[Sequence[Member]]) -> Self:
        """A submission that is about to be made, in a folder of its own. Clocks of several login nodes may disagree.

        Of the given folder only the part before the job's id is used: submitit makes the rest after it started the
        job, and a job that begins before that cannot write its log and ends.
        """
        token = secrets.token_hex(8)
        own = JobPaths.get_first_id_independent_folder(folder) / token
        number, again = len(list(sweep.submissions.glob("*.json"))) + 1, any(each.again for job in jobs for each in job)
        members = [[each.run_id for each in job] for job in jobs]
        return cls(token, cluster, str(own), datetime.now(UTC).isoformat(), members, number, again)

    def with_jobs(self, jobs: Iterable[str]) -> Self:
        """The same with its job ids."""
        return replace(self, jobs=list(jobs))


@dataclass(frozen=True)
class Job:
    """The newest job of a member; ``id`` as its queue knows it. ``again``: it runs members that are done."""

    id: str
    cluster: Cluster
    log: Path
    again: bool

    @property
    def own_id(self) -> str:
        """The id as the job itself knows it."""
        return self.id.partition(".")[0]


def write_submission(sweep: SweepFolder, submission: Submission) -> None:
    """Write the record of a submission."""
    files.write_json(sweep.submissions / f"{submission.token}.json", asdict(submission))


def read_submissions(sweep: SweepFolder) -> list[Submission]:
    """Every submission of a sweep, oldest first; a broken record, as a full disk leaves it, is a warning."""
    found: list[Submission] = []
    for path in sweep.submissions.glob("*.json"):
        try:
            found.append(files.read_json(path, Submission))
        except ArtifactError as error:
            log.warning("%s; its jobs are not known", error)
    return sorted(found, key=lambda submission: submission.number)


def recover_job_ids(sweep: SweepFolder) -> None:
    """Find the jobs of submissions whose driver died before it could note their ids.

    Raises:
        SchedulerError: SLURM does not answer.
    """
    for submission in read_submissions(sweep):
        if submission.jobs is None and submission.cluster is Cluster.slurm and (job := find_array(submission.token)):
            write_submission(sweep, submission.with_jobs(job_ids(job, len(submission.members))))


def job_ids(first: str, count: int) -> list[str]:
    """The ids of an array's tasks; a single job is no array."""
    return [first] if count == 1 else [f"{first}_{task}" for task in range(count)]


def latest_jobs(submissions: Iterable[Submission]) -> dict[str, Job]:
    """The newest known job of each member that was ever submitted."""
    found: dict[str, Job] = {}
    for submission in submissions:
        for job, members in zip(submission.jobs or [], submission.members, strict=bool(submission.jobs)):
            log = JobPaths(submission.folder, job.partition(".")[0]).stderr
            found |= dict.fromkeys(members, Job(job, submission.cluster, log, submission.again))
    return found
