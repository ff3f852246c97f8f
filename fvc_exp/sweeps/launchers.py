"""Start the members of a sweep: in this process, in other processes of this machine, or as jobs of SLURM.

Jobs are submitted by submitit, but not waited for by it: see ``states``.
"""

import math
import os
import secrets
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field, replace
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import submitit
from submitit.core import utils

from fvc_exp.config.schema import Search
from fvc_exp.errors import ConfigError
from fvc_exp.io.console import progress_bar
from fvc_exp.sweeps import claims, queues, schedulers
from fvc_exp.sweeps.folder import Member, Plan, SweepFolder
from fvc_exp.sweeps.job import MemberBatch, run_members
from fvc_exp.sweeps.schedulers import Cluster, Submission, write_submission

if TYPE_CHECKING:
    from fvc_exp.runs.execute import SplitCache

_SUBMITIT = "hydra_plugins.hydra_submitit_launcher"

_CLUSTERS = {
    f"{_SUBMITIT}.submitit_launcher.SlurmLauncher": Cluster.slurm,
    f"{_SUBMITIT}.submitit_launcher.LocalLauncher": Cluster.local,
    "hydra._internal.core_plugins.basic_launcher.BasicLauncher": None,
}

# SLURM warns of the time limit by SIGUSR2, up to a minute earlier than asked for: near a short limit that is before
# Python can handle it, and it would kill a job that had time left. Ignored signals stay so until a handler is set.
JOB_PYTHON = ("sh", "-c", 'trap "" USR2; exec "$0" "$@"', sys.executable)
# Signals are for Python alone: the shell lives on, and leaves its exit code.
_LOCAL_JOB = """
trap : INT TERM HUP
export SUBMITIT_LOCAL_JOB_ID=$$
exec >> "$0/$$_0_log.out" 2>> "$0/$$_0_log.err"
"$@"
echo $? > "$0/$$_exit"
"""

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_T = TypeVar("_T")
# The members of one job.
Batch = tuple[Member, ...]


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
    """Starts members. ``leaves``: its jobs outlive the driver; ``look_seconds`` lie between two looks at them."""

    sweep: SweepFolder
    settings: Mapping[str, Any]
    leaves: ClassVar[bool] = False
    look_seconds: ClassVar[float] = 0.5

    def start(self, jobs: Sequence[Batch]) -> Iterable[str]:
        """Begin, or queue, all of them; gives the names of what a scheduler has taken, each when it has."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Do what the waiting members have in common, before the first of them."""

    def step(self) -> bool:
        """Called again and again while members are on their way; False once nothing waits in here."""
        return False

    def stop(self) -> None:
        """Begin no more, and cancel what has begun."""
        schedulers.cancel(schedulers.latest_jobs(schedulers.read_submissions(self.sweep)).values())


@dataclass
class _OwnQueue(Launcher):
    """Batches that wait in this process; one record names the job of each, and before it has one this process."""

    _waiting: list[Batch] = field(default_factory=list, init=False)
    _record: Submission = field(init=False)

    def start(self, jobs: Sequence[Batch]) -> Iterable[str]:
        """Queue all of them."""
        self._waiting = list(jobs)
        folder = self.settings.get("submitit_folder", str(self.sweep.path))
        self._record = Submission.new(self.sweep, Cluster.local, folder, jobs)
        if jobs:
            self._note([])
        return ()

    def stop(self) -> None:
        """Begin no more, and end what has begun."""
        self._waiting.clear()
        super().stop()

    def _note(self, started: Sequence[str]) -> None:
        queued = [_process_id(os.getpid()) + queues.QUEUED] * len(self._waiting)
        self._record = replace(self._record, jobs=[*started, *queued])
        write_submission(self.sweep, self._record)

    def _take(self, job: str) -> None:
        """The first batch that waits becomes this job."""
        started = len(self._record.members) - len(self._waiting)
        del self._waiting[0]
        self._note([*(self._record.jobs or [])[:started], job])


@dataclass
class InProcessLauncher(_OwnQueue):
    """One after the other, in the driver; those of ``grid`` share their fits."""

    grid: Sequence[Member] = ()
    _cache: "SplitCache | None" = field(default=None, init=False)

    def prepare(self) -> None:
        """Make the fits that the waiting members share."""
        if not self._waiting:
            return
        from fvc_exp.runs.execute import SplitCache  # scikit-learn, which a sweep that is done has no use for

        self._cache = SplitCache()
        if self.grid:
            waiting = [each.config for batch in self._waiting for each in batch]
            with progress_bar("fits") as on_progress:
                planned = [(each.config, each.data_sha256) for each in self.grid]
                self._cache.fit_together(planned, waiting, on_progress)

    def step(self) -> bool:
        """Run the next one."""
        if self._waiting:
            batch = self._waiting[0]
            self._take(_process_id(os.getpid()))
            run_members(self.sweep, batch, str(os.getpid()), self._cache)
        return bool(self._waiting)


