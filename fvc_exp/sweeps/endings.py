"""Why a member has no result, in words: by its status, by what its queue knows of the job, and by the job's log."""

import re
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fvc_exp.errors import ArtifactError
from fvc_exp.io import files
from fvc_exp.sweeps.job import TimeLimitError

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


class JobEnd(NamedTuple):
    """SLURM's word for how a job ended, its ``status:signal``, and whether it was ever started. Empty: not known."""

    state: str = ""
    code: str = ""
    started: bool = False


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
