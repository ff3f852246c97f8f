"""Which job has which members: one record per submission, written before the job exists, completed with its id."""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Self

from submitit.core.utils import JobPaths

from fvc_exp.io.files import read_json, write_json
from fvc_exp.sweeps.folder import SweepFolder
from fvc_exp.sweeps.schedulers import find_array


class Cluster(StrEnum):
    """Where a submission went; submitit's names."""

    slurm = "slurm"
    local = "local"


@dataclass(frozen=True)
class Submission:
    """Jobs that were submitted together: the members of each, and its id once that is known.

    ``folder`` is submitit's. It contains ``token``, and so does the path of the job script: by that a job can be found
    whose id was not noted.
    """

    token: str
    cluster: Cluster
    folder: str
    submitted: str
    members: list[list[str]]
    jobs: list[str] | None = None

    @classmethod
    def new(cls, cluster: Cluster, folder: str, members: Sequence[Sequence[str]]) -> Self:
        """A submission that is about to be made, in a folder of its own.

        The given folder is taken up to where it varies with the job: submitit makes such a part only after it
        started the job, and a job that begins before that has no place for its log and ends.
        """
        token = secrets.token_hex(8)
        own = JobPaths.get_first_id_independent_folder(folder) / token
        return cls(token, cluster, str(own), datetime.now(UTC).isoformat(), [list(job) for job in members])

    def with_jobs(self, jobs: Iterable[str]) -> Self:
        """The same with its job ids."""
        return replace(self, jobs=list(jobs))

    def log_of(self, job: str) -> Path:
        """Where a job's stderr went."""
        return JobPaths(self.folder, job).stderr


@dataclass(frozen=True)
class Job:
    """The newest job of a member; ``id`` as its queue knows it."""

    id: str
    cluster: Cluster
    log: Path

    @property
    def own_id(self) -> str:
        """The id as the job itself knows it."""
        return self.id.partition(".")[0]


def write_submission(sweep: SweepFolder, submission: Submission) -> None:
    """Keep a submission."""
    write_json(sweep.submissions / f"{submission.token}.json", asdict(submission))


def read_submissions(sweep: SweepFolder) -> list[Submission]:
    """Every submission of a sweep, oldest first."""
    contents = [read_json(path) for path in sweep.submissions.glob("*.json")]
    found = [Submission(**{**content, "cluster": Cluster(content["cluster"])}) for content in contents]
    return sorted(found, key=lambda submission: submission.submitted)


def recover_job_ids(sweep: SweepFolder) -> None:
    """Find the jobs of submissions whose driver died before it could note their ids.

    Raises:
        SchedulerError: SLURM does not answer.
    """
    for submission in read_submissions(sweep):
        if submission.jobs is None and submission.cluster is Cluster.slurm and (job := find_array(submission.token)):
            write_submission(sweep, submission.with_jobs(job_ids(job, len(submission.members))))


def job_ids(first: str, count: int) -> list[str]:
    """The ids of an array's tasks; a single job is no array."""
    return [first] if count == 1 else [f"{first}_{task}" for task in range(count)]


def latest_jobs(submissions: Iterable[Submission]) -> dict[str, Job]:
    """The newest known job of each member that was ever submitted."""
    found: dict[str, Job] = {}
    for submission in submissions:
        for job, members in zip(submission.jobs or [], submission.members, strict=bool(submission.jobs)):
            found |= dict.fromkeys(members, Job(job, submission.cluster, submission.log_of(job.partition(".")[0])))
    return found
