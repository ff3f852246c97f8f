"""Jobs on their way, by submitit and never waited for: in this process, in others of this machine, or by SLURM."""

from __future__ import annotations

import os
import shlex
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeVar

from fvc_exp.config.schema import Search
from fvc_exp.errors import ConfigError
from fvc_exp.io.console import progress_bar
from fvc_exp.sweeps.cache import SweepCache
from fvc_exp.sweeps.claims import process_start
from fvc_exp.sweeps.folder import Member, Plan, SweepFolder
from fvc_exp.sweeps.job import Pack, run_members
from fvc_exp.sweeps.schedulers import LocalQueue, SchedulerError, max_array_size
from fvc_exp.sweeps.submissions import Cluster, Submission, job_ids, write

_CLUSTERS = {
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher": Cluster.slurm,
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher": Cluster.local,
    "hydra._internal.core_plugins.basic_launcher.BasicLauncher": None,
}


Item = TypeVar("Item")


Packs = Sequence[tuple[Member, ...]]


class Launcher(Protocol):
    """Starts members."""

    leaves: bool  # whether its jobs outlive the driver

    def start(self, packs: Packs) -> None:
        """Begin, or queue, all of them."""

    def prepare(self) -> None:
        """Do what the waiting members have in common, before the first of them."""

    def step(self) -> bool:
        """Called again and again while members are on their way; False once nothing waits in here."""


def cluster_of(option: str, settings: Mapping[str, Any]) -> Cluster | None:
    """Where Hydra's chosen launcher, with the settings of its node, sends jobs; None means this process.

    Raises:
        ConfigError: it is a launcher that sweeps cannot be watched with.
    """
    target = settings["_target_"]
    if target not in _CLUSTERS:
        raise ConfigError(
            f"hydra/launcher={option} is not supported: choose slurm, submitit_slurm, local, submitit_local or basic"
        )
    return _CLUSTERS[target]


def make_launcher(sweep: SweepFolder, plan: Plan, cache: SweepCache | None = None) -> Launcher:
    """The launcher that the plan names; ``cache`` is what the members of this process share.

    Raises:
        ConfigError: it is not supported.
    """
    cluster = cluster_of(plan.launcher, plan.launcher_settings)
    if cluster is None:
        grid = plan.members if plan.search == Search.grid.name else ()
        return InProcess(sweep, plan.launcher_settings, grid, cache or SweepCache())
    kinds: dict[Cluster, Callable[[SweepFolder, Mapping[str, Any]], Launcher]] = {
        Cluster.slurm: SlurmLauncher,
        Cluster.local: LocalLauncher,
    }
    return kinds[cluster](sweep, plan.launcher_settings)


def packs_of(members: Sequence[Member], size: int) -> Packs:
    """The members of each job, in the plan's order."""
    return _chunks(members, size)


@dataclass
class InProcess:
    """One after the other, in the driver; those of ``grid`` share their fits."""

    sweep: SweepFolder
    settings: Mapping[str, Any]
    grid: Sequence[Member] = ()
    cache: SweepCache = field(default_factory=SweepCache)
    leaves: bool = field(default=False, init=False)
    _waiting: deque[tuple[Member, ...]] = field(default_factory=deque)

    def start(self, packs: Packs) -> None:
        """Take them on."""
        self._waiting.extend(packs)

    def prepare(self) -> None:
        """Make the fits that the waiting members share."""
        if self.grid and self._waiting:
            with progress_bar("fits") as on_progress:
                self.cache.fit_together(self.grid, [each for pack in self._waiting for each in pack], on_progress)

    def step(self) -> bool:
        """Run the next one."""
        if self._waiting:
            pack, job = self._waiting.popleft(), str(os.getpid())
            own = Submission.new(Cluster.local, str(self.sweep.path), [_ids(pack)])
            write(self.sweep, own.with_jobs([f"{job}.{process_start(os.getpid())}"]))
            run_members(self.sweep, pack, job, self.cache)
        return bool(self._waiting)


