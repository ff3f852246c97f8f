"""What MLflow is to know of one run, read from its folder. Needs no MLflow."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from fvc_exp.config.canonical import canonical
from fvc_exp.errors import ArtifactError, FvcError
from fvc_exp.io.files import require_folder
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.runs.load import LoadedRun, flat_metrics
from fvc_exp.sweeps.folder import read_status
from fvc_exp.sweeps.results import flat_parameters

PREFIX = "fvc."  # of our tags


KEY = f"{PREFIX}key"


_STATES_KILLED = ("interrupted", "lost")


_LONGEST = 1000  # characters of a tag or parameter; MLflow cuts at 6000, and a wall of text helps nobody


_REFUSED = re.compile(r"[^\w./: -]")


class Status(StrEnum):
    """How a run ended, in MLflow's words; RUNNING also marks one that is not completely imported."""

    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


@dataclass(frozen=True)
class Metric:
    """One number; ``step`` is the fold, counted on over repeats."""

    name: str
    value: float
    step: int = 0


@dataclass(frozen=True)
class Ending:
    """How an attempt ended. ``started`` is None if it never began."""

    status: Status
    started: datetime | None
    ended: datetime
    attempt: int = 1
    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class Record:
    """One run of MLflow: its key is the same whenever and from wherever the same attempt is imported.

    ``measured`` is the time of its metrics, ``files`` are the artifacts by their names, ``model`` is the run folder
    whose model is to be stored.
    """

    key: str
    name: str
    ending: Ending
    measured: datetime
    parameters: Mapping[str, str]
    metrics: Sequence[Metric]
    tags: Mapping[str, str]
    files: Mapping[str, Path]
    model: RunFolder | None = None


def read_run(path: Path) -> Record:
    """The record of a single run, whatever became of it.

    Raises:
        ArtifactError: the run has not ended, or a file of it is broken.
    """
    folder = RunFolder(path)
    require_folder(path)
    if not folder.status.exists():
        raise ArtifactError(f"{path}: is neither a sweep nor a run that has ended: it holds no {folder.status.name}")
    try:
        ending = ending_of(read_status(folder.status) or {})
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{folder.status}: is broken: a state, started and ended must stand in it") from error
    return run_record(folder, ending, path.resolve().name)


def ending_of(status: Mapping[str, Any]) -> Ending:
    """What ``status.json`` says."""
    state = status["state"]
    return Ending(
        status=Status.FINISHED if state == "done" else Status.KILLED if state in _STATES_KILLED else Status.FAILED,
        started=datetime.fromisoformat(status["started"]),
        ended=datetime.fromisoformat(status["ended"]),
        attempt=int(status.get("attempt", 1)),
        reason=str(status.get("reason") or ""),
        message=str(status.get("message") or ""),
    )


def run_record(
    folder: RunFolder,
    ending: Ending,
    name: str,
    *,
    parameters: Mapping[str, Any] | None = None,
    tags: Mapping[str, object] | None = None,
    never: str = "never",
) -> Record:
    """The record of one attempt.

    ``parameters`` are those of a run that left none, ``never`` tells attempts apart that never began.

    Raises:
        ArtifactError: a file of a finished run is missing or broken.
    """
    run = LoadedRun(folder.path)
    finished = ending.status is Status.FINISHED and run.has("results")
    results = run.results if finished else {}
    run_id = results.get("run_id") or folder.path.resolve().name
    began = ending.started.isoformat() if ending.started else never
    known = results.get("parameters") or parameters or _configured(run)
    return Record(
        key=f"{run_id}/{ending.attempt}/{began}",
        name=name,
        ending=ending,
        measured=ending.ended,
        parameters=texts(flat_parameters(dict(known))),
        metrics=[*result_metrics(results), *fold_metrics(run.fold_records)] if finished else [],
        tags=texts(
            {
                "mlflow.note.content": "\n".join(f"- {note}" for note in results.get("notes", [])) or None,
                **_commit(run),
                **{PREFIX + key: value for key, value in {**_facts(ending, results), **(tags or {})}.items()},
            }
        ),
        files=artifacts(folder),
        model=folder if finished and run.has("portable_model") else None,
    )


def fold_metrics(records: Sequence[Mapping[str, Any]]) -> Iterator[Metric]:
    """Every number of ``metrics.json``, as ``fold/test_auc`` and so on."""
    folds = max((record["fold"] for record in records), default=0) + 1
    for record in records:
        numbers = ((name, value) for name, value in record.items() if name not in ("fold", "repeat"))
        yield from _finite(numbers, "fold/", record["repeat"] * folds + record["fold"])


def result_metrics(results: Mapping[str, Any]) -> list[Metric]:
    """Mean and sd of the folds, held-out test and floors, by the names that ``fvc query`` has for them."""
    counts = {name: results["data"][name] for name in ("rows", "groups", "development_rows", "test_rows")}
    return list(_finite([*flat_metrics(results), *counts.items()]))


def texts(values: Mapping[str, object]) -> dict[str, str]:
    """Names that MLflow takes, and short texts; what is None or empty is left out."""
    found = {_REFUSED.sub("_", key): str(value) for key, value in values.items() if value is not None}
    return {key: value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…" for key, value in found.items() if value}


def artifacts(folder: RunFolder) -> dict[str, Path]:
    """The files of a run folder that matter, by their names in it."""
    files = (path for path in (*folder.files(), *folder.beside()) if path.is_file())
    return {str(path.relative_to(folder.path)): path for path in files}


def _finite(numbers: Any, prefix: str = "", step: int = 0) -> Iterator[Metric]:
    for name, value in numbers:
        if isinstance(value, (int, float)) and math.isfinite(value):
            yield Metric(_REFUSED.sub("_", prefix + name), float(value), step)


def _facts(ending: Ending, results: Mapping[str, Any]) -> dict[str, object]:
    audit = results.get("audit", {})
    return {
        "attempt": ending.attempt,
        "reason": ending.reason,
        "message": ending.message,
        "run_id": results.get("run_id"),
        "audit": audit.get("verdict"),
        "audit_reasons": "; ".join(audit.get("reasons", [])),
        "flags": " ".join(results.get("flags", [])),
        "data_sha256": results.get("data", {}).get("sha256"),
    }


def _configured(run: LoadedRun) -> dict[str, Any]:
    """The canonical configuration, as far as a run that failed has one."""
    try:
        return canonical(run.config)
    except FvcError:  # the very reason why it failed, such as a missing file of folds; its tags say so
        return {}


def _commit(run: LoadedRun) -> dict[str, object]:
    git = run.provenance["git"] if run.has("provenance") else None
    return {"mlflow.source.git.commit": git["commit"]} if git else {}
