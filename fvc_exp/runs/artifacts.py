"""The files that a run leaves in its folder, and the provenance: code, packages, machine, data."""

import os
import platform
import re
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import polars as pl

from fvc_exp._typing import Array
from fvc_exp.config.canonical import canonical, run_id
from fvc_exp.data import layouts
from fvc_exp.data.columns import CLASSES
from fvc_exp.evaluation import bootstrap, claims
from fvc_exp.io import files, run_folder, tables
from fvc_exp.runs.load import LoadedRun
from fvc_exp.runs.portable_model import Feature, PortableModel
from fvc_exp.training import experiment, pipeline, split_dataset

PACKAGES = (
    *("fvc-exp", "hydra-core", "omegaconf", "submitit", "hydra-submitit-launcher"),
    *("numpy", "scipy", "scikit-learn", "joblib", "skops", "polars", "pyarrow", "matplotlib"),
    *("av", "opencv-python-headless"),
)
_COMMIT = "# branch.oid "
# For a share of variances, which is small where there are more rows: it is off by about 1 %, with long tails by 20 %.
_ENOUGH_ROWS = 20_000


def write_result(folder: run_folder.RunFolder, result: experiment.RunResult) -> None:
    """Write all files of a run except the plot and the status, which wait for the disk together."""
    final, found = result.final, provenance(result.dataset.content_hash, result.config.seed)
    values = {
        folder.metrics: result.fold_records,
        folder.results: results(result),
        folder.audit: {**result.data.certificate.to_json(), "allow_fail": result.config.audit.allow_fail},
        folder.feature_names: result.dataset.feature_names,
        folder.portable_model: asdict(portable_model(result)),
        folder.provenance: {**found, "fitted_with": list(map(split_dataset.write_point, final.fitted_with))},
    }
    contents = {path: files.json_bytes(value) for path, value in values.items()}
    contents[folder.predictions] = tables.parquet_bytes(result.predictions())
    contents[folder.folds] = result.data.folds_parquet
    contents[folder.coefficients] = coefficients(result).write_csv().encode()
    for path, step in ((folder.scaler, final.scaler), (folder.model, final.classifier)):
        step.feature_names_in_ = np.array(result.dataset.feature_names, dtype=object)
        joblib.dump(step, buffer := BytesIO())
        contents[path] = buffer.getvalue()
    files.write_together(contents)


def portable_model(result: experiment.RunResult) -> PortableModel:
    """The final model of a run as plain numbers."""
    final, data_sha256 = result.final, result.dataset.content_hash
    columns = (*final.standard, final.coef, *result.data.ranges)
    rows = zip(result.dataset.feature_names, *(column.tolist() for column in columns), strict=True)
    return PortableModel(
        features=tuple(Feature(*row) for row in rows),
        intercept=final.intercept,
        threshold=final.threshold,
        classes=CLASSES,
        run_id=run_id(result.config, data_sha256),
        data_sha256=data_sha256,
        feature_versions=result.dataset.feature_versions,
        calibration=final.isotonic,
    )


def results(result: experiment.RunResult) -> dict[str, Any]:
    """The content of ``results.json``."""
    data = result.config.data
    with ThreadPoolExecutor(1) as pool:  # both sort and sum many rows, without Python
        judged = pool.submit(scores, result)
        dependence = _fold_dependence(result)
        intervals = result.auc_intervals(dependence).items()
    is_corpus = data.videos is not None and layouts.folder_of_id_lists(Path(data.root) / data.videos)
    return {
        "run_id": run_id(result.config, result.dataset.content_hash),
        "name": result.config.name,
        "tags": result.config.tags,
        "parameters": canonical(result.config),
        **judged.result(),
        "fold_dependence": dependence,
        "auc_intervals": {split: asdict(found) if found else None for split, found in intervals},
        "repeats": result.split.repeats,
        "selection": None,
        "claim": claims.claim_json(result.claim, result.data.certificate.verdict),
        "audit": {**result.data.certificate.summary(), "allow_fail": result.config.audit.allow_fail},
        "calibration": {
            "method": result.config.calibration.name,
            "cv": asdict(result.reliability),
            "test": asdict(result.test_reliability) if result.test_reliability else None,
        },
        "nested": result.nested.to_json() if result.nested else None,
        "price": result.price.to_json() if result.price else None,
        "flags": list(result.flag_details),
        "flag_details": result.flag_details,
        "notes": result.notes,
        "final_model": _final_model(result.final),
        "data": {**result.data.data_facts, "corpus": layouts.CORPUS_NAME if is_corpus else None},
    }