@dataclass
class LocalLauncher(_OwnQueue):
    """Own processes on this machine, as many at a time as it has cores."""

    _running: list[subprocess.Popen[bytes]] = field(default_factory=list, init=False)

    def step(self) -> bool:
        """Start the next ones as others end."""
        from joblib import cpu_count

        self._running = [process for process in self._running if process.poll() is None]
        for _ in range(min(cpu_count() - len(self._running), len(self._waiting))):
            self._begin(self._waiting[0])
        return bool(self._waiting)

    def _begin(self, batch: Batch) -> None:
        folder, minutes = Path(self._record.folder), float(self.settings["timeout_min"])
        folder.mkdir(parents=True, exist_ok=True)
        delayed = utils.DelayedSubmission(MemberBatch(str(self.sweep.path.resolve()), batch, minutes))
        delayed.set_timeout(math.ceil(minutes), 0)
        pickled = folder / f"{secrets.token_hex(8)}.pkl"
        delayed.dump(pickled)
        limit = ["timeout", "--foreground", "--signal=KILL", str(60 * minutes)]  # where it does not end by itself
        command = [*limit, *JOB_PYTHON, "-u", "-m", "submitit.core._submit", str(folder)]
        process = subprocess.Popen(
            ["sh", "-c", _LOCAL_JOB, str(folder), *command],
            env={**os.environ, "PYTHONPATH": python_path(), "SUBMITIT_EXECUTOR": "local"},
            start_new_session=True,
        )
        self._running.append(process)
        self._take(_process_id(process.pid))
        utils.JobPaths(folder, str(process.pid)).move_temporary_file(pickled, "submitted_pickle")


@dataclass
class SlurmLauncher(Launcher):
    """Job arrays: each batch is a task of its own; SLURM starts them by itself."""

    leaves: ClassVar[bool] = True
    look_seconds: ClassVar[float] = 2.0  # a scheduler is shared by many people

    def start(self, jobs: Sequence[Batch]) -> Iterable[str]:
        """Submit everything, in as many arrays as the cluster's MaxArraySize asks for.

        Raises:
            SchedulerError: SLURM does not take a submission.
        """
        arrays, queued = batches(jobs, queues.max_array_size()), 0
        for array in arrays:
            yield self._submit_array(array, max(1, int(self.settings["array_parallelism"]) // len(arrays)), queued)
            queued += sum(map(len, array))

    def _submit_array(self, jobs: Sequence[Batch], parallelism: int, queued: int) -> str:
        submission = Submission.new(self.sweep, Cluster.slurm, self.settings["submitit_folder"], jobs)
        submission = replace(submission, settings=dict(self.settings))
        write_submission(self.sweep, submission)  # if this process dies in sbatch, the token in it leads to the job
        executor = make_executor({**self.settings, "array_parallelism": parallelism}, submission.folder)
        sweep, minutes = str(self.sweep.path.resolve()), self.settings["timeout_min"]
        try:
            with redirect_stderr(StringIO()), utils.environment_variables(PYTHONPATH=python_path()):
                ids = [job.job_id for job in executor.submit_array([MemberBatch(sweep, job, minutes) for job in jobs])]
        except (utils.FailedJobError, utils.FailedSubmissionError) as error:  # its text, which submitit prints as well
            text = " ".join(str(error).replace("sbatch: error: ", "").split())
            told = f"; {queued} configurations are queued, and the same command goes on later" if queued else ""
            raise queues.SchedulerError(f"sbatch failed: {text}{told}") from error
        array = ids[0].partition("_")[0]
        write_submission(self.sweep, replace(submission, jobs=schedulers.job_ids(array, len(ids))))
        return f"array {array} ({len(ids)} tasks)" if len(ids) > 1 else f"job {array}"


def python_path() -> str:
    """A job's Python must find this package also where it is not installed but run from a checkout."""
    known = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return os.pathsep.join(dict.fromkeys([*known, str(_PACKAGE_ROOT)]))


def _process_id(pid: int) -> str:
    return f"{pid}.{claims.process_start(pid)}"


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


def make_executor(settings: Mapping[str, Any], folder: str) -> Any:
    """An executor for SLURM with the launcher node's parameters, whose jobs leave their files in ``folder``.

    Raises:
        ConfigError: submitit does not take one of the parameters.
    """
    given = {key: value for key, value in settings.items() if key not in ("_target_", "submitit_folder")}
    first = {"slurm_max_num_timeout": given.pop("max_num_timeout"), "slurm_python": shlex.join(JOB_PYTHON)}
    if given.get("mem_per_cpu") or given.get("mem_per_gpu"):
        del given["mem_gb"]  # SLURM takes one of them
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=Cluster.slurm.value, **first)
        common = import_module(f"{_SUBMITIT}.config").BaseQueueConf.__dataclass_fields__
        executor.update_parameters(**{key if key in common else f"slurm_{key}": value for key, value in given.items()})
    except (NameError, RuntimeError, ValueError) as error:
        raise ConfigError(f"hydra.launcher: {' '.join(str(error).split())}") from error
    return executor
