import os
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

from tests.processes import is_alive, until
from tests.shell import ROOT
from tests.slurm.conftest import Cluster, started
from tests.slurm.local_slurm import LocalSlurmError, UnavailableError, host


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_up_is_ready_while_jobs_take_every_cpu(cluster: Cluster) -> None:
    job = cluster.submit("sleep 100", "--cpus-per-task=4")
    cluster.wait_for(job, "RUNNING")
    cluster.restart()
    waiting = cluster.submit("sleep 100")
    time.sleep(2)
    assert cluster.squeue(job) | cluster.squeue(waiting) == {job: "RUNNING", waiting: "PENDING"}


def test_all_sockets_are_on_loopback(cluster: Cluster) -> None:
    ports = cluster.ports
    assert all(map(listens, ports.values()))
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    addresses = {int(local.split(":")[1], 16): local.split(":")[0] for _, local, _, state, *_ in lines if state == "0A"}
    assert addresses[ports["slurmctld"]] == addresses[ports["slurmd"]] == "0100007F"


def test_jobs_outlive_slurmctld(cluster: Cluster, tmp_path: Path) -> None:
    running = cluster.submit("sleep 30; echo restarts=$SLURM_RESTART_COUNT", output=tmp_path / "out")
    waiting = cluster.submit("true", "--array=0-2", "--begin=now+30")
    cluster.wait_for(running, "RUNNING")
    cluster.wait_until_saved()
    before = cluster.pids
    cluster.kill("slurmctld")
    assert list(cluster.pids) == ["munged", "slurmd"]
    with pytest.raises(LocalSlurmError, match=r"^slurmctld ended: "):
        cluster.check()
    assert cluster.run("squeue", check=False).returncode == 1
    cluster.restart()
    assert {name for name, pid in cluster.pids.items() if pid != before[name]} == {"slurmctld"}
    assert cluster.squeue(running) == {running: "RUNNING"}
    assert set(cluster.squeue(waiting)) == {f"{waiting}_{task}" for task in range(3)}
    cluster.wait_for(running, "COMPLETED", timeout=60)
    cluster.wait_for(waiting, "COMPLETED", timeout=60)
    assert (tmp_path / "out").read_text() == "restarts=\n"


@pytest.mark.parametrize("dead", [(), ("slurmctld", "slurmd")], ids=["all daemons run", "daemons are dead"])
def test_the_end_of_the_block_leaves_nothing_behind(slurm: Cluster, tmp_path: Path, dead: tuple[str, ...]) -> None:
    with started() as other:
        out = tmp_path / "out"
        other.submit("trap '' TERM; echo $$; while true; do sleep 1; done", output=out)
        stubborn = int(until(lambda: out.read_text().partition("\n")[0], 20, "the pid of a job that ignores SIGTERM"))
        other.submit("sleep 100", "--array=0-9")
        for name in dead:
            other.kill(name)
        pids = {*other.pids.values(), *other.job_processes()}
        assert stubborn in pids
        assert all(map(is_alive, pids))
    assert not any(map(is_alive, pids))
    assert not any(map(listens, other.ports.values()))
    assert not other.job_processes()
    assert is_alive(slurm.pids["slurmctld"])


@pytest.fixture
def foreground(slurm: Cluster) -> Iterator[subprocess.Popen[str]]:
    """The command line's cluster in a new folder, once it has said how to use it."""
    folder = slurm.conf.parent.with_name(f"{slurm.conf.parent.name}-up")
    command = [sys.executable, "-m", "tests.slurm.local_slurm", "up", "--cpus", "1", "--folder", str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert re.match(r"# ready: a job has run \(\d+\.\d s\)", process.stdout.readline())
        assert process.stdout.readline() == f"export SLURM_CONF={folder}/slurm.conf\n"
        yield process
    finally:
        process.kill()
        shutil.rmtree(folder)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGKILL, -9)], ids=["INT", "TERM", "KILL"]
)
def test_daemons_end_with_the_command_line(
    number: signal.Signals, code: int, slurm: Cluster, foreground: subprocess.Popen[str]
) -> None:
    conf = f"{slurm.conf.parent}-up/slurm.conf"
    command, environment = ["srun", "-n1", "echo", "from the job"], os.environ | {"SLURM_CONF": conf}
    assert subprocess.check_output(command, env=environment, text=True) == "from the job\n"
    daemons = children(foreground.pid)
    assert len(daemons) == 3
    foreground.send_signal(number)
    printed = foreground.communicate(timeout=30)
    assert (foreground.returncode, *printed) == (code, "", "")
    until(lambda: not any(map(is_alive, daemons)), 10, "the daemons to end")


def test_two_clusters_do_not_meet(cluster: Cluster, tmp_path: Path) -> None:
    with started(max_array_size=4, cpus=1) as other:
        assert set(other.ports.values()).isdisjoint(cluster.ports.values())
        ours = cluster.submit("sleep 100")
        theirs = other.submit("echo $SLURM_CONF", "--array=0-3", output=tmp_path / "%a")
        assert other.run("sbatch", "--array=0-4", "--wrap", "true", check=False).returncode == 1
        other.wait_for(theirs, "COMPLETED")
        assert (tmp_path / "3").read_text() == f"{other.conf}\n"
    assert cluster.squeue(ours) == {ours: "RUNNING"}


def test_sacct_answers_with_accounting() -> None:
    with started(accounting=True) as other:
        jobs = {other.submit("true"): "COMPLETED", other.submit("exit 3"): "FAILED"}

        def recorded() -> dict[str, str]:
            lines = other.run("sacct", "-n", "-X", "-P", "-o", "JobID,State", "-j", ",".join(jobs)).stdout
            return dict(line.split("|") for line in lines.splitlines())

        until(lambda: recorded() == jobs, 20, "both records")
        assert list(other.pids) == ["munged", "mariadbd", "slurmdbd", "slurmctld", "slurmd"]
        for name in ("mariadbd", "slurmdbd"):
            other.kill(name)
        other.restart()
        until(lambda: recorded() == jobs, 20, "both records again")


def test_missing_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = ["setpriv", "slurmctld", "srun", "sbatch", "squeue", "scancel", "scontrol", "slurmdbd"]
    for name in [*installed, "mariadb-install-db"]:
        shutil.copy("/bin/true", tmp_path / name)
    monkeypatch.setattr(host, "search_path", lambda: str(tmp_path))
    message = r"missing: munged, slurmd, mariadbd; install with: apt-get install mariadb-server munge slurm-wlm$"
    with pytest.raises(UnavailableError, match=message):
        host.check_programs(True)


def test_a_host_name_off_loopback_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    # the C library reads the name 127 as the address 0.0.0.127, so no name server is asked
    monkeypatch.setattr(socket, "gethostname", lambda: "127.example.org")
    with pytest.raises(UnavailableError, match=r"127 resolves to 0\.0\.0\.127, .*'127\.0\.0\.1 127' first into"):
        host.host_name()
