"""A sweep's folder and its plan: which configurations it has, and what became of the others that were asked for."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from fvc_exp.config.schema import Config
from fvc_exp.config.validate import to_typed
from fvc_exp.errors import ArtifactError
from fvc_exp.io.files import read_json, require_folder, write_json
from fvc_exp.io.run_folder import FileName, RunFolder

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Member:
    """One distinct configuration: its id, how it was asked for, what counts of it, and all of it as plain data.

    ``data_sha256`` is the content hash of the rows it trains on; None for a stage that trains nothing.
    """

    run_id: str
    overrides: list[str]
    parameters: dict[str, Any]
    data_sha256: str | None
    config: dict[str, Any]

    def typed(self) -> Config:
        """The configuration that the run gets."""
        return self._typed

    @cached_property
    def _typed(self) -> Config:
        return to_typed(OmegaConf.create(self.config))

    @property
    def trains(self) -> bool:
        """Whether the run must leave metrics to count as done."""
        return self.config["stage"]["name"] in ("train", "all")


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

    ``common`` holds the overrides that all configurations share; the others name only what differs between them.
    """

    command: list[str]
    common: list[str]
    launcher: str
    launcher_settings: dict[str, Any]
    pack: int
    plots: bool
    members: list[Member]
    invalid: list[Refused]
    duplicates: list[Duplicate]
    choice: str = "best"
    search: str = "none"

    @property
    def requested(self) -> int:
        """How many configurations the command asked for."""
        return len(self.members) + len(self.invalid) + len(self.duplicates)


class MemberFolder(RunFolder):
    """A run folder that also keeps who works on it, and what earlier attempts left."""

    lost = FileName("lost.json")  # what a driver found out about a job that could not say it itself

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
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ArtifactError(f"{folder}: cannot be made: {os.strerror(error.errno or 0)}") from error

    def write_plan(self, plan: Plan) -> None:
        """Replace the plan."""
        write_json(self.plan, asdict(plan))

    def read_plan(self) -> Plan:
        """The plan as the last driver left it.

        Raises:
            ArtifactError: this is no sweep folder, or its plan was written by another version.
        """
        if not self.plan.exists():
            require_folder(self.path)
            raise ArtifactError(f"{self.path}: is no sweep: it holds no {self.plan.name}")
        return _plan(self.plan, read_json(self.plan))


def _plan(path: Path, content: Mapping[str, Any]) -> Plan:
    try:
        plain = {
            field.name: content[field.name]
            for field in fields(Plan)
            if field.default is MISSING or field.name in content
        }
        plain["members"] = [Member(**each) for each in plain["members"]]
        plain["invalid"] = [Refused(**each) for each in plain["invalid"]]
        plain["duplicates"] = [Duplicate(**each) for each in plain["duplicates"]]
    except (KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: was not written by this version of fvc-exp: {error!r}") from error
    return Plan(**plain)


def finished(folder: MemberFolder, member: Member, job: str | None) -> dict[str, Any] | None:
    """The status of a member that needs no further run, by this newest job of it, else None.

    What trains is finished for good, since its id covers its data. The other stages look at their videos every time,
    and skip what they did before on their own.
    """
    status = read_status(folder.status)
    if status is None or status["state"] != "done":
        return None
    if member.trains:
        return status if has_metrics(folder) else None
    return status if job is None or status.get("job") == job else None


def read_status(path: Path) -> dict[str, Any] | None:
    """The content of a status or lost file; None if it is missing, or no JSON of ours."""
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return content if isinstance(content, dict) and "state" in content else None


def has_metrics(folder: MemberFolder) -> bool:
    """Whether the run left metrics and results that can be read."""
    try:
        return all(json.loads(path.read_bytes()) for path in (folder.metrics, folder.results))
    except (FileNotFoundError, ValueError):
        return False
