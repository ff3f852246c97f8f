"""The names of a run folder's files, its status, and the hash of the code. Needs no scientific library."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from fvc_exp.io.files import write_json


class FileName:
    """A file of a run folder: on a folder, its path, made when asked for since analytics reads thousands of folders."""

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
    feature_names = FileName("feature_names.json")
    portable_model = FileName("model.json")
    plot = FileName("roc_pr_curves.png")
    plot_svg = FileName("roc_pr_curves.svg")
    coefficients = FileName("coefficients.csv")
    provenance = FileName("provenance.json")
    report = FileName("report.html")  # this and the next three on demand
    card = FileName("MODEL_CARD.md")
    checklist = FileName("checklist.md")
    skops = FileName("model.skops")
    log = FileName("run.log")
    status = FileName("status.json")

    def __init__(self, path: Path) -> None:
        self.path = path

    def files(self) -> list[Path]:
        """Every file of a run, status first: deleting in this order never leaves a folder that looks finished."""
        kinds = reversed(type(self).__mro__)
        named = [self.path / each.name for kind in kinds for each in vars(kind).values() if isinstance(each, FileName)]
        return sorted(named, key=lambda path: path != self.status)

    def beside(self) -> list[Path]:
        """The other files of the run: Hydra's files, and what ``fvc explain`` found."""
        found = (path for pattern in (".hydra/*", "insight/*") for path in sorted(self.path.glob(pattern)))
        return [path for path in found if path.is_file()]


def write_status(folder: RunFolder, state: str, started: datetime, **facts: object) -> dict[str, Any]:
    """Write how the run ended; returns the content."""
    status = {"state": state, "started": started.isoformat(), "ended": datetime.now(UTC).isoformat(), **facts}
    write_json(folder.status, status)
    return status


def seconds_of(status: Mapping[str, Any]) -> float | None:
    """How long a run took; None if its status does not tell."""
    if "started" not in status or "ended" not in status:
        return None
    return (datetime.fromisoformat(status["ended"]) - datetime.fromisoformat(status["started"])).total_seconds()


@cache  # what was imported stays what runs, whatever happens to the files
def code_hash() -> str:
    """SHA-256 of this program: the files of the package and of ``conf``, also outside a git checkout."""
    package, found = Path(__file__).resolve().parents[1], hashlib.sha256()
    for path in sorted([*package.rglob("*.*"), *(package.parent / "conf").rglob("*.*")]):  # or inside, where installed
        if path.suffix in (".py", ".yaml") and path.is_file():
            found.update(str(path.relative_to(package.parent)).encode() + path.read_bytes())
    return found.hexdigest()


def failure_text(reason: str, message: str) -> str:
    """Why a run failed, in one line."""
    return f"{reason}: {message.splitlines()[0]}" if message else reason
