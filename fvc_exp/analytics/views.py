"""Ready tables over all runs below a folder, for SQL: ``runs``, ``folds``, ``predictions``, ``coefficients``."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from polars import selectors
from polars.exceptions import PolarsError

from fvc_exp.analytics.sql import DuckDBAnalytics, records_frame
from fvc_exp.errors import ArtifactError, QueryError
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.runs.load import LoadedRun, flat_metrics, runs_below

Scan = Callable[..., pl.LazyFrame]


def query_runs(sql: str, folder: Path) -> pl.DataFrame:
    """Run a query over the views it names, made of all runs below a folder.

    Raises:
        DataError: there is no run.
        ArtifactError: it is no folder, or a file of a run is broken.
        QueryError: the database refuses the statement.
        MissingExtraError: DuckDB is not installed.
    """
    with DuckDBAnalytics() as analytics:
        runs = runs_below(folder)
        for name, view in VIEWS.items():
            if re.search(rf"\b{name}\b", sql, re.IGNORECASE):
                analytics.register_dataframe(name, view(runs))
        try:
            return analytics.query(sql)
        except QueryError as error:
            known = f"; tables are {', '.join(VIEWS)}" if "Table with name" in str(error) else ""
            raise QueryError(f"{error}{known}") from error


def runs_view(runs: list[RunFolder]) -> pl.DataFrame:
    """One row per run: state, parameters, ``cv_<metric>_mean``, ``_std``, ``test_<metric>``, floors, flags, audit."""
    return records_frame([_run_row(LoadedRun(run.path)) for run in runs])


def folds_view(runs: list[RunFolder]) -> pl.DataFrame:
    """One row per run and fold, as in ``metrics.json``."""
    loaded = (LoadedRun(run.path) for run in runs if run.metrics.exists())
    return records_frame([{"run": str(run.path), **fold} for run in loaded for fold in run.fold_records])


def predictions_view(runs: list[RunFolder]) -> pl.DataFrame:
    """One row per run and video, as in ``predictions.parquet``."""
    return _stacked([run.predictions for run in runs], partial(pl.scan_parquet, hive_partitioning=False))


def coefficients_view(runs: list[RunFolder]) -> pl.DataFrame:
    """One row per run and feature, as in ``coefficients.csv``."""
    return _stacked([run.coefficients for run in runs], _scan_coefficients)


def _scan_coefficients(paths: list[Path], **options: Any) -> pl.LazyFrame:
    # The columns are those of all files, not of the first ten; a column without any value has no type to infer.
    scanned = pl.scan_csv(paths, infer_schema_files=len(paths), infer_schema=False, **options)
    return scanned.cast({~selectors.by_name("feature", "run"): pl.Float64})


def _stacked(paths: list[Path], scan: Scan) -> pl.DataFrame:
    """One table of the same file of all runs. A column that a file of another version lacks is null in its rows."""
    paths = [path for path in paths if path.exists()]
    if not paths:
        return pl.DataFrame({"run": []}, {"run": pl.String})
    scan = partial(scan, glob=False, include_file_paths="run", missing_columns="insert")
    try:
        frame = scan(paths).collect()
    except (PolarsError, OSError):  # a parquet file has columns that the first one lacks, or a file is broken
        frame = _stacked_one_by_one(paths, scan)
    found = set(frame["run"].unique())
    if empty := next((path for path in paths if str(path) not in found), None):
        raise ArtifactError(f"{empty}: cannot be read: it holds no rows")
    return frame.with_columns(pl.col("run").str.strip_suffix(f"/{paths[0].name}"))


def _stacked_one_by_one(paths: list[Path], scan: Scan) -> pl.DataFrame:
    try:
        return pl.concat([scan([path]) for path in paths], how="diagonal_relaxed").collect()
    except (PolarsError, OSError) as several:
        for path in paths:
            try:
                scan([path]).collect()
            except (PolarsError, OSError) as error:
                raise ArtifactError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from error
        raise ArtifactError(f"{paths[0].name}: the versions differ too much for one table: {several}") from several


VIEWS: Mapping[str, Callable[[list[RunFolder]], pl.DataFrame]] = {
    "runs": runs_view,
    "folds": folds_view,
    "predictions": predictions_view,
    "coefficients": coefficients_view,
}


def _run_row(run: LoadedRun) -> dict[str, Any]:
    results = run.results if run.has("results") else {}
    parameters, audit = results.get("parameters") or {}, results.get("audit") or {}
    return {
        "run": str(run.path),
        "state": run.status.get("state"),
        "reason": run.status.get("reason"),
        "run_id": results.get("run_id"),
        **{name: value for name, value in parameters.items() if not isinstance(value, dict)},
        **dict(flat_metrics(results)),
        "flags": results.get("flags", []),
        "audit": audit.get("verdict"),
        "audit_warnings": audit.get("warnings", []),
        "rows": (results.get("data") or {}).get("rows"),
    }
