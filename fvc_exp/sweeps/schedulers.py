"""The jobs of a sweep: which members each has, and how to ask for all of them.

One record per submission is written before its jobs exist, and completed with their ids.
"""

import logging
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from submitit.core.utils import JobPaths

from fvc_exp.errors import ArtifactError, ConfigError
from fvc_exp.io import files
from fvc_exp.sweeps.folder import Member, SweepFolder
from fvc_exp.sweeps.queues import LocalQueue, SlurmQueue, find_array

log = logging.getLogger(__name__)


# Where a submission went; submitit's names.
Cluster = StrEnum("Cluster", "slurm local")

QUEUES: Mapping[Cluster, SlurmQueue | LocalQueue] = {Cluster.slurm: SlurmQueue(), Cluster.local: LocalQueue()}


@dataclass(frozen=True)
class Submission:
    """Jobs that were submitted together: the members of each, and its id once that is known.

    ``folder`` is submitit's. Its path, and so that of the job script, contains ``token``: by that a job whose id was
    not written down can be found. ``number`` counts the submissions of the sweep, and ``again`` says that members run
    which earlier jobs finished.
    """

    token: str
    cluster: Cluster
    folder: str
    members: list[list[str]]
    number: int = 0
    again: bool = False
    jobs: list[str] | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def new(cls, sweep: SweepFolder, cluster: Cluster, folder: str, jobs: Sequence[Sequence[Member]]) -> Self:
        """A submission that is about to be made, in a folder of its own. Clocks of several login nodes may disagree.

        Of the given folder only the part before the job's id is used: submitit makes the rest after it started the
        job, and a job that begins before that cannot write its log and ends.
        """
        token = secrets.token_hex(8)
        own = JobPaths.get_first_id_independent_folder(folder) / token
        number, again = len(list(sweep.submissions.glob("*.json"))) + 1, any(each.again for job in jobs for each in job)
        return cls(token, cluster, str(own), [[each.run_id for each in job] for job in jobs], number, again)


@dataclass(frozen=True)
class Job:
    """The newest job of a member; ``id`` as its queue knows it.

    ``again``: it runs members that are done; ``is_shared``: with other members.
    """

    id: str
    cluster: Cluster
    log: Path
    again: bool = False
    is_shared: bool = False

    @property
    def own_id(self) -> str:
        """The id as the job itself knows it."""
        return self.id.partition(".")[0]


def write_submission(sweep: SweepFolder, submission: Submission) -> None:
    """Write the record of a submission."""
    files.write_json(sweep.submissions / f"{submission.token}.json", asdict(submission))
    files.sync_folder(sweep.submissions)


def read_submissions(sweep: SweepFolder) -> list[Submission]:
    """Every submission of a sweep, oldest first; a broken record, as a full disk leaves it, is a warning."""
    found: list[Submission] = []
    for path in sweep.submissions.glob("*.json"):
        try:
            found.append(files.read_json(path, Submission))
        except ArtifactError as error:
            log.warning("%s; its jobs are not known", error)
    return sorted(found, key=lambda submission: submission.number)


def recover_job_ids(sweep: SweepFolder) -> None:
    """Find the jobs of submissions whose driver died before it could note their ids.

    Raises:
        SchedulerError: SLURM does not answer.
    """
    for submission in read_submissions(sweep):
        if submission.jobs is None and submission.cluster is Cluster.slurm and (job := find_array(submission.token)):
            write_submission(sweep, replace(submission, jobs=job_ids(job, len(submission.members))))


def job_ids(first: str, count: int) -> list[str]:
    """The ids of an array's tasks; a single job is no array."""
    return [first] if count == 1 else [f"{first}_{task}" for task in range(count)]


def latest_jobs(submissions: Iterable[Submission]) -> dict[str, Job]:
    """The newest known job of each member that was ever submitted."""
    found: dict[str, Job] = {}
    for submission in submissions:
        for job, members in zip(submission.jobs or [], submission.members, strict=bool(submission.jobs)):
            log = JobPaths(submission.folder, job.partition(".")[0]).stderr
            shared = len(members) > 1
            found |= dict.fromkeys(members, Job(job, submission.cluster, log, submission.again, shared))
    return found


def jobs_of(sweep: SweepFolder, names: Sequence[str]) -> list[Job]:
    """The newest jobs of the named members, each by its run id or the beginning of it; of all if none is named.

    Raises:
        ConfigError: a name is not the beginning of exactly one run id.
    """
    ids = [member.run_id for member in sweep.read_plan().members]
    for name in names:
        if sum(run_id.startswith(name) for run_id in ids) != 1:
            raise ConfigError(f"{name} does not begin one run id of this sweep; fvc status {sweep.path} lists them")
    jobs = latest_jobs(read_submissions(sweep))
    return [job for run_id, job in jobs.items() if not names or run_id.startswith(tuple(names))]


def cancel(jobs: Iterable[Job]) -> list[str]:
    """Cancel those that have not ended; returns their ids.

    Raises:
        SchedulerError: a queue does not answer.
    """
    ids = [(job.cluster, job.id) for job in jobs]
    active = {cluster: QUEUES[cluster].active([job for where, job in ids if where is cluster]) for cluster in Cluster}
    for cluster, found in active.items():
        QUEUES[cluster].cancel(found)
    return [job for found in active.values() for job in found]


def kept_settings(sweep: SweepFolder, waiting: Collection[str], settings: Mapping[str, Any]) -> str:
    """In what the launcher settings of jobs that wait differ from these, such as ``mem_gb=2 (now 8)``; or empty."""
    submissions = read_submissions(sweep)
    newest = {run_id: each.settings for each in submissions for batch in each.members for run_id in batch}
    waiting_with = [setting for run_id in waiting for setting in newest[run_id].items()]
    changed = [(key, value) for key, value in waiting_with if settings.get(key, value) != value]
    return ", ".join(sorted({f"{key}={value} (now {settings[key]})" for key, value in changed}))
