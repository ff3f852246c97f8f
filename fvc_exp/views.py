"""Ready tables over all runs below a folder, for SQL: ``runs``, ``folds``, ``predictions``, ``coefficients``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from fvc_exp.analytics import DuckDBAnalytics, records_frame
from fvc_exp.errors import DataError
from fvc_exp.runfolder import RunFolder

_FILE = "fvc_file"


def find_runs(folder: Path) -> list[RunFolder]:
    """Every run folder at any depth, sorted by path; a run is where a ``status.json`` lies.

    Raises:
        DataError: there is none.
    """
    found = sorted(path.parent for path in folder.rglob("status.json") if path.is_file())
    if not found:
        raise DataError(f"{folder}: no run in it; run.py writes them below outputs/")
    return [RunFolder(path) for path in found]


def query_runs(sql: str, folder: Path) -> pl.DataFrame:
    """Run a query over the views it names, made of all runs below a folder.

    Raises:
        DataError: there is no run.
        QueryError: the database refuses the statement.
        MissingExtraError: DuckDB is not installed.
    """
    with DuckDBAnalytics() as analytics:
        runs = find_runs(folder)
        for name, view in VIEWS.items():
            if re.search(rf"\b{name}\b", sql, re.IGNORECASE):
                analytics.register_dataframe(name, view(runs))
        return analytics.query(sql)


def runs_view(runs: list[RunFolder]) -> pl.DataFrame:
    """One row a run: state, parameters, ``cv_<metric>_mean`` and ``_std``, ``test_<metric>``, floors, flags."""
    return records_frame([_run_record(run) for run in runs])


def folds_view(runs: list[RunFolder]) -> pl.DataFrame:
    """One row a run and fold, as in ``metrics.json``."""
    return records_frame([{**_key(run), **fold} for run in runs for fold in _json(run.metrics) or []])


def predictions_view(runs: list[RunFolder]) -> pl.DataFrame:
    """One row a run and video, as in ``predictions.parquet``."""
    return _stacked({run.predictions: run for run in runs}, _parquet_columns, pl.scan_parquet)


def coefficients_view(runs: list[RunFolder]) -> pl.DataFrame:
    """One row a run and feature, as in ``coefficients.csv``."""
    return _stacked({run.coefficients: run for run in runs}, _csv_columns, pl.scan_csv)


VIEWS: Mapping[str, Callable[[list[RunFolder]], pl.DataFrame]] = {
    "runs": runs_view,
    "folds": folds_view,
    "predictions": predictions_view,
    "coefficients": coefficients_view,
}


def _stacked(
    owners: Mapping[Path, RunFolder], columns: Callable[[Path], Hashable], scan: Callable[..., pl.LazyFrame]
) -> pl.DataFrame:
    """The rows of all tables that exist; those with equal columns are scanned together, which costs a tenth."""
    alike: dict[Hashable, list[Path]] = {}
    for path in owners:
        if path.exists():
            alike.setdefault(columns(path), []).append(path)
    options = {"glob": False, "include_file_paths": _FILE}
    if scan is pl.scan_parquet:
        options["hive_partitioning"] = False
    frames = [scan(paths, **options) for paths in alike.values()]
    if not frames:
        return pl.DataFrame({"run": []}, {"run": pl.String})
    names = {str(path): str(run.path) for path, run in owners.items()}
    stacked = pl.concat(frames, how="diagonal_relaxed").collect()
    return stacked.with_columns(run=pl.col(_FILE).replace_strict(names)).drop(_FILE)


def _parquet_columns(path: Path) -> Hashable:
    """The names and types, from the end of the file."""
    return tuple(pl.scan_parquet(path, glob=False, hive_partitioning=False).collect_schema().items())


def _csv_columns(path: Path) -> Hashable:
    with path.open("rb") as file:
        return file.readline()


def _run_record(run: RunFolder) -> dict[str, Any]:
    status, results = _json(run.status) or {}, _json(run.results) or {}
    record = {
        **_key(run),
        "state": status.get("state"),
        "reason": status.get("reason"),
        "run_id": results.get("run_id"),
    }
    record |= {name: value for name, value in (results.get("parameters") or {}).items() if not isinstance(value, dict)}
    record |= dict(flat_metrics(results))
    return record | {"flags": results.get("flags", []), "rows": (results.get("data") or {}).get("rows")}


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


def _key(run: RunFolder) -> dict[str, str]:
    return {"run": str(run.path)}


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
