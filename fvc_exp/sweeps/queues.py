"""What the schedulers know about jobs, processes of this machine or of SLURM, and why a member has no result."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from fvc_exp.errors import ArtifactError, FvcError
from fvc_exp.io import files
from fvc_exp.sweeps.claims import process_start
from fvc_exp.sweeps.job import TimeLimitError

_SECONDS = 30.0
_PENDING = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT")
_RUNNING = ("RUNNING", "COMPLETING", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED", "SUSPENDED")
_ACTIVE = (*_PENDING, *_RUNNING)
QUEUED = ".queued"
VANISHED = "vanished while running"
_ENDS = {
    "TIMEOUT": "time limit",
    "DEADLINE": "deadline",
    "OUT_OF_MEMORY": "out of memory",
    "NODE_FAIL": "node failed",
    "BOOT_FAIL": "node failed",
    "PREEMPTED": "preempted",
}
# What SLURM's and submitit's own programs write into the log of a job.
_NOISE = re.compile(r"srun: |slurmstepd\S*: |submitit [A-Z]+ \(|\S*/slurm_script: line \d+: +\d+ Killed|Killed$")
_OOM = re.compile(r"oom.kill|exceeded memory limit|exceeded job memory", re.IGNORECASE)


class SchedulerError(FvcError):
    """The scheduler is not there, or does not answer."""


class NoSchedulerError(SchedulerError):
    """This machine cannot ask the scheduler, now or later."""


class Entry(NamedTuple):
    """A job in its queue: whether it runs, and if it does not, the scheduler's own reason."""

    runs: bool
    reason: str = ""


class JobEnd(NamedTuple):
    """SLURM's word for how a job ended, its ``status:signal``, and whether it was ever started. Empty: not known."""

    state: str = ""
    code: str = ""
    started: bool = False


class LocalQueue:
    """Processes of this machine; an id is ``PID.START``, so that a reused pid is another job.

    Jobs that wait inside a driver have its id with ``QUEUED`` behind it.
    """

    def active(self, jobs: Collection[str]) -> Mapping[str, Entry]:
        """Those whose process still lives."""
        parts = {job: job.split(".") for job in jobs}
        return {
            job: Entry(not queued, f"waits in process {pid}" if queued else "")
            for job, (pid, start, *queued) in parts.items()
            if process_start(int(pid)) == start
        }

    def end_of(self, job: str, log: Path) -> JobEnd:
        """Its exit code, which ``launchers`` makes each process leave beside its log."""
        try:
            code = int(log.with_name(f"{job.partition('.')[0]}_exit").read_text())
        except (FileNotFoundError, ValueError):
            return JobEnd()
        return JobEnd("FAILED" if code else "COMPLETED", f"{code}:0", started=True)

    def cancel(self, jobs: Collection[str]) -> None:
        """Ask processes, with their children where they lead a group, to stop; never the calling one."""
        for pid in {int(job.partition(".")[0]) for job in jobs} - {os.getpid()}:
            with suppress(ProcessLookupError):
                (os.killpg if os.getpgid(pid) == pid else os.kill)(pid, signal.SIGTERM)


class SlurmQueue:
    """Asks squeue about active jobs; scontrol and, where there is accounting, sacct about ended ones."""

    def active(self, jobs: Collection[str]) -> Mapping[str, Entry]:
        """Those that have not ended, by one call of squeue for all of them.

        Raises:
            SchedulerError: squeue is missing, fails, or does not answer; the state of the jobs is then unknown.
        """
        arrays = sorted({job.partition("_")[0] for job in jobs})
        if not arrays:
            return {}
        rows = _squeue("--array", "--format=%i|%T|%r", f"--jobs={','.join(arrays)}")
        return {job: Entry(state in _RUNNING, why) for job, state, why in rows if state in _ACTIVE and job in jobs}

    def end_of(self, job: str, _log: Path) -> JobEnd:
        """What SLURM still knows: slurmctld while it remembers, else accounting.

        Raises:
            SchedulerError: a program of SLURM is missing or does not answer.
        """
        shown = run_client("scontrol", "show", "job", "--oneliner", job).stdout
        if found := dict(re.findall(r"\b(JobState|ExitCode|NodeList)=(\S+)", shown)):
            return JobEnd(found["JobState"], found.get("ExitCode", ""), found.get("NodeList") not in (None, "(null)"))
        rows = _sacct(["State", "ExitCode", "NodeList"], [job])
        if not rows:
            return JobEnd()
        state, code, nodes = rows[0]
        # sacct makes 9 of a job's 137; the step's own code tells it from an exit code
        code = next((each for _, each, _ in rows if not each.endswith(":0")), code)
        is_oom = any(each == "OUT_OF_MEMORY" for each, _, _ in rows)
        return JobEnd("OUT_OF_MEMORY" if is_oom else state, code, nodes != "None assigned")

    def cancel(self, jobs: Collection[str]) -> None:
        """Cancel jobs.

        Raises:
            SchedulerError: scancel fails.
        """
        if jobs and (done := run_client("scancel", *sorted(jobs))).returncode:
            raise SchedulerError(f"scancel failed: {last_line(done.stderr)}")