@dataclass
class LocalLauncher:
    """Own processes on this machine, as many at a time as it has cores."""

    sweep: SweepFolder
    settings: Mapping[str, Any]
    leaves: bool = field(default=False, init=False)
    _waiting: deque[tuple[Member, ...]] = field(default_factory=deque)
    _jobs: list[str] = field(default_factory=list)

    def start(self, packs: Packs) -> None:
        """Start the first ones."""
        self._waiting.extend(packs)
        self.step()

    def prepare(self) -> None:
        """Each job does everything by itself."""

    def step(self) -> bool:
        """Start the next ones as others end."""
        from joblib import cpu_count

        running = LocalQueue().active(self._jobs)
        for _ in range(min(cpu_count() - len(running), len(self._waiting))):
            self._submit(self._waiting.popleft())
        return bool(self._waiting)

    def _submit(self, pack: tuple[Member, ...]) -> None:
        submission = Submission.new(Cluster.local, self.settings["submitit_folder"], [_ids(pack)])
        executor = make_executor(Cluster.local, self.settings, submission.folder)
        with importable():
            (job,) = executor.submit_array([_job(self.sweep, pack, self.settings)])
        self._jobs.append(f"{job.job_id}.{process_start(int(job.job_id))}")
        write(self.sweep, submission.with_jobs([self._jobs[-1]]))


@dataclass
class SlurmLauncher:
    """Job arrays: each pack is a task of its own."""

    sweep: SweepFolder
    settings: Mapping[str, Any]
    leaves: bool = field(default=True, init=False)

    def start(self, packs: Packs) -> None:
        """Submit everything, in as many arrays as the cluster's MaxArraySize asks for.

        Raises:
            SchedulerError: SLURM does not take a submission.
        """
        arrays = _chunks(packs, max_array_size())
        parallelism = max(1, int(self.settings["array_parallelism"]) // len(arrays)) if arrays else 1
        for array in arrays:
            self._submit(array, {**self.settings, "array_parallelism": parallelism})

    def prepare(self) -> None:
        """Each job does everything by itself."""

    def step(self) -> bool:
        """SLURM starts them by itself."""
        return False

    def _submit(self, packs: Packs, settings: Mapping[str, Any]) -> None:
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        submission = Submission.new(Cluster.slurm, settings["submitit_folder"], [_ids(pack) for pack in packs])
        write(self.sweep, submission)  # if this process dies in sbatch, the token in it leads to the job
        executor = make_executor(Cluster.slurm, settings, submission.folder)
        try:
            with importable():
                jobs = executor.submit_array([_job(self.sweep, pack, settings) for pack in packs])
        except (FailedJobError, FailedSubmissionError) as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise SchedulerError(f"sbatch failed: {lines[-1] if lines else error!r}") from error
        write(self.sweep, submission.with_jobs(job_ids(jobs[0].job_id.partition("_")[0], len(jobs))))


def _chunks(items: Sequence[Item], size: int) -> list[tuple[Item, ...]]:
    return [tuple(items[start : start + size]) for start in range(0, len(items), size)]


def _job(sweep: SweepFolder, pack: tuple[Member, ...], settings: Mapping[str, Any]) -> Pack:
    return Pack(str(sweep.path.resolve()), pack, settings["timeout_min"])


def _ids(pack: Sequence[Member]) -> list[str]:
    return [member.run_id for member in pack]


_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


_LAUNCHER_SCHEMA = "hydra_plugins.hydra_submitit_launcher.config"


def make_executor(cluster: Cluster, settings: Mapping[str, Any], folder: str) -> Any:
    """An executor with the launcher node's parameters, whose jobs leave their files in ``folder``.

    Raises:
        ConfigError: submitit does not take one of the parameters.
    """
    import submitit

    given = {key: value for key, value in settings.items() if key not in ("_target_", "submitit_folder")}
    first = {"slurm_max_num_timeout": given.pop("max_num_timeout")} if "max_num_timeout" in given else {}
    first |= {"slurm_python": job_python()}
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster.value, **first)
        common = import_module(_LAUNCHER_SCHEMA).BaseQueueConf.__dataclass_fields__
        executor.update_parameters(
            **{key if key in common else f"{cluster.value}_{key}": value for key, value in given.items()}
        )
    except (NameError, RuntimeError, ValueError) as error:
        raise ConfigError(f"hydra.launcher: {' '.join(str(error).split())}") from error
    return executor


def job_python() -> str:
    """The shell words that start Python in a job.

    SLURM warns of the time limit by SIGUSR2, up to a minute earlier than asked for: near a short limit that is before
    Python can handle it, and it would kill a job that had time left. Ignored signals stay so until a handler is set.
    """
    return f"""sh -c 'trap "" USR2; exec "$0" "$@"' {shlex.quote(sys.executable)}"""


@contextmanager
def importable() -> Iterator[None]:
    """Let a job's Python find this package where it is not installed but run from a checkout."""
    from submitit.core.utils import environment_variables

    known = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    with environment_variables(PYTHONPATH=os.pathsep.join(dict.fromkeys([*known, str(_PACKAGE_ROOT)]))):
        yield
