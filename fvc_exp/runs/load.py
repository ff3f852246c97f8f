"""Finished runs and sweeps, read back from their folders; nothing is written."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import polars as pl
import yaml
from polars.exceptions import PolarsError
from sklearn.pipeline import Pipeline

from fvc_exp.config.schema import Config
from fvc_exp.config.store import read_config
from fvc_exp.errors import ArtifactError
from fvc_exp.io.files import read_json, require_folder
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.io.tables import read_own

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


TRUSTED_TYPES = ("numpy.dtype",)  # what our pipeline holds beside scikit-learn's and numpy's own types


def read_pipeline(path: Path) -> Pipeline:
    """Load a saved ``model.skops``; a file that asks for any type but ours is refused and nothing in it runs.

    Raises:
        ArtifactError: the file is missing, broken, or not one of ours.
    """
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        return skops.io.load(path, trusted=list(TRUSTED_TYPES))
    except UntrustedTypesFoundException as error:
        raise ArtifactError(f"{path}: refused, it holds types that no model of ours has: {error}") from error
    except (OSError, BadZipFile, KeyError, ValueError) as error:
        raise ArtifactError(f"{path}: cannot be read as a model: {error}") from error


@dataclass(frozen=True)
class LoadedRun:
    """A finished training run: its files by their names, tables as frames.

    ``metrics`` has one row a fold, ``predictions`` one a video and split it was scored in, ``folds`` one a video and
    fold that tested it, ``coefficients`` one a feature and the intercept.
    """

    path: Path
    status: Mapping[str, Any]
    config: Config
    results: Mapping[str, Any]
    metrics: pl.DataFrame
    predictions: pl.DataFrame
    folds: pl.DataFrame
    coefficients: pl.DataFrame

    @cached_property
    def pipeline(self) -> Pipeline:
        """Imputer, scaler and model, read from ``model.skops`` on first use; a file with code in it is refused.

        Raises:
            ArtifactError: the file is missing, broken, or holds types that no model of ours has.
        """
        return read_pipeline(RunFolder(self.path).pipeline)


def load_run(path: str | Path) -> LoadedRun:
    """Read the folder of a finished training run.

    >>> _ = run(["data=fvc", "data.root=.", "C=0.1"], output_dir="mine")
    >>> loaded = load_run("mine")
    >>> loaded.results["parameters"]["C"], loaded.metrics["fold"].to_list()
    (0.1, [0, 1, 2, 3, 4])

    Raises:
        ArtifactError: there is no such folder, it holds no run, an unfinished or failed one, or a broken file.
        ConfigError: the configuration is of another version.
    """
    folder = RunFolder(Path(path))
    status = _finished_status(folder)
    return LoadedRun(
        path=folder.path,
        status=status,
        config=read_config(folder.config),
        results=read_json(folder.results),
        metrics=_frame(folder.metrics, lambda file: pl.DataFrame(read_json(file), infer_schema_length=None)),
        predictions=_frame(folder.predictions, read_own),
        folds=_frame(folder.folds, read_own),
        coefficients=_frame(folder.coefficients, read_own),
    )


def _finished_status(folder: RunFolder) -> Mapping[str, Any]:
    require_folder(folder.path)
    if not folder.status.exists():
        if folder.config.exists():
            raise ArtifactError(f"{folder.path}: the run is not finished: it holds no {folder.status.name} yet")
        what = "a sweep: use load_sweep" if (folder.path / "plan.json").exists() else "no run: it holds no status.json"
        raise ArtifactError(f"{folder.path}: is {what}")
    status = read_json(folder.status)
    state = status.get("state") if isinstance(status, dict) else None
    if state is None:
        raise ArtifactError(f"{folder.status}: was not written by fvc-exp: it says no state")
    if state != "done":
        why = ": ".join(str(status[key]) for key in ("reason", "message") if status.get(key))
        raise ArtifactError(f"{folder.path}: the run is {state}, only a finished one can be loaded; {why}")
    if not folder.results.exists():
        raise ArtifactError(f"{folder.path}: the run trained nothing: it holds no {folder.results.name}")
    return dict(status)


def _frame(path: Path, read: Callable[[Path], pl.DataFrame]) -> pl.DataFrame:
    try:
        return read(path)
    except (OSError, PolarsError, TypeError) as error:
        raise ArtifactError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from error


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


def flat_metrics(results: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    """The numbers of ``results.json`` by the names of their columns."""
    for metric, summary in (results.get("cv") or {}).items():
        for name in ("mean", "std"):
            yield f"cv_{metric}_{name}", summary.get(name)
    for metric, value in (results.get("test") or {}).items():
        yield f"test_{metric}", value
    for floor, scores in ((results.get("floors") or {}).get("cv") or {}).items():
        for metric in ("f1", "auc", "accuracy"):
            yield f"floor_{floor}_{metric}", scores.get(metric)
