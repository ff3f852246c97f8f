"""A sweep's folder and its plan: which configurations it has, and what became of the others that were asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from fvc_exp.config import Config, to_typed
from fvc_exp.errors import ArtifactError
from fvc_exp.runfolder import FileName, RunFolder, read_json, require_folder, write_json


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
