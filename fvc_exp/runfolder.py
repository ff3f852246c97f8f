"""A run folder's file names, and how a file gets there whole or not at all. Needs no scientific library."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO

import yaml
from omegaconf import DictConfig

from fvc_exp.config import Config, to_typed
from fvc_exp.errors import ArtifactError
from fvc_exp.files import atomic_file

_YAML = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the same text, where there is a compiler for it much sooner


class FileName:
    """A file of a run folder: on a folder, its path. Made when asked for; views have thousands of folders."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, folder: RunFolder, _owner: type[RunFolder]) -> Path:
        return folder.path / self.name


class RunFolder:
    """Names of all files of one run. ``status.json`` comes last: without it a run is not finished."""

    config = FileName("config.yaml")
    metrics = FileName("metrics.json")
    results = FileName("results.json")
    predictions = FileName("predictions.parquet")
    folds = FileName("folds.parquet")
    audit = FileName("audit.json")
    model = FileName("model.joblib")
    scaler = FileName("scaler.joblib")
    pipeline = FileName("model.skops")
    bundle = FileName("model.json")
    plot = FileName("roc_pr_curves.png")
    coefficients = FileName("coefficients.csv")
    provenance = FileName("provenance.json")
    report = FileName("report.html")  # this and the next on demand
    card = FileName("MODEL_CARD.md")
    log = FileName("run.log")
    status = FileName("status.json")

    def __init__(self, path: Path) -> None:
        self.path = path

    def files(self) -> list[Path]:
        """Every file of ours, status first: deleting in this order never leaves a finished-looking rest."""
        kinds = reversed(type(self).__mro__)
        named = [self.path / each.name for kind in kinds for each in vars(kind).values() if isinstance(each, FileName)]
        return sorted(named, key=lambda path: path != self.status)

    def beside(self) -> list[Path]:
        """What else lies there and belongs to the run: Hydra's files, and what ``fvc explain`` found."""
        found = (path for pattern in (".hydra/*", "insight/*") for path in sorted(self.path.glob(pattern)))
        return [path for path in found if path.is_file()]


def require_folder(path: Path) -> None:
    """Tell a file and a wrong path from a folder.

    Raises:
        ArtifactError: there is no such folder.
    """
    if path.is_file():
        raise ArtifactError(f"{path}: is a file; name a folder")
    if not path.is_dir():
        raise ArtifactError(f"{path}: no such folder")


def write_atomic(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file under a temporary name beside it, then rename; readers see the old file or the new one.

    Raises:
        ArtifactError: the folder cannot be written.
    """
    try:
        with atomic_file(path) as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())  # a run that says done must survive the node that says it
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be written: {error.strerror}") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whose content is known."""
    write_atomic(path, lambda file: file.write(content))


def write_json(path: Path, value: object) -> None:
    """Write standard JSON, indented; NaN and infinities become null."""
    text = json.dumps(plain(value), indent=2, allow_nan=False) + "\n"
    write_bytes(path, text.encode())


def read_json(path: Path) -> Any:
    """Read a file of a run folder.

    Raises:
        ArtifactError: it is missing or not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: cannot be read: {error}") from error


def write_config(path: Path, config: Config) -> None:
    """Write the typed configuration as YAML that any YAML reader takes."""
    text = yaml.dump(plain(asdict(config)), Dumper=_YAML, sort_keys=False)
    write_bytes(path, text.encode())


def read_config(path: Path) -> Config:
    """Read what ``write_config`` wrote, checked like any configuration.

    Raises:
        ArtifactError: the file is missing or not YAML.
        ConfigError: it does not fit this version's configuration.
    """
    try:
        content = dict(yaml.safe_load(path.read_bytes()))
    except (OSError, yaml.YAMLError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: cannot be read: {error}") from error
    return to_typed(DictConfig(content))


def write_status(folder: RunFolder, state: str, started: datetime, **facts: object) -> dict[str, Any]:
    """Say how the run ended; returns what was written."""
    status = {"state": state, "started": started.isoformat(), "ended": datetime.now(UTC).isoformat(), **facts}
    write_json(folder.status, status)
    return status


def plain(value: Any) -> Any:
    """Only what JSON and YAML know: enums become names, numbers that are none become null."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
