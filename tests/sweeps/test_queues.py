"""What SLURM's programs say, and what we make of it; the programs are small scripts here, real ones in tests/slurm."""

import os
import sys
from pathlib import Path

import pytest

from fvc_exp.sweeps import queues
from fvc_exp.sweeps.claims import process_start
from tests.processes import ended_process


class Programs:
    """A folder of scripts that are the only programs on the PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, name: str, stdout: str = "", stderr: str = "", code: int = 0) -> None:
        path = self.folder / name
        lines = [f"#!{sys.executable}", "import sys", f"sys.stdout.write({stdout!r})", f"sys.stderr.write({stderr!r})"]
        path.write_text("\n".join([*lines, f"sys.exit({code})"]))
        path.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    monkeypatch.setenv("PATH", str(tmp_path))
    return Programs(tmp_path)


def test_states_of_the_queue(programs: Programs) -> None:
    states = ["PENDING", "RUNNING", "COMPLETING", "REQUEUED", "SUSPENDED", "COMPLETED", "FAILED", "NODE_FAIL"]
    programs.add("squeue", "".join(f"5_{task}|{state}|Why\n" for task, state in enumerate(states)))
    jobs = [f"5_{task}" for task in range(9)]
    assert queues.SlurmQueue().active(jobs) == {
        "5_0": (False, "Why"), "5_1": (True, "Why"), "5_2": (True, "Why"), "5_3": (False, "Why"), "5_4": (True, "Why"),
    }  # fmt: skip


def test_a_forgotten_job_is_not_active_and_no_answer_is_not_taken_for_an_empty_queue(programs: Programs) -> None:
    with pytest.raises(queues.NoSchedulerError, match="squeue is not on the PATH"):
        queues.SlurmQueue().active(["5"])
    programs.add("squeue", stderr="slurm_load_jobs error: Invalid job id specified\n", code=1)
    assert queues.SlurmQueue().active(["5"]) == {}
    programs.add("squeue", stderr="slurm_load_jobs error: Unable to contact slurm controller\n", code=1)
    with pytest.raises(queues.SchedulerError, match="squeue failed: slurm_load_jobs error: Unable to contact"):
        queues.SlurmQueue().active(["5"])


def reason_of(job: str, begun: bool, log: Path = Path("no.log")) -> str:
    return queues.job_reason(queues.SlurmQueue().end_of(job, log), log, begun=begun)


ENDS = [
    ("FAILED", "7:0", True, "exit code 7"),
    ("FAILED", "137:0", True, "killed by SIGKILL"),
    ("FAILED", "0:11", True, "killed by SIGSEGV"),
    ("CANCELLED", "0:15", True, "cancelled while running"),
    ("CANCELLED", "0:0", False, "cancelled while pending"),
    ("CANCELLED", "0:15", None, "cancelled in setup"),
    ("TIMEOUT", "0:1", True, "time limit"),
    ("OUT_OF_MEMORY", "0:125", True, "out of memory"),
    ("NODE_FAIL", "1:0", True, "node failed"),
    ("PREEMPTED", "0:0", True, "preempted"),
    ("COMPLETED", "0:0", True, "its job ended and left no status"),
    ("COMPLETED", "0:0", False, "its job ended before its turn"),
]


@pytest.mark.parametrize(
    ("state", "code", "started", "reason"), ENDS, ids=[f"{end[0]} {end[1]} {end[2]}" for end in ENDS]
)
@pytest.mark.parametrize("source", ["scontrol", "sacct"])
def test_why_a_job_ended(
    programs: Programs, source: str, state: str, code: str, started: bool | None, reason: str
) -> None:
    nodes = ("n1", "n1") if started is not False else ("(null)", "None assigned")
    if source == "scontrol":
        facts = f"JobId=9 ArrayJobId=5 ArrayTaskId=1 JobState={state} Reason=None ExitCode={code} NodeList={nodes[0]}\n"
        programs.add("scontrol", facts)
    else:
        programs.add("scontrol", stderr="slurm_load_jobs error: Invalid job id specified\n", code=1)
        programs.add("sacct", f"{state}{' by 1000' if state == 'CANCELLED' else ''}|{code}|{nodes[1]}\n")
    assert reason_of("5_1", bool(started)) == reason


@pytest.mark.parametrize(
    ("started", "reason"), [(True, "vanished while running"), (False, "cancelled while pending")], ids=["run", "not"]
)
def test_a_job_without_any_record(programs: Programs, started: bool, reason: str) -> None:
    programs.add("scontrol", stderr="slurm_load_jobs error: Invalid job id specified\n", code=1)
    programs.add("sacct", stderr="Slurm accounting storage is disabled\n", code=1)
    assert queues.usage(["5_1"]) == {}
    assert reason_of("5_1", bool(started)) == reason


def test_largest_array(programs: Programs) -> None:
    programs.add("scontrol", "Configuration data as of now\nMaxArraySize            = 1001\nMaxJobCount = 10000\n")
    assert queues.max_array_size() == 1001
    programs.add("scontrol", stderr="slurm_load_ctl_conf error: Unable to contact slurm controller\n", code=1)
    with pytest.raises(queues.SchedulerError, match=r"SLURM does not answer: .*Unable to contact"):
        queues.max_array_size()


def test_a_job_is_found_by_its_script(programs: Programs) -> None:
    programs.add("squeue", "4|/other/.submission_file_1.sh\n8|/sweep/.submitit/abc/.submission_file_2.sh\n")
    assert queues.find_array("abc") == "8"
    assert queues.find_array("xyz") is None


def test_local_processes() -> None:
    own = f"{os.getpid()}.{process_start(os.getpid())}"
    ended = ".".join(map(str, ended_process()))
    assert queues.LocalQueue().active([own, ended, f"{os.getpid()}.1"]) == {own: queues.Entry(runs=True)}
