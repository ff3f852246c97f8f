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


def test_up_is_ready_while_jobs_take_every_cpu(cluster: Cluster) -> None:
    job = cluster.submit("sleep 100", "--cpus-per-task=4")
    cluster.wait_for(job, "RUNNING")
    cluster.restart()
    waiting = cluster.submit("sleep 100")
    time.sleep(2)
    assert cluster.squeue(job) | cluster.squeue(waiting) == {job: "RUNNING", waiting: "PENDING"}


def test_all_sockets_are_on_loopback(cluster: Cluster) -> None:
    ports = cluster.ports
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    addresses = {int(local.split(":")[1], 16): local.split(":")[0] for _, local, _, state, *_ in lines if state == "0A"}
    assert addresses[ports["slurmctld"]] == addresses[ports["slurmd"]] == "0100007F"


@pytest.mark.parametrize("dead", [(), ("slurmctld", "slurmd")], ids=["all daemons run", "daemons are dead"])
def test_the_end_of_the_block_leaves_nothing_behind(cluster: Cluster, tmp_path: Path, dead: tuple[str, ...]) -> None:
    ours = cluster.submit("sleep 100")
    cluster.wait_for(ours, "RUNNING")
    with started() as other:
        assert set(other.ports.values()).isdisjoint(cluster.ports.values())
        out = tmp_path / "out"
        other.submit("trap '' TERM; echo $$; while true; do sleep 1; done", output=out)
        stubborn = int(until(lambda: out.read_text().partition("\n")[0], 20, "the pid of a job that ignores SIGTERM"))
        other.submit("sleep 100", "--array=0-9")
        for name in dead:
            other.kill(name)
            with pytest.raises(LocalSlurmError, match=r"^slurmctld ended: "):
                other.check()
        pids = {*other.pids.values(), *other.job_processes()}
        assert stubborn in pids
        assert all(map(is_alive, pids))
    assert not any(map(is_alive, pids))
    assert not any(map(host.is_taken, other.ports.values()))
    assert not other.job_processes()
    assert cluster.squeue(ours) == {ours: "RUNNING"}


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


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGKILL, -9)], ids=["INT", "TERM", "KILL"]
)
def test_daemons_end_with_the_command_line(
    number: signal.Signals, code: int, slurm: Cluster, foreground: subprocess.Popen[str]
) -> None:
    conf = f"{slurm.conf.parent}-up/slurm.conf"
    command, environment = ["srun", "-n1", "echo", "from the job"], os.environ | {"SLURM_CONF": conf}
    assert subprocess.check_output(command, env=environment, text=True) == "from the job\n"
    children = Path(f"/proc/{foreground.pid}/task/{foreground.pid}/children")
    daemons = [int(child) for child in children.read_text().split()]
    assert len(daemons) == 3
    foreground.send_signal(number)
    printed = foreground.communicate(timeout=30)
    assert (foreground.returncode, *printed) == (code, "", "")
    until(lambda: not any(map(is_alive, daemons)), 10, "the daemons to end")


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
