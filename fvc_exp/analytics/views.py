"""Ready tables over all runs below a folder, for SQL: ``runs``, ``folds``, ``predictions``, ``coefficients``."""

import io
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

from fvc_exp.analytics.sql import DuckDBAnalytics, records_frame
from fvc_exp.errors import ArtifactError, QueryError
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.io.tables import collect, read_own, scan_table
from fvc_exp.runs.load import LoadedRun, Records, flat_metrics, runs_below

_FILE = "fvc_file"


_NO_RUNS = pl.DataFrame({"run": []}, {"run": pl.String})


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
    """One row a run: state, parameters, ``cv_<metric>_mean`` and ``_std``, ``test_<metric>``, floors, flags."""
    return records_frame([_run_record(run) for run in runs])


def folds_view(runs: list[RunFolder]) -> pl.DataFrame:
    """One row a run and fold, as in ``metrics.json``."""
    return records_frame([{**_key(run), **fold} for run in runs for fold in _fold_records(run)])


def predictions_view(runs: list[RunFolder]) -> pl.DataFrame:
    """One row a run and video, as in ``predictions.parquet``."""
    paths = [run.predictions for run in runs if run.predictions.exists()]
    if not paths:
        return _NO_RUNS
    scan = partial(pl.scan_parquet, glob=False, hive_partitioning=False, include_file_paths=_FILE)
    run = pl.col(_FILE).str.strip_suffix(f"/{paths[0].name}").alias("run")
    try:
        return scan(paths).with_columns(run).drop(_FILE).collect()
    except (PolarsError, OSError) as error:  # of several versions, with other columns; or one is broken
        with suppress(PolarsError, OSError):
            each = [scan(path) for path in paths]
            return pl.concat(each, how="diagonal_relaxed").with_columns(run).drop(_FILE).collect()
        raise ArtifactError(next(filter(None, map(_why_unreadable, paths)), str(error))) from error


def _why_unreadable(path: Path) -> str | None:
    try:
        read_own(path)
    except (PolarsError, OSError) as error:
        return f"{path}: cannot be read: {str(error).splitlines()[0]}"
    return None


def coefficients_view(runs: list[RunFolder]) -> pl.DataFrame:
    """One row a run and feature, as in ``coefficients.csv``."""
    alike: dict[bytes, list[tuple[RunFolder, bytes]]] = {}
    for run in runs:
        if run.coefficients.exists():
            header, _, rows = run.coefficients.read_bytes().partition(b"\n")
            alike.setdefault(header, []).append((run, rows))
    frames = [_parsed_at_once(header, parts) for header, parts in alike.items()]
    return pl.concat(frames, how="diagonal_relaxed") if frames else _NO_RUNS


def _parsed_at_once(header: bytes, parts: list[tuple[RunFolder, bytes]]) -> pl.DataFrame:
    """Tables with equal columns, parsed as one, which costs a tenth; one by one where lines are not rows."""
    text = b"".join([header, *(b"\n" + rows.removesuffix(b"\n") for _, rows in parts)])
    try:
        table = pl.read_csv(io.BytesIO(text), infer_schema_length=None)
    except PolarsError:
        table = pl.DataFrame()
    counts = [rows.removesuffix(b"\n").count(b"\n") + 1 for _, rows in parts]
    if len(table) == sum(counts):
        return table.with_columns(run=pl.Series(np.repeat([str(run.path) for run, _ in parts], counts)))
    each = [collect(*scan_table(run.coefficients)).with_columns(run=pl.lit(str(run.path))) for run, _ in parts]
    return pl.concat(each, how="diagonal_relaxed")


VIEWS: Mapping[str, Callable[[list[RunFolder]], pl.DataFrame]] = {
    "runs": runs_view,
    "folds": folds_view,
    "predictions": predictions_view,
    "coefficients": coefficients_view,
}


def _run_record(folder: RunFolder) -> dict[str, Any]:
    run = LoadedRun(folder.path)
    status, results = run.status, run.results if run.has("results") else {}
    record = {
        **_key(folder),
        "state": status.get("state"),
        "reason": status.get("reason"),
        "run_id": results.get("run_id"),
    }
    record |= {name: value for name, value in (results.get("parameters") or {}).items() if not isinstance(value, dict)}
    record |= dict(flat_metrics(results))
    return record | {"flags": results.get("flags", []), "rows": (results.get("data") or {}).get("rows")}


def _key(run: RunFolder) -> dict[str, str]:
    return {"run": str(run.path)}


def _fold_records(folder: RunFolder) -> Records:
    run = LoadedRun(folder.path)
    return run.fold_records if run.has("metrics") else ()
