"""A real SLURM of one machine for the tests below this folder, which all carry the mark ``slurm``."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
UNAVAILABLE = 69


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("slurm")


def local_slurm(command: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The real command line of the cluster."""
    call = [sys.executable, "-m", "tests.slurm.local_slurm", command, "--folder", str(folder), *options]
    return subprocess.run(call, capture_output=True, text=True, check=False, cwd=ROOT, timeout=180)


def until(condition: Callable[[], bool], timeout: float, what: str) -> None:
    """Wait for the condition, and fail with what was waited for."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {timeout:.0f} s")
        time.sleep(0.1)


@dataclass(frozen=True)
class LocalSlurm:
    """A running cluster: what to set in the environment, and how to use and break it."""

    folder: Path

    @property
    def conf(self) -> Path:
        return self.folder / "etc" / "slurm.conf"

    @property
    def env(self) -> dict[str, str]:
        """The environment of a program that is to use this cluster."""
        return os.environ | {"SLURM_CONF": str(self.conf)}

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program on this cluster."""
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, check=False, timeout=120)
        if check and done.returncode:
            pytest.fail(f"{command} exited with {done.returncode}: {done.stderr}")
        return done

    def submit(self, shell: str, *options: str, output: str | Path = "/dev/null") -> str:
        """Submit a shell command with sbatch; returns the job's number."""
        return self.run("sbatch", "--parsable", f"--output={output}", *options, "--wrap", shell).stdout.strip()

    def squeue(self, job: str | None = None) -> dict[str, str]:
        """State by job id (``7``, array tasks as ``7_0``), finished jobs too, of one job or of all."""
        chosen = ["--jobs", job] if job else []
        lines = self.run("squeue", "--noheader", "--array", "--states=all", "--format=%i %T", *chosen).stdout
        return dict(line.split() for line in lines.splitlines())

    def wait_for(self, job: str, *states: str, timeout: float = 30) -> None:
        """Wait until the job, or each task of the array, is in one of the states."""
        until(lambda: set(self.squeue(job).values()) <= set(states), timeout, f"job {job} to be {' or '.join(states)}")

    def wait_until_saved(self) -> None:
        """Wait until slurmctld has written its queue down, which it does up to 5 s after a change.

        A slurmctld killed before that forgets the newest jobs, as on any SLURM.
        """
        time.sleep(6)

    def cancel_all(self) -> None:
        """Cancel every job and wait until none is left."""
        self.run("scancel", f"--user={os.geteuid()}")
        until(lambda: not self.run("squeue", "--noheader").stdout, 20, "the queue to empty")

    def daemons(self) -> dict[str, int]:
        """The pids of the daemons that run."""
        status = json.loads(local_slurm("status", self.folder, "--json").stdout)
        return {name: pid for name, pid in status["daemons"].items() if pid}

    def ports(self) -> dict[str, int]:
        """The cluster's TCP ports, by daemon."""
        ports: dict[str, int] = json.loads(local_slurm("status", self.folder, "--json").stdout)["ports"]
        return ports

    def kill(self, target: str) -> None:
        """SIGKILL ``slurmctld`` or ``slurmd``, or with ``node`` slurmd and all job processes."""
        done = local_slurm("kill", self.folder, target)
        assert done.returncode == 0, done.stderr

    def restart(self) -> None:
        """Start the daemons that do not run."""
        done = local_slurm("up", self.folder)
        assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def started(*options: str, optional: bool = False) -> Iterator[LocalSlurm]:
    """A cluster of its own, stopped at the end.

    Without SLURM on the machine the test is skipped, or fails where CI=true, unless the cluster is ``optional``.
    """
    # not pytest's tmp_path: a Unix socket's path ends at 107 characters
    with tempfile.TemporaryDirectory(prefix="slurm-", dir="/tmp") as folder:
        cluster = LocalSlurm(Path(folder))
        try:
            done = local_slurm("up", cluster.folder, *options)
            if done.returncode == UNAVAILABLE and not optional and os.environ.get("CI") == "true":
                pytest.fail(done.stderr)
            if done.returncode == UNAVAILABLE:
                pytest.skip(done.stderr.strip())
            assert done.returncode == 0, done.stderr
            yield cluster
        finally:
            local_slurm("down", cluster.folder)


@pytest.fixture(scope="session")
def slurm() -> Iterator[LocalSlurm]:
    """The session's cluster of 4 CPUs; SLURM_CONF points every program of the session at it."""
    with started() as cluster, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(cluster.conf))
        yield cluster
