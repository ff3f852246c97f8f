"""Start the members of a sweep: in this process, in other processes of this machine, or as jobs of SLURM.

Jobs are submitted by submitit, but not waited for by it: see ``states``.
"""

import os
import shlex
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import submitit
from submitit.core import utils

from fvc_exp.config.schema import Search
from fvc_exp.errors import ConfigError
from fvc_exp.io.console import progress_bar
from fvc_exp.sweeps import claims, schedulers
from fvc_exp.sweeps.folder import Member, Plan, SweepFolder
from fvc_exp.sweeps.job import MemberBatch, SweepCache, run_members
from fvc_exp.sweeps.schedulers import Cluster, Submission, write_submission

_SUBMITIT = "hydra_plugins.hydra_submitit_launcher"

_CLUSTERS = {
    f"{_SUBMITIT}.submitit_launcher.SlurmLauncher": Cluster.slurm,
    f"{_SUBMITIT}.submitit_launcher.LocalLauncher": Cluster.local,
    "hydra._internal.core_plugins.basic_launcher.BasicLauncher": None,
}

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_T = TypeVar("_T")
Batch = tuple[Member, ...]
"""The members of one job."""


def cluster_of(option: str, settings: Mapping[str, Any]) -> Cluster | None:
    """Where Hydra's chosen launcher, with the settings of its node, sends jobs; None means this process.

    Raises:
        ConfigError: it is a launcher that sweeps cannot be watched with.
    """
    target = settings.get("_target_")
    if target not in _CLUSTERS:
        raise ConfigError(
            f"hydra/launcher={option} is not supported: choose slurm, submitit_slurm, local, submitit_local or basic"
        )
    return _CLUSTERS[target]


def batches(items: Sequence[_T], size: int) -> list[tuple[_T, ...]]:
    """The items in their order, ``size`` at a time; the last batch may be smaller."""
    return [tuple(items[start : start + size]) for start in range(0, len(items), size)]


@dataclass
class Launcher:
    """Starts members. ``leaves``: its jobs outlive the driver."""

    sweep: SweepFolder
    settings: Mapping[str, Any]
    leaves: ClassVar[bool] = False
    _waiting: deque[Batch] = field(default_factory=deque, init=False)

    def start(self, jobs: Sequence[Batch]) -> None:
        """Begin, or queue, all of them."""
        self._waiting.extend(jobs)

    def prepare(self) -> None:
        """Do what the waiting members have in common, before the first of them."""

    def step(self) -> bool:
        """Called again and again while members are on their way; False once nothing waits in here."""
        return bool(self._waiting)

    def _submit(self, submission: Submission, jobs: Sequence[Batch], **settings: Any) -> list[str]:
        """Hand jobs to submitit; returns their ids."""
        executor = make_executor(submission.cluster, {**self.settings, **settings}, submission.folder)
        sweep, minutes = str(self.sweep.path.resolve()), self.settings["timeout_min"]
        # A job's Python must find this package also where it is not installed but run from a checkout.
        known = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
        with utils.environment_variables(PYTHONPATH=os.pathsep.join(dict.fromkeys([*known, str(_PACKAGE_ROOT)]))):
            submitted = executor.submit_array([MemberBatch(sweep, batch, minutes) for batch in jobs])
        return [str(job.job_id) for job in submitted]


@dataclass
class InProcessLauncher(Launcher):
    """One after the other, in the driver; those of ``grid`` share their fits."""

    grid: Sequence[Member] = ()
    cache: SweepCache = field(default_factory=SweepCache)

    def prepare(self) -> None:
        """Make the fits that the waiting members share."""
        if self.grid and self._waiting:
            waiting = {each.run_id: each for batch in self._waiting for each in batch}
            grid = [waiting.get(each.run_id, each) for each in self.grid]
            with progress_bar("fits") as on_progress:
                self.cache.fit_together(grid, waiting.values(), on_progress)

    def step(self) -> bool:
        """Run the next one."""
        if self._waiting:
            batch, job = self._waiting.popleft(), str(os.getpid())
            submission = Submission.new(self.sweep, Cluster.local, str(self.sweep.path), [batch])
            write_submission(self.sweep, submission.with_jobs([f"{job}.{claims.process_start(os.getpid())}"]))
            run_members(self.sweep, batch, job, self.cache)
        return bool(self._waiting)


