"""The run folder: its file names, and how each file gets there whole or not at all."""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import BadZipFile

import joblib
import polars as pl
import yaml
from sklearn.pipeline import Pipeline

from fvc_exp.config import Config
from fvc_exp.data import CLASSES
from fvc_exp.errors import ArtifactError
from fvc_exp.experiment import RunResult
from fvc_exp.identity import canonical, run_id
from fvc_exp.model import FittedModel
from fvc_exp.provenance import provenance


TRUSTED_TYPES = ("numpy.dtype",)  # what our pipeline holds beside scikit-learn's and numpy's own types


class RunFolder:
    """Names of all files of one run. ``status.json`` comes last: without it a run is not finished."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.metrics = path / "metrics.json"
        self.results = path / "results.json"
        self.predictions = path / "predictions.parquet"
        self.folds = path / "folds.parquet"
        self.model = path / "model.joblib"
        self.scaler = path / "scaler.joblib"
        self.pipeline = path / "model.skops"
        self.plot = path / "roc_pr_curves.png"
        self.coefficients = path / "coefficients.csv"
        self.provenance = path / "provenance.json"
        self.status = path / "status.json"

    def files(self) -> list[Path]:
        """Every file of ours, status first: deleting in this order never leaves a finished-looking rest."""
        named = [value for value in vars(self).values() if value != self.path]
        return sorted(named, key=lambda path: path != self.status)


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


def write_atomic(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file under a temporary name beside it, then rename; readers see the old file or the new one.

    Raises:
        ArtifactError: the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file, _removed_on_error(temporary):
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be written: {error.strerror}") from error


@contextmanager
def _removed_on_error(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink()
        raise


def write_json(path: Path, value: object) -> None:
    """Write standard JSON, indented; NaN and infinities become null."""
    text = json.dumps(_plain(value), indent=2, allow_nan=False) + "\n"
    write_atomic(path, lambda file: file.write(text.encode()))


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
    text = yaml.safe_dump(_plain(asdict(config)), sort_keys=False)
    write_atomic(path, lambda file: file.write(text.encode()))


def write_status(folder: RunFolder, state: str, started: datetime, **facts: object) -> dict[str, Any]:
    """Say how the run ended; returns what was written."""
    status = {"state": state, "started": started.isoformat(), "ended": datetime.now(UTC).isoformat(), **facts}
    write_json(folder.status, status)
    return status


def write_result(folder: RunFolder, result: RunResult) -> None:
    """Write every artifact of a run but the plot and the status."""
    import skops.io

    data_hash = result.dataset.content_hash()
    write_json(folder.metrics, result.fold_records)
    write_json(folder.results, results(result, data_hash))
    _write_parquet(folder.predictions, result.predictions())
    _write_parquet(folder.folds, result.folds())
    write_atomic(folder.coefficients, coefficients(result).write_csv)
    write_atomic(folder.scaler, lambda file: joblib.dump(result.final.scaler, file))
    write_atomic(folder.model, lambda file: joblib.dump(result.final.classifier, file))
    write_atomic(folder.pipeline, lambda file: file.write(skops.io.dumps(result.final.pipeline)))
    write_json(folder.provenance, provenance(data_hash, result.config.seed))


def results(result: RunResult, data_hash: str) -> dict[str, Any]:
    """The content of ``results.json``."""
    dataset, split = result.dataset, result.split
    return {
        "run_id": run_id(result.config, data_hash),
        "parameters": canonical(result.config),
        "cv": result.summary,
        "test": result.test_scores,
        "floors": {"cv": result.floors, "test": result.test_floors},
        "flags": result.flags,
        "notes": result.notes,
        "final_model": {"n_iter": result.final.n_iter, "converged": result.final.converged},
        "data": {
            "sha256": data_hash,
            "rows": len(dataset.y),
            "groups": dataset.n_groups,
            "group_column": dataset.group_column,
            "class_counts": {name: int((dataset.y == label).sum()) for label, name in enumerate(CLASSES)},
            "development_rows": len(split.development),
            "test_rows": len(split.test),
            "features": dataset.feature_names,
            "constant_features": dataset.constant_features,
            "missing_values": dataset.missing_values,
            "unmatched": dataset.unmatched,
        },
    }


def coefficients(result: RunResult) -> pl.DataFrame:
    """One row a feature, and the intercept: final model, its scaler, and the model of each fold.

    Coefficients are of standardised features, in log odds of fake a standard deviation.
    """
    scaler = result.final.scaler
    columns: dict[str, list[Any]] = {
        "feature": [*result.dataset.feature_names, "(intercept)"],
        "coefficient": _weights(result.final),
        "mean": [*scaler.mean_.tolist(), None],
        "scale": [*scaler.scale_.tolist(), None],
    }
    for fold, model in zip(result.split.folds, result.fold_models, strict=True):
        columns[f"repeat{fold.repeat}_fold{fold.index}"] = _weights(model)
    return pl.DataFrame(columns)


def _weights(model: FittedModel) -> list[float]:
    return [*model.classifier.coef_[0].tolist(), float(model.classifier.intercept_[0])]


def _write_parquet(path: Path, frame: pl.DataFrame) -> None:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    write_atomic(path, lambda file: file.write(buffer.getvalue()))


def _plain(value: Any) -> Any:
    """Only what JSON and YAML know: enums become names, numbers that are none become null."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
