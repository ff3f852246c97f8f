"""A real SLURM of one machine for the tests below this folder, which all carry the mark ``slurm``."""

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import skip_or_fail
from tests.processes import until
from tests.shell import run_process, succeeded
from tests.slurm.local_slurm import LocalSlurm, UnavailableError

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("slurm")


class Cluster(LocalSlurm):
    """A cluster, and how a test uses it."""

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program on this cluster."""
        return succeeded(run_process(*command, env=self.env, timeout=120))

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
        """Wait until slurmctld has saved its queue, which it does up to 5 s after a change.

        A slurmctld killed before that forgets the newest jobs, as on any SLURM.
        """
        time.sleep(6)

    def cancel_all(self) -> None:
        """Cancel every job and wait until none is left."""
        self.run("scancel", f"--user={os.geteuid()}")
        until(lambda: not self.run("squeue", "--noheader").stdout, 20, "the queue to empty")


@contextlib.contextmanager
def started(**options: int) -> Iterator[Cluster]:
    """A cluster of its own with options of LocalSlurm, ended with all its jobs at the end.

    Without SLURM on the machine the test is skipped, or fails where CI=true.
    """
    # not pytest's tmp_path: a Unix socket's path ends at 107 characters
    with tempfile.TemporaryDirectory(prefix="slurm-", dir="/tmp") as folder:
        try:
            cluster = Cluster(Path(folder), **options)
        except UnavailableError as error:
            skip_or_fail(str(error))
        with cluster:
            yield cluster


@pytest.fixture(scope="session")
def slurm() -> Iterator[Cluster]:
    """The session's cluster of 4 CPUs; SLURM_CONF points every program of the session at it."""
    with started() as cluster, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(cluster.conf))
        yield cluster


@pytest.fixture(scope="session")
def accounted() -> Iterator[Cluster]:
    """Another cluster, with accounting."""
    with started(accounting=True) as cluster:
        yield cluster


@pytest.fixture
def cluster(slurm: Cluster, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The session's cluster, or that of ``WITH_AND_WITHOUT``; after the test its daemons run, its queue is empty."""
    chosen = request.getfixturevalue(request.param) if hasattr(request, "param") else slurm
    yield chosen
    chosen.restart()
    chosen.cancel_all()


WITH_AND_WITHOUT = pytest.mark.parametrize("cluster", ["slurm", "accounted"], indirect=True)
