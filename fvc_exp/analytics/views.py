"""Ready tables over all runs below a folder, for SQL. ``VIEWS`` names them."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
from polars import selectors

from fvc_exp.analytics.sql import DuckDBAnalytics, records_frame
from fvc_exp.errors import QueryError
from fvc_exp.io.run_folder import seconds_of
from fvc_exp.runs import load, stored

_PER_FOLD = r"^repeat(\d+)_fold(\d+)$"  # a column of coefficients.csv


def query_runs(sql: str, folder: Path, save: Path | None = None, timeout: float | None = None) -> pl.DataFrame:
    """Run a query over views of all runs below a folder: those it names, or all where it names none.

    All views become tables of the DuckDB file ``save``, in place of those of the same name.

    Raises:
        DataError: there is no run.
        ArtifactError: it is no folder, or a file of a run is broken.
        QueryError: the database refuses the statement or stops it, as in ``query``, or ``save`` cannot be written.
        MissingExtraError: DuckDB is not installed.
    """
    runs = load.runs_below(folder)
    named = [name for name in VIEWS if re.search(rf"\b{name}\b", sql, re.IGNORECASE)]
    with DuckDBAnalytics(save or ":memory:") as analytics:
        for name in VIEWS if save or not named else named:
            analytics.register_dataframe(name, VIEWS[name](runs))
        try:
            return analytics.query(sql, timeout=timeout)
        except QueryError as error:
            known = f"; tables are {', '.join(VIEWS)}" if "Table with name" in str(error) else ""
            raise QueryError(f"{error}{known}") from error


def runs_view(runs: list[load.LoadedRun]) -> pl.DataFrame:
    """One row per training run that is done: data, audit, times, parameters, and its numbers.

    These are ``cv_<metric>_mean``, ``cv_<metric>_std``, ``test_<metric>`` and ``floor_<rule>_<metric>``.
    """
    return _records([_run_row(run) for run in runs if run.is_finished])


def other_runs_view(runs: list[load.LoadedRun]) -> pl.DataFrame:
    """One row per other run: of a stage that trains nothing, or failed, with the reason."""
    others = (run for run in runs if not run.is_finished)
    return _records([_facts(run) | {key: run.status.get(key) for key in ("reason", "message")} for run in others])


def folds_view(runs: list[load.LoadedRun]) -> pl.DataFrame:
    """One row per run and fold, as in ``metrics.json``."""
    scored = (run for run in runs if run.has("metrics"))
    return _records([{"run": str(run.path), **fold} for run in scored for fold in run.fold_records])


def predictions_view(runs: list[load.LoadedRun]) -> pl.DataFrame:
    """One row per run and video, as in ``predictions.parquet``."""
    return _stacked(runs, "predictions")


def coefficients_view(runs: list[load.LoadedRun]) -> pl.DataFrame:
    """One row per run and feature: the final model, as in ``coefficients.csv``."""
    return _stacked(runs, "coefficients").select(~selectors.matches(_PER_FOLD))


def fold_coefficients_view(runs: list[load.LoadedRun]) -> pl.DataFrame:
    """One row per run, fold and feature: the coefficients of the models of the folds."""
    wide = _stacked(runs, "coefficients")
    ids = {str(run.path): run.results["run_id"] for run in runs if run.has("results")}
    long = wide.unpivot(selectors.matches(_PER_FOLD), index=~selectors.matches(_PER_FOLD), variable_name="place")
    return long.drop_nulls("value").select(
        "run",
        run_id=pl.col("run").replace_strict(ids, default=None, return_dtype=pl.String),
        repeat=pl.col("place").str.extract(_PER_FOLD, 1).cast(pl.Int64),
        fold=pl.col("place").str.extract(_PER_FOLD, 2).cast(pl.Int64),
        feature="feature",
        value="value",
    )


def _stacked(runs: list[load.LoadedRun], name: str) -> pl.DataFrame:
    """One table of the same file of all runs. A column that a file of another version lacks is null in its rows."""
    having = [run for run in runs if run.has(name)]
    frames: list[pl.DataFrame] = [getattr(run, name).with_columns(run=pl.lit(str(run.path))) for run in having]
    kinds = {column: getattr(pl, kind) for column, kind in stored.TABLES[name].items()}
    return pl.concat(frames or [pl.DataFrame(schema=kinds | {"run": pl.String})], how="diagonal_relaxed")


_VIEWS = (runs_view, other_runs_view, folds_view, predictions_view, coefficients_view, fold_coefficients_view)
VIEWS = {each.__name__.removesuffix("_view"): each for each in _VIEWS}


def _records(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """The rows as a table; a table without rows still has its first column."""
    return records_frame(rows) if rows else pl.DataFrame(schema={"run": pl.String})


def _facts(run: load.LoadedRun) -> dict[str, Any]:
    """What is known of every run; ``started`` is in UTC."""
    sweep, started = run.path.absolute().parent.parent, run.status.get("started")
    return {
        "run": str(run.path),
        "data": run.data_name if run.has("config") else None,
        "stage": run.stage if run.has("config") else None,
        "sweep": sweep.name if (sweep / "plan.json").exists() else None,
        "state": run.status.get("state"),
        "started": datetime.fromisoformat(started).replace(microsecond=0, tzinfo=None) if started else None,
        "seconds": seconds_of(run.status),
    }


def _run_row(run: load.LoadedRun) -> dict[str, Any]:
    results = run.results
    audit = results["audit"]
    return {
        **_facts(run),
        **{name: results[name] for name in ("name", "tags", "run_id")},
        **dict.fromkeys(("penalty", "C", "l1_ratio")),
        **{name: value for name, value in results["parameters"].items() if not isinstance(value, dict)},
        **dict(stored.flat_metrics(results)),
        "audit_warnings": audit["warnings"],
        "flags": results["flags"],
        "rows": results["data"]["rows"],
        "audit": audit["verdict"],  # last: a narrow terminal shows the first columns and the last ones
    }
