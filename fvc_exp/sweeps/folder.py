"""A sweep's folder and its plan: which configurations it has, and what became of the others that were asked for."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fvc_exp.config.schema import Config, Stage
from fvc_exp.errors import ArtifactError
from fvc_exp.io import files, run_folder

MaybeStatus = dict[str, Any] | None  # the content of a status file, if there is one


@dataclass(frozen=True)
class Member:
    """One distinct configuration: its id, how it was asked for, the parameters that count, and all of it.

    ``data_sha256`` is the content hash of the rows it trains on; None for a stage that trains nothing. ``code_hash`` is
    that of the code that planned it, and ``again`` that it is to run although an earlier job finished it.
    """

    run_id: run_folder.RunId
    overrides: list[str]
    parameters: dict[str, Any]
    data_sha256: str | None
    config: Config
    code_hash: str = ""
    again: bool = False

    @property
    def trains(self) -> bool:
        """Whether the run must leave metrics to count as done."""
        return self.config.stage in (Stage.train, Stage.all)


@dataclass(frozen=True)
class Refused:
    """A requested configuration that cannot run, and why."""

    overrides: list[str]
    reason: str


@dataclass(frozen=True)
class Duplicate:
    """A requested configuration that has the same effect as a member."""

    overrides: list[str]
    run_id: str


@dataclass(frozen=True)
class Plan:
    """Everything that was requested, and the launcher option with its node of settings.

    ``config`` is that of the first configuration as the newest command gave it, with its ``sweep`` and other settings
    that are none of a member's.
    ``common`` holds the overrides that all configurations share; the others name only what differs between them.
    """

    command: list[str]
    common: list[str]
    launcher: str
    launcher_settings: dict[str, Any]
    config: Config
    members: list[Member]
    invalid: list[Refused]
    duplicates: list[Duplicate]

    @property
    def requested(self) -> int:
        """How many configurations the command asked for."""
        return len(self.members) + len(self.invalid) + len(self.duplicates)


class MemberFolder(run_folder.RunFolder):
    """A run folder that also keeps who works on it, and what earlier attempts left."""

    lost = run_folder.FileName("lost.json")  # what a driver found out about a job that ended without a status

    @property
    def attempts(self) -> Path:
        """What earlier attempts left: no file of this one."""
        return self.path / "attempts"


class SweepFolder:
    """Names of all files of a sweep."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.plan = path / "plan.json"
        self.lock = path / ".lock"
        self.runs = path / "runs"
        self.submissions = path / "submissions"
        self.results = path / "results.parquet"
        self.results_csv = path / "results.csv"
        self.folds = path / "results_folds.parquet"
        self.leaderboard = path / "leaderboard.csv"
        self.best = path / "best"

    def member(self, run_id: str) -> MemberFolder:
        """The folder of one configuration."""
        return MemberFolder(self.runs / run_id)

    def make(self) -> None:
        """Make the folders.

        Raises:
            ArtifactError: they cannot be made.
        """
        for folder in (self.runs, self.submissions):
            files.make_folder(folder)

    def write_plan(self, plan: Plan) -> None:
        """Replace the plan."""
        files.write_json(self.plan, asdict(plan))
        files.sync_folder(self.path)

    def read_plan(self) -> Plan:
        """The plan as the last driver left it.

        Raises:
            ArtifactError: this is no sweep folder, or its plan was written by another version.
        """
        if not self.plan.exists():
            files.require_folder(self.path)
            raise ArtifactError(f"{self.path}: is no sweep: it holds no {self.plan.name}")
        try:
            plan: Plan = files.read_json(self.plan, Plan)
        except ArtifactError as error:
            raise ArtifactError(f"{error}; was it written by this version of fvc-exp?") from error
        for folder in (self.runs, self.submissions, self.best):
            if folder.is_symlink():
                raise ArtifactError(f"{folder}: is a link; it must be a folder")
        return plan


def finished(folder: MemberFolder, member: Member, job: str | None, status: MaybeStatus) -> MaybeStatus:
    """The ``status`` of a member if it needs no further run, else None; ``job`` is its newest job.

    A training run is finished for good, since its id covers its data, unless that job is to run it ``again``. The other
    stages look at their videos in every job, and skip by themselves what they did before.
    """
    if status is None or status["state"] != "done":
        return None
    if (member.again or not member.trains) and job not in (None, status.get("job")):
        return None
    return status if not member.trains or _is_whole(folder, status) else None


def read_status(path: Path) -> MaybeStatus:
    """The content of a status or lost file; None if it is missing or is not such JSON."""
    try:
        return files.checked_json(files.read_bytes(path), path, run_folder.Status)
    except ArtifactError:
        return None


def _is_whole(folder: MemberFolder, status: dict[str, Any]) -> bool:
    """Whether each file is there with the size that the status lists, and what every run has."""
    listed = status.get("files", {})
    try:
        for name, facts in listed.items():
            folder.check(name, facts)
        needed = (folder.metrics, folder.results)
        return all(path.name in listed if listed else files.read_json(path) for path in needed)
    except ArtifactError:
        return False