class Usage(NamedTuple):
    """What a job has used: CPU time as SLURM writes it, and the peak of its memory in MB. Empty: not known."""

    cpu: str = ""
    memory: float = 0.0


def usage(jobs: Collection[str]) -> dict[str, Usage]:
    """What accounting knows of SLURM's jobs; of none where there is no accounting, or no answer."""
    found: dict[str, Usage] = {}
    with suppress(SchedulerError):
        for step, cpu, memory in _sacct(["JobID", "TotalCPU", "MaxRSS"], [job for job in jobs if "." not in job]):
            known = found.setdefault(step.partition(".")[0], Usage(cpu))
            peak = max(known.memory, float(memory.removesuffix("M") or 0))
            found[step.partition(".")[0]] = Usage(known.cpu, peak)
    return found


def max_array_size() -> int:
    """The cluster's highest number of tasks in one array.

    Raises:
        SchedulerError: SLURM does not answer.
    """
    done = run_client("scontrol", "show", "config")
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", done.stdout, re.MULTILINE)
    if not found:
        raise SchedulerError(f"SLURM does not answer: {last_line(done.stderr)}")
    return int(found.group(1))


def find_array(path_part: str) -> str | None:
    """The id of our queued or running job whose script lies at a path with this part.

    Raises:
        SchedulerError: squeue does not answer.
    """
    jobs = _squeue(f"--user={os.geteuid()}", "--format=%F|%o")
    return next((job for job, *script in jobs if path_part in "|".join(script)), None)


def _squeue(*options: str) -> list[list[str]]:
    """The columns that squeue prints."""
    done = run_client("squeue", "--noheader", *options)
    if done.returncode and "Invalid job id" not in done.stderr:  # the answer where the only job is forgotten
        raise SchedulerError(f"squeue failed: {last_line(done.stderr)}")
    return [line.strip().split("|") for line in done.stdout.splitlines() if "|" in line]


def _sacct(columns: Sequence[str], jobs: Collection[str]) -> list[list[str]]:
    """A row per job and step; none where there is no accounting."""
    if not jobs or shutil.which("sacct") is None:
        return []
    options = ("--noheader", "--parsable2", "--units=M", f"--format={','.join(columns)}", f"--jobs={','.join(jobs)}")
    return [line.split("|") for line in run_client("sacct", *options).stdout.splitlines()]


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


def last_line(text: str) -> str:
    """The last line that a program printed."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"


def status_reason(status: Mapping[str, Any]) -> str:
    """Why a member that left a status has no result."""
    if status["state"] == "done":
        return "finished without metrics"
    reason = str(status.get("reason") or status["state"])
    return "time limit" if reason == TimeLimitError.__name__ else reason


def job_reason(end: JobEnd, log: Path, *, begun: bool) -> str:
    """Why a job ended before this member had a status; ``begun``: its work had begun."""
    started = begun or end.started or log.exists()
    when = "while running" if begun else "in setup" if started else "while pending"
    if end.state.startswith("CANCELLED"):
        return f"cancelled {when}"
    if end.state in _ENDS:
        return _ENDS[end.state]
    if end.state == "FAILED":
        return _ENDS["OUT_OF_MEMORY"] if _OOM.search(_text(log)) else _exit_words(end.code)
    if end.state == "COMPLETED":
        return "its job ended and left no status" if begun else "its job ended before its turn"
    # SLURM forgets a pending task of an array at once when it is cancelled.
    return VANISHED if begun else "vanished in setup" if started else "cancelled while pending"


def last_words(log: Path) -> str:
    """The last line that a job itself wrote to stderr."""
    lines = (line.strip() for line in reversed(_text(log).split("\n")))
    return next((line for line in lines if line and not _NOISE.match(line)), "")


def _text(log: Path) -> str:
    try:
        return files.read_bytes(log).decode(errors="replace")
    except ArtifactError:
        return ""


def _exit_words(code: str) -> str:
    """``7:0`` -> exit code 7; a shell's 137, or ``0:9``, -> killed by SIGKILL."""
    status, _, number = code.partition(":")
    killed = int(number or 0) or max(int(status or 0) - 128, 0)
    if killed in {each.value for each in signal.Signals}:
        return f"killed by {signal.Signals(killed).name}"
    return f"exit code {status}"
