from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.conftest import ROOT, LocalSlurm, local_slurm, started, until
from tests.slurm.local_slurm import host, processes


@pytest.fixture
def cluster(slurm: LocalSlurm) -> Iterator[LocalSlurm]:
    """The session's cluster, given back whole and empty."""
    yield slurm
    slurm.restart()
    slurm.cancel_all()


def runs(pid: int) -> bool:
    """Whether the pid is in use by more than a zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def written(path: Path) -> str:
    """The first line of a file that a job writes."""
    until(lambda: path.exists() and "\n" in path.read_text(), 20, f"{path.name} to be written")
    return path.read_text().splitlines()[0]


def test_up_prints_what_a_shell_can_evaluate(cluster: LocalSlurm) -> None:
    before = cluster.daemons()
    up = f'"{sys.executable}" -m tests.slurm.local_slurm up --folder {cluster.folder}'
    shell = f'unset SLURM_CONF; text="$({up})" && eval "$text" && echo "$text" && srun -n1 echo from the job'
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True, cwd=ROOT)
    ready, export, said = done.stdout.splitlines()
    assert re.fullmatch(r"# ready: a job has run \(\d+\.\d s\)", ready)
    assert export == f"export SLURM_CONF={cluster.conf}"
    assert said == "from the job"
    assert cluster.daemons() == before
    assert list(before) == ["munged", "slurmctld", "slurmd"]


def test_up_is_ready_while_jobs_take_every_cpu(cluster: LocalSlurm) -> None:
    job = cluster.submit("sleep 100", "--cpus-per-task=4")
    cluster.wait_for(job, "RUNNING")
    cluster.restart()
    waiting = cluster.submit("sleep 100")
    time.sleep(2)
    assert cluster.squeue(job) | cluster.squeue(waiting) == {job: "RUNNING", waiting: "PENDING"}


def test_all_sockets_are_on_loopback(cluster: LocalSlurm) -> None:
    ports = cluster.ports()
    assert listens(ports["slurmctld"])
    assert listens(ports["slurmd"])
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    addresses = {int(local.split(":")[1], 16): local.split(":")[0] for _, local, _, state, *_ in lines if state == "0A"}
    assert addresses[ports["slurmctld"]] == addresses[ports["slurmd"]] == "0100007F"


def test_sacct_refuses_without_accounting(cluster: LocalSlurm) -> None:
    done = cluster.run("sacct", check=False)
    assert done.returncode == 1
    assert "accounting storage is disabled" in done.stderr


def test_array_job_runs_every_task(cluster: LocalSlurm, tmp_path: Path) -> None:
    job = cluster.submit("echo task $SLURM_ARRAY_TASK_ID", "--array=0-3", output=tmp_path / "%a.txt")
    cluster.wait_for(job, "COMPLETED")
    assert cluster.squeue(job) == {f"{job}_{task}": "COMPLETED" for task in range(4)}
    assert [(tmp_path / f"{task}.txt").read_text() for task in range(4)] == [f"task {task}\n" for task in range(4)]


def test_exit_code_becomes_failed(cluster: LocalSlurm) -> None:
    job = cluster.submit("exit 3")
    cluster.wait_for(job, "COMPLETED", "FAILED")
    assert cluster.squeue(job) == {job: "FAILED"}


@pytest.mark.parametrize(
    ("option", "message"),
    [("--cpus-per-task=5", "More processors requested than permitted"), ("--array=0-1001", "Invalid job array")],
    ids=["more CPUs than there are", "index above MaxArraySize"],
)
def test_impossible_jobs_are_refused_at_once(cluster: LocalSlurm, option: str, message: str) -> None:
    done = cluster.run("sbatch", "--output=/dev/null", option, "--wrap", "true", check=False)
    assert done.returncode == 1
    assert message in done.stderr


def test_requeue_runs_the_job_again_soon(cluster: LocalSlurm, tmp_path: Path) -> None:
    job = cluster.submit(f"touch {tmp_path}/run$SLURM_RESTART_COUNT; sleep 100")
    until((tmp_path / "run").exists, 10, "the first run")
    cluster.run("scontrol", "requeue", job)
    until((tmp_path / "run1").exists, 15, "the second run")


def test_time_limit_ends_a_job(cluster: LocalSlurm, tmp_path: Path) -> None:
    job = cluster.submit("echo $$; sleep 300", "--time=1", output=tmp_path / "out")
    began, pid = time.monotonic(), int(written(tmp_path / "out"))
    cluster.wait_for(job, "TIMEOUT", timeout=110)
    assert time.monotonic() - began > 50
    until(lambda: not runs(pid), 10, "the job's process to end")


def test_jobs_outlive_slurmctld(cluster: LocalSlurm, tmp_path: Path) -> None:
    running = cluster.submit("sleep 30; echo restarts=$SLURM_RESTART_COUNT", output=tmp_path / "out")
    waiting = cluster.submit("true", "--array=0-2", "--begin=now+30")
    cluster.wait_for(running, "RUNNING")
    cluster.wait_until_saved()
    cluster.kill("slurmctld")
    assert list(cluster.daemons()) == ["munged", "slurmd"]
    assert cluster.run("squeue", check=False).returncode == 1
    cluster.restart()
    assert cluster.squeue(running) == {running: "RUNNING"}
    assert set(cluster.squeue(waiting)) == {f"{waiting}_{task}" for task in range(3)}
    cluster.wait_for(running, "COMPLETED", timeout=60)
    cluster.wait_for(waiting, "COMPLETED", timeout=60)
    assert (tmp_path / "out").read_text() == "restarts=\n"


def test_jobs_outlive_slurmd(cluster: LocalSlurm, tmp_path: Path) -> None:
    job = cluster.submit("sleep 5; echo restarts=$SLURM_RESTART_COUNT", output=tmp_path / "out")
    cluster.wait_for(job, "RUNNING")
    cluster.kill("slurmd")
    cluster.restart()
    cluster.wait_for(job, "COMPLETED")
    assert (tmp_path / "out").read_text() == "restarts=\n"


def test_a_crashed_node_makes_its_job_run_again(cluster: LocalSlurm, tmp_path: Path) -> None:
    job = cluster.submit(f"echo $$ > {tmp_path}/run$SLURM_RESTART_COUNT; sleep 100")
    pid = int(written(tmp_path / "run"))
    cluster.kill("node")
    assert not runs(pid)
    cluster.wait_for(job, "PENDING", timeout=60)
    cluster.restart()
    written(tmp_path / "run1")


def test_up_mends_a_half_dead_folder(cluster: LocalSlurm) -> None:
    before = cluster.daemons()
    cluster.kill("slurmctld")
    cluster.kill("slurmd")
    assert local_slurm("status", cluster.folder).returncode == 1
    cluster.restart()
    after = cluster.daemons()
    assert list(after) == list(before)
    assert after["munged"] == before["munged"]
    assert {after["slurmctld"], after["slurmd"]}.isdisjoint(before.values())
    assert local_slurm("status", cluster.folder).returncode == 0


def test_a_running_cluster_is_not_made_another(cluster: LocalSlurm) -> None:
    done = local_slurm("up", cluster.folder, "--cpus", "3")
    assert done.returncode == 1
    assert re.search(r"runs with Options\(cpus=4.*not Options\(cpus=3.*take it down first", done.stderr)


def stubborn_job(cluster: LocalSlurm, folder: Path) -> int:
    """Start a job that ignores SIGTERM; returns the pid of its shell."""
    cluster.submit("trap '' TERM; echo $$; while true; do sleep 1; done", output=folder / "out")
    return int(written(folder / "out"))


def test_down_leaves_nothing_behind(slurm: LocalSlurm, tmp_path: Path) -> None:
    with started() as other:
        pids = [*other.daemons().values(), stubborn_job(other, tmp_path)]
        other.submit("sleep 100", "--array=0-9")
        steps = [process.pid for process in processes.working_in(other.folder / "spool", "slurmstepd")]
        ports = other.ports()
        assert steps
        assert all(map(runs, pids + steps))
        for _ in range(2):
            done = local_slurm("down", other.folder)
            assert (done.returncode, done.stdout, done.stderr) == (0, "# down\n", "")
        assert not any(map(runs, pids + steps))
        assert not any(map(listens, ports.values()))
        assert local_slurm("status", other.folder).returncode == 1

        other.restart()
        assert "PENDING" not in other.squeue().values()
        assert local_slurm("down", other.folder, "--wipe").stdout == "# down\n"
        assert [path.name for path in other.folder.iterdir()] == ["lock"]


def test_down_ends_the_jobs_of_dead_daemons(tmp_path: Path) -> None:
    with started() as other:
        job, munged = stubborn_job(other, tmp_path), other.daemons()["munged"]
        other.kill("slurmctld")
        other.kill("slurmd")
        assert runs(job)
        done = local_slurm("down", other.folder)
        assert done.returncode == 0
        assert "queue comes back with the next up" in done.stdout
        assert not runs(job)
        assert not runs(munged)


def test_two_clusters_do_not_meet(cluster: LocalSlurm, tmp_path: Path) -> None:
    with started("--max-array-size", "4", "--cpus", "1") as other:
        assert set(other.ports().values()).isdisjoint(cluster.ports().values())
        ours = cluster.submit("sleep 100")
        theirs = other.submit("echo $SLURM_CONF", "--array=0-3", output=tmp_path / "%a")
        assert other.run("sbatch", "--array=0-4", "--wrap", "true", check=False).returncode == 1
        other.wait_for(theirs, "COMPLETED")
        assert (tmp_path / "3").read_text() == f"{other.conf}\n"
        local_slurm("down", other.folder)
        assert cluster.squeue(ours) == {ours: "RUNNING"}


def test_sacct_answers_with_accounting() -> None:
    with started("--accounting", "dbd", optional=True) as other:
        jobs = {other.submit("true"): "COMPLETED", other.submit("exit 3"): "FAILED"}

        def recorded() -> dict[str, str]:
            lines = other.run("sacct", "-n", "-X", "-P", "-o", "JobID,State", "-j", ",".join(jobs)).stdout
            return dict(line.split("|") for line in lines.splitlines())

        until(lambda: recorded() == jobs, 20, "both records")
        assert list(other.daemons()) == ["munged", "mariadbd", "slurmdbd", "slurmctld", "slurmd"]
        other.kill("slurmdbd")
        other.restart()
        assert recorded() == jobs
        local_slurm("down", other.folder)
        other.restart()
        assert recorded() == jobs


def test_a_reused_pid_is_left_alone() -> None:
    with subprocess.Popen(["sleep", "100"]) as child:
        process = processes.find(child.pid)
        assert process is not None
        processes.stop(processes.Process(child.pid, process.start - 1))
        assert processes.alive(process)
        processes.stop(process)
        assert child.wait() == -signal.SIGTERM
    assert processes.find(child.pid) is None


def test_a_process_that_ignores_sigterm_is_killed() -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(100)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        process = processes.find(child.pid)
        assert process is not None
        processes.stop(process, patience=0.2)
        assert child.wait() == -signal.SIGKILL


@pytest.mark.parametrize(
    ("database", "message"),
    [
        (False, r"missing: munged, slurmd; install with: apt-get install munge slurm-wlm$"),
        (True, r"missing: munged, slurmd, mariadbd; install with: apt-get install mariadb-server munge slurm-wlm$"),
    ],
    ids=["none", "dbd"],
)
def test_missing_programs_are_named_with_their_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: bool, message: str
) -> None:
    for name in ["slurmctld", "srun", "squeue", "scancel", "scontrol", "sinfo", "slurmdbd", "mariadb"]:
        shutil.copy("/bin/true", tmp_path / name)
    shutil.copy("/bin/true", tmp_path / "mariadb-install-db")
    monkeypatch.setattr(host, "search_path", lambda: str(tmp_path))
    with pytest.raises(host.UnavailableError, match=message):
        host.check_programs(database)


def test_a_host_name_off_loopback_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    # the C library reads the name 127 as the address 0.0.0.127, so no name server is asked
    monkeypatch.setattr(socket, "gethostname", lambda: "127.example.org")
    with pytest.raises(host.UnavailableError, match=r"127 resolves to 0\.0\.0\.127, .*'127\.0\.0\.1 127' first into"):
        host.host_name()


@pytest.mark.parametrize(
    ("name", "message"),
    [("x" * 120, "characters too long for the sockets"), ("a b", r"may hold letters, digits and \._\+-/ only")],
    ids=["long", "blank"],
)
def test_unusable_folders_are_refused(tmp_path: Path, name: str, message: str) -> None:
    done = local_slurm("up", tmp_path / name)
    assert done.returncode == 1
    assert re.fullmatch(rf"local_slurm: .*{message}.*\n", done.stderr)
