"""The files of a finished run, as far as they are there."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from fvc_exp.errors import ArtifactError
from fvc_exp.runfolder import RunFolder, read_json
from fvc_exp.tables import read_own


@dataclass(frozen=True)
class RunFiles:
    """What a report is made of; None where a file is not there.

    ``path`` is as the user named it, ``config`` the text of ``config.yaml``, ``command`` what made the run, if a shell
    can do that again.
    """

    path: Path
    results: dict[str, Any]
    folds: list[dict[str, Any]]
    status: dict[str, Any]
    provenance: dict[str, Any]
    config: str
    data_name: str
    command: str | None
    audit: dict[str, Any] | None
    predictions: pl.DataFrame | None
    coefficients: pl.DataFrame | None

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name

    @property
    def parameters(self) -> str:
        """The model in a few words."""
        shown = ("penalty", "C", "l1_ratio", "solver", "class_weight")
        known = {name: self.results["parameters"].get(name) for name in shown}
        return ", ".join(f"{name}={value}" for name, value in known.items() if value is not None)


def read_files(path: Path) -> RunFiles:
    """Read a run folder.

    Raises:
        ArtifactError: the run is not finished, trained nothing, or a file is broken.
    """
    folder = RunFolder(path)
    status = read_json(folder.status)
    if status.get("state") != "done":
        raise ArtifactError(f"{path}: the run is {status.get('state')!r}; only a finished one can be reported")
    if not folder.results.exists():
        raise ArtifactError(f"{path}: has no {folder.results.name}; only training runs can be reported")
    provenance, config = read_json(folder.provenance), _text(folder.config)
    return RunFiles(
        path=path,
        results=read_json(folder.results),
        folds=read_json(folder.metrics),
        status=status,
        provenance=provenance,
        config=config,
        data_name=_data_name(folder.config, config),
        command=shell_command(provenance["command"]),
        audit=read_json(folder.audit) if folder.audit.exists() else None,
        predictions=read_own(folder.predictions) if folder.predictions.exists() else None,
        coefficients=read_own(folder.coefficients) if folder.coefficients.exists() else None,
    )


def shell_command(arguments: list[str]) -> str | None:
    """The line to type for the arguments of a process, or None if that process was not ``run.py``."""
    if not arguments or Path(arguments[0]).name != "run.py":
        return None
    return shlex.join(["python", "run.py", *arguments[1:]])


def _data_name(path: Path, config: str) -> str:
    try:
        return str(yaml.safe_load(config)["data"]["name"])
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: names no data: {error!r}") from error


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path}: cannot be read: {error}") from error