@dataclass
class LocalLauncher(Launcher):
    """Own processes on this machine, as many at a time as it has cores."""

    _jobs: list[str] = field(default_factory=list, init=False)

    def start(self, jobs: Sequence[Batch]) -> None:
        """Start the first ones."""
        super().start(jobs)
        self.step()

    def step(self) -> bool:
        """Start the next ones as others end."""
        from joblib import cpu_count

        running = schedulers.LocalQueue().active(self._jobs)
        for _ in range(min(cpu_count() - len(running), len(self._waiting))):
            batch = self._waiting.popleft()
            submission = Submission.new(self.sweep, Cluster.local, self.settings["submitit_folder"], [batch])
            (pid,) = self._submit(submission, [batch])
            self._jobs.append(f"{pid}.{claims.process_start(int(pid))}")
            write_submission(self.sweep, submission.with_jobs([self._jobs[-1]]))
        return bool(self._waiting)


@dataclass
class SlurmLauncher(Launcher):
    """Job arrays: each batch is a task of its own; SLURM starts them by itself."""

    leaves: ClassVar[bool] = True

    def start(self, jobs: Sequence[Batch]) -> None:
        """Submit everything, in as many arrays as the cluster's MaxArraySize asks for.

        Raises:
            SchedulerError: SLURM does not take a submission.
        """
        arrays, queued = batches(jobs, schedulers.max_array_size()), 0
        for array in arrays:
            self._submit_array(array, max(1, int(self.settings["array_parallelism"]) // len(arrays)), queued)
            queued += sum(map(len, array))

    def _submit_array(self, jobs: Sequence[Batch], parallelism: int, queued: int) -> None:
        submission = Submission.new(self.sweep, Cluster.slurm, self.settings["submitit_folder"], jobs)
        write_submission(self.sweep, submission)  # if this process dies in sbatch, the token in it leads to the job
        try:
            with redirect_stderr(StringIO()):  # where submitit prints the text that is told below
                ids = self._submit(submission, jobs, array_parallelism=parallelism)
        except (utils.FailedJobError, utils.FailedSubmissionError) as error:
            text = " ".join(str(error).replace("sbatch: error: ", "").split())
            told = f"; {queued} configurations are queued, and the same command goes on later" if queued else ""
            raise schedulers.SchedulerError(f"sbatch failed: {text}{told}") from error
        write_submission(self.sweep, submission.with_jobs(schedulers.job_ids(ids[0].partition("_")[0], len(ids))))


def make_launcher(sweep: SweepFolder, plan: Plan) -> Launcher:
    """The launcher that the plan names.

    Raises:
        ConfigError: it is not supported.
    """
    cluster = cluster_of(plan.launcher, plan.launcher_settings)
    if cluster is Cluster.slurm:
        return SlurmLauncher(sweep, plan.launcher_settings)
    if cluster is Cluster.local:
        return LocalLauncher(sweep, plan.launcher_settings)
    grid = plan.members if plan.config.search.name is Search.grid else ()
    return InProcessLauncher(sweep, plan.launcher_settings, grid)


def make_executor(cluster: Cluster, settings: Mapping[str, Any], folder: str) -> Any:
    """An executor with the launcher node's parameters, whose jobs leave their files in ``folder``.

    Raises:
        ConfigError: submitit does not take one of the parameters.
    """
    given = {key: value for key, value in settings.items() if key not in ("_target_", "submitit_folder")}
    first = {"slurm_max_num_timeout": given.pop("max_num_timeout")} if "max_num_timeout" in given else {}
    first |= {"slurm_python": job_python()}
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster.value, **first)
        common = import_module(f"{_SUBMITIT}.config").BaseQueueConf.__dataclass_fields__
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
