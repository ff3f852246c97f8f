"""The files that a run leaves in its folder."""

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import polars as pl

from fvc_exp._typing import Array
from fvc_exp.config.canonical import canonical, run_id
from fvc_exp.evaluation.bootstrap import fold_dependence
from fvc_exp.io.files import write_atomic, write_bytes, write_json
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.io.tables import parquet_bytes
from fvc_exp.runs.load import LoadedRun
from fvc_exp.runs.portable_model import PortableModel
from fvc_exp.runs.provenance import provenance
from fvc_exp.training.experiment import RunResult
from fvc_exp.training.pipeline import FittedModel


def write_result(folder: RunFolder, result: RunResult) -> None:
    """Write every artifact of a run but the plot and the status."""
    data_hash = result.data.data_sha256
    write_json(folder.metrics, result.fold_records)
    write_json(folder.results, results(result, data_hash))
    write_json(folder.audit, {**result.certificate.to_json(), "allow_fail": result.config.audit.allow_fail})
    write_bytes(folder.predictions, parquet_bytes(result.predictions()))
    write_bytes(folder.folds, result.data.folds_parquet)
    write_atomic(folder.coefficients, coefficients(result).write_csv)
    write_atomic(folder.scaler, lambda file: joblib.dump(result.final.scaler, file))
    write_atomic(folder.model, lambda file: joblib.dump(result.final.classifier, file))
    write_json(folder.portable_model, PortableModel.from_result(result).to_json())
    fitted = {"fitted_with": result.final.fitted_with}
    write_json(folder.provenance, {**provenance(data_hash, result.config.seed), **fitted})


def results(result: RunResult, data_hash: str) -> dict[str, Any]:
    """The content of ``results.json``."""
    return {
        "run_id": run_id(result.config, data_hash),
        "parameters": canonical(result.config),
        "cv": result.summary,
        "fold_dependence": _fold_dependence(result),
        "test": result.test_scores,
        "floors": {"cv": result.floors, "test": result.test_floors},
        "audit": {**result.certificate.summary(), "allow_fail": result.config.audit.allow_fail},
        "calibration": {
            "method": result.config.calibration.name,
            "cv": result.reliability.to_json(),
            "test": result.test_reliability.to_json() if result.test_reliability else None,
        },
        "threshold": {
            "rule": result.config.threshold,
            "final": result.final.threshold,
            "folds": [model.threshold for model in result.fold_models],
        },
        "nested": result.nested.to_json() if result.nested else None,
        "flags": result.flags,
        "notes": result.notes,
        "final_model": _final_model(result.final),
        "data": result.data.data_facts,
    }


def _final_model(model: FittedModel) -> dict[str, Any]:
    """How it was fitted; ``C`` is None without a penalty, ``nonzero`` counts the coefficients without the intercept."""
    return {
        "n_iter": model.n_iter,
        "converged": model.converged,
        "C": model.C if np.isfinite(model.C) else None,
        "nonzero": int(np.count_nonzero(model.classifier.coef_)),
    }


def coefficients(result: RunResult) -> pl.DataFrame:
    """One row per feature, and the intercept: final model, its scaler, and the model of each fold.

    Coefficients are of standardised features, in log odds of fake per standard deviation.
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


def _fold_dependence(result: RunResult) -> float:
    """Of the models of one repeat on the development rows; the mean of all repeats."""
    rows = result.dataset.X[result.split.development]
    log_odds: dict[int, list[Array]] = {}
    for fold, model in zip(result.split.folds, result.fold_models, strict=True):
        log_odds.setdefault(fold.repeat, []).append(model.log_odds(rows))
    return float(np.mean([fold_dependence(each) for each in log_odds.values()]))


def _weights(model: FittedModel) -> list[float]:
    return [*model.classifier.coef_[0].tolist(), float(model.classifier.intercept_[0])]


def export_skops(run: LoadedRun, output: Path | None = None) -> Path:
    """Write the pipeline of a finished run in the format of skops, there or to ``output``; returns the file."""
    import skops.io

    path = output or run.folder.skops
    write_bytes(path, skops.io.dumps(run.pipeline))
    return path