def scores(result: experiment.RunResult) -> dict[str, Any]:
    """The part of ``results.json`` that follows from rows, folds and configuration alone: scores and thresholds."""
    return {
        "cv": result.summary,
        "test": result.test_scores,
        "floors": {"cv": result.floors, "test": result.test_floors},
        "threshold": {
            "rule": result.config.threshold,
            "final": result.final.threshold,
            "folds": [model.threshold for model in result.cv.models],
        },
    }


def _final_model(model: pipeline.FittedModel) -> dict[str, Any]:
    """How it was fitted; ``C`` is None without a penalty, ``nonzero`` counts the coefficients without the intercept.

    ``bound`` is that of our solver on (F - min F) / F; None where it has none, and of scikit-learn's solvers.
    """
    return {
        "solver": model.solver,
        "shared_fit": model.is_shared,
        "bound": model.gap if model.gap is not None and np.isfinite(model.gap) else None,
        "n_iter": model.n_iter,
        "converged": model.converged,
        "C": model.C if np.isfinite(model.C) else None,
        "nonzero": int(np.count_nonzero(model.coef)),
        "sentence": model.solver_line(),
    }


def coefficients(result: experiment.RunResult) -> pl.DataFrame:
    """One row per feature, and the intercept: final model, its scaler, and the model of each fold.

    Coefficients are of standardised features, in log odds of fake per standard deviation.
    """
    scaler = result.final.scaler
    columns: dict[str, list[Any]] = {
        "feature": [*result.dataset.feature_names, "(intercept)"],
        "coefficient": result.final.weights.tolist(),
        "mean": [*scaler.mean_.tolist(), None],
        "scale": [*scaler.scale_.tolist(), None],
    }
    for fold, model in zip(result.split.folds, result.cv.models, strict=True):
        columns[f"repeat{fold.repeat}_fold{fold.index}"] = model.weights.tolist()
    return pl.DataFrame(columns)


def _fold_dependence(result: experiment.RunResult) -> float:
    """Of the models of one repeat on the development rows, or on as many as are enough; the mean of all repeats."""
    rows = result.split.development
    X = result.dataset.X[rows[np.sort(np.random.default_rng(0).permutation(len(rows))[:_ENOUGH_ROWS])]]
    log_odds: dict[int, list[Array]] = {}
    for fold, model in zip(result.split.folds, result.cv.models, strict=True):
        log_odds.setdefault(fold.repeat, []).append(model.log_odds(X))
    return float(np.mean([bootstrap.fold_dependence(each) for each in log_odds.values()]))


def provenance(data_hash: str, seed: int) -> dict[str, Any]:
    """Facts about code, packages and machine; everything that could explain a different number."""
    return {
        "git": _git_state(),
        "code_hash": run_folder.code_hash(),
        "packages": {name: _version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cpu_count": os.cpu_count(),
        "threads": {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")},
        "host": socket.gethostname(),
        "command": sys.argv,
        "working_folder": str(Path.cwd()),
        "data_sha256": data_hash,
        "seed": seed,
    }


def _processor() -> str:
    """The name of the processor, whose kind decides the last digits that BLAS computes."""
    known = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*: (.*)$", known.read_text(), re.MULTILINE) if known.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


@cache  # what was imported stays what runs, whatever happens to the files
def _git_state() -> dict[str, Any] | None:
    """Commit of this program and whether its tree differs; None outside a git checkout or without git."""
    # With --branch the commit as well, in one call.
    command = ["git", "-C", str(Path(__file__).resolve().parent), "status", "--porcelain=v2", "--branch"]
    try:
        status = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        return None
    about = [line for line in status if line.startswith("# ")]
    commit = next(line.removeprefix(_COMMIT) for line in about if line.startswith(_COMMIT))
    return {"commit": commit, "dirty": len(status) > len(about)}


@cache  # reading one takes milliseconds, and what is loaded stays
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def export_skops(run: LoadedRun, output: Path | None = None) -> Path:
    """Write the pipeline of a finished run in the format of skops, there or to ``output``; returns the file."""
    import skops.io

    path = output or run.folder.skops
    files.write_bytes(path, skops.io.dumps(run.pipeline))
    return path
