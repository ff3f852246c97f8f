"""A sweep's results as tables, rebuilt from the run folders any number of times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from fvc_exp.io import files
from fvc_exp.io.tables import parquet_bytes
from fvc_exp.sweeps.folder import SweepFolder
from fvc_exp.sweeps.states import MemberState, State, member_states

Row = dict[str, Any]


def collect_results(sweep: SweepFolder, states: Sequence[MemberState]) -> pl.DataFrame:
    """Write ``results.parquet``, ``results.csv`` and ``results_folds.parquet``; returns the first: one row per member.

    Raises:
        ArtifactError: a file of a finished run is missing or broken, or the folder cannot be written.
    """
    table = table_of(sweep, states)
    folds = [
        {"run_id": each.member.run_id, **record}
        for each in states
        if _has_scores(each)
        for record in files.read_json(sweep.member(each.member.run_id).metrics)
    ]
    files.write_atomic(sweep.results_csv, table.write_csv)
    files.write_bytes(sweep.results, parquet_bytes(table))
    files.write_bytes(sweep.folds, parquet_bytes(pl.DataFrame(folds, infer_schema_length=None)))
    return table


def load_sweep(path: str | Path) -> pl.DataFrame:
    """One row per configuration of a sweep, now: ``state``, ``reason`` where it did not finish, parameters and scores.

    The same table that ``fvc collect`` writes as ``results.parquet``.

    Raises:
        ArtifactError: this is no folder of a sweep, or a file of a finished run is missing or broken.
    """
    folder = SweepFolder(Path(path))
    return table_of(folder, member_states(folder, folder.read_plan()))


def table_of(sweep: SweepFolder, states: Sequence[MemberState]) -> pl.DataFrame:
    """One row per member: state, parameters, and for a finished one its scores, floors and flags.

    Raises:
        ArtifactError: a file of a finished run is missing or broken.
    """
    return pl.DataFrame([_row(sweep, each) for each in states], infer_schema_length=None)


def _row(sweep: SweepFolder, found: MemberState) -> Row:
    member, status = found.member, found.status or {}
    row: Row = {"run_id": member.run_id, "state": found.state.value, "reason": found.reason or None}
    row |= flat_parameters(member.parameters)
    row |= {"overrides": " ".join(member.overrides), "data_sha256": member.data_sha256}
    row |= {"attempt": found.attempt, "host": found.host, "job": found.job}
    row |= {"started": status.get("started"), "ended": status.get("ended"), "seconds": _seconds(status)}
    return row | _numbers(files.read_json(sweep.member(member.run_id).results)) if _has_scores(found) else row


def _has_scores(found: MemberState) -> bool:
    return found.state is State.done and found.member.trains


def flat_parameters(parameters: dict[str, Any]) -> Row:
    """Parameters as columns: those of the folds with a prefix, a list as text, null where one has no effect."""
    row: Row = dict.fromkeys(("penalty", "C", "l1_ratio", "solver"))
    for key, value in parameters.items():
        if isinstance(value, dict):
            row |= {f"{key}_{name}": _cell(item) for name, item in value.items()}
        else:
            row[key] = _cell(value)
    return row


def _cell(value: Any) -> Any:
    """The value, or a list as text, since CSV has no lists."""
    return "+".join(map(str, value)) if isinstance(value, (list, tuple)) else value


def _numbers(results: dict[str, Any]) -> Row:
    audit, final = results["audit"], results["final_model"]
    row: Row = {"flags": " ".join(results["flags"]), "audit": audit["verdict"], "audit_allow_fail": audit["allow_fail"]}
    row |= {"audit_reasons": " ".join(audit["reasons"]), "n_iter": final["n_iter"], "converged": final["converged"]}
    row |= {"final_C": final.get("C"), "nonzero": final.get("nonzero")}  # null in runs of an older version
    for metric, summary in results["cv"].items():
        row |= {f"{metric}_mean": summary["mean"], f"{metric}_std": summary["std"]}
    row |= {f"test_{metric}": value for metric, value in (results["test"] or {}).items()}
    for floor, scores in results["floors"]["cv"].items():
        row |= {f"floor_{floor}_{metric}": value for metric, value in scores.items()}
    return row


def _seconds(status: Mapping[str, Any]) -> float | None:
    if "started" not in status or "ended" not in status:
        return None
    return (datetime.fromisoformat(status["ended"]) - datetime.fromisoformat(status["started"])).total_seconds()
