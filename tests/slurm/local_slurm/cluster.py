"""A cluster as a context manager: its daemons are children of this process, and end with it."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from . import daemons
from .host import LocalSlurmError, check_programs, free_port, host_name, prepare_folder, search_path
from .settings import CHECK_PARTITION, Settings

START_SECONDS = 60.0


class LocalSlurm:
    """``with LocalSlurm(folder) as cluster:`` runs a cluster whose files are in ``folder``, which must be empty or new.

    Programs that get ``cluster.env`` as their environment use it. At the end of the block, and if the process is
    killed, its daemons end; the end of the block also ends its jobs. Raises UnavailableError, before anything is
    started, when the machine lacks something, and LocalSlurmError when a daemon or the first job fails.
    """

    def __init__(self, folder: Path, *, cpus: int = 4, max_array_size: int = 1001, accounting: bool = False) -> None:
        check_programs(accounting)
        names = [*(["slurmdbd"] if accounting else []), "slurmctld", "slurmd"]
        self.ports = {name: free_port() for name in names}
        self._settings = Settings(folder, host_name(), self.ports, cpus, max_array_size)
        self._daemons = daemons.daemons(self._settings)
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self.conf = folder / "slurm.conf"

    def __enter__(self) -> Self:
        prepare_folder(self._settings.folder, self._settings.spool / self._settings.host)
        try:
            self._settings.write_files()
            self.restart()
        except BaseException:  # Ctrl-C too: no daemon may be left, and it is raised again
            self._end()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._end()

    @property
    def env(self) -> dict[str, str]:
        """The environment of this cluster's programs: this process', without what an outer SLURM job may have set."""
        outer = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH", "SRUN"))}
        # MYSQL_UNIX_PORT: where slurmdbd looks for MariaDB
        database = daemons.database_socket(self._settings.folder)
        return outer | {"SLURM_CONF": str(self.conf), "PATH": search_path(), "MYSQL_UNIX_PORT": str(database)}

    @property
    def pids(self) -> dict[str, int]:
        """The process of each daemon that runs, in the order in which they start."""
        running = {name: process.pid for name, process in self._started.items() if process.poll() is None}
        return {name: running[name] for name in self._daemons if name in running}

    def job_processes(self) -> set[int]:
        """The pids of the step daemons and of the jobs' processes, without slurmd."""
        return daemons.job_processes(self._settings.spool, self.conf) - set(self.pids.values())

    def check(self) -> None:
        """Raise LocalSlurmError if a daemon has ended."""
        for name, process in self._started.items():
            if process.poll() is not None:
                raise LocalSlurmError(f"{name} ended: {daemons.last_line(self._log(name))}")

    def restart(self) -> None:
        """Start the daemons that do not run, and return once a job has run."""
        self._started = {name: self._started[name] for name in self.pids}
        for name, daemon in self._daemons.items():
            if name not in self._started:
                folder = self._settings.spool if name == "slurmd" else self._settings.folder
                self._started[name] = daemons.start(daemon, self._log(name), folder, self.env)
                self._wait_for(name, daemon.answers)
        self._wait_for("srun", self._run_a_job)

    def kill(self, target: str, by: signal.Signals = signal.SIGKILL) -> None:
        """Kill one daemon, or with "node" slurmd and all processes of jobs, as a crash of the machine would.

        With SIGTERM a daemon first saves what it knows, as where an administrator restarts it.
        """
        process = self._started["slurmd" if target == "node" else target]
        process.send_signal(by)
        process.wait()
        if target == "node":
            self._kill_jobs()

    def _log(self, name: str) -> Path:
        return self._settings.folder / "logs" / f"{name}.err"

    def _wait_for(self, name: str, answers: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not answers():
            self.check()
            if time.monotonic() > deadline:
                raise LocalSlurmError(f"{name} does not answer: {daemons.last_line(self._log(name))}")
            time.sleep(0.05)

    def _run_a_job(self) -> bool:
        """Whether a job has printed: srun may exit with 0 although nothing was launched."""
        # a job that could not be killed before a crash leaves the node drained; any other node stays as it is
        resume = ["scontrol", "update", f"NodeName={self._settings.host}", "State=RESUME"]
        subprocess.run(resume, env=self.env, capture_output=True, check=False)
        command = ["srun", "-Q", "--immediate=10", "-p", CHECK_PARTITION, "-J", "ready-check", "-n1", "-t1"]
        with self._log("srun").open("ab") as errors:
            done = subprocess.run(
                [*command, "echo", "ready"], env=self.env, cwd=self._settings.folder, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=errors, check=False,
            )  # fmt: skip
        return done.stdout == b"ready\n"

    def _kill_jobs(self) -> None:
        deadline = time.monotonic() + 10
        while (pids := self.job_processes()) and time.monotonic() < deadline:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    def _end(self) -> None:
        """Kill all daemons, those that start jobs first, then what is left of jobs; no state is worth a clean end."""
        for process in reversed(self._started.values()):
            process.kill()
            process.wait()
        self._kill_jobs()
