"""Which configuration did best in cross-validation, beside what it had to beat, and what did not get that far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from fvc_exp.errors import ArtifactError
from fvc_exp.io.files import write_atomic
from fvc_exp.io.run_folder import failure_text
from fvc_exp.sweeps.folder import Plan, SweepFolder
from fvc_exp.sweeps.states import MemberState, State

if TYPE_CHECKING:
    from fvc_exp.runs.compare.ties import TieSummary


METRICS = {"auc": "AUC", "f1": "F1"}


_NUMBERS = ("rank", "C", "l1_ratio", "seed")


_LEAKS = (pl.col("audit") == "FAIL").fill_null(value=False) & ~pl.col("audit_allow_fail").fill_null(value=False)


_BESIDE_C = ("penalty", "l1_ratio", "solver", "features", "class_weight", "seed")


_SIMPLICITY = {"l1": 0, "elasticnet": 1, "l2": 2, "none": 3}


def rank(results: pl.DataFrame) -> pl.DataFrame:
    """Finished runs by mean AUC of the folds, best first; equal ones by simplicity: smaller C, then sparser penalty.

    Runs whose audit found leaks are left out, unless ``audit.allow_fail`` was set. The held-out test rows take no
    part, so that the winner's test score stays an honest one.
    """
    if "auc_mean" not in results.columns:
        return results.clear()
    trusted = results.filter(pl.col("auc_mean").is_not_null() & ~_LEAKS)
    order = trusted.with_columns(
        pl.col("penalty").replace_strict(_SIMPLICITY, return_dtype=pl.Int64).alias("_sparse"),
        pl.col("C").cast(pl.Float64).fill_null(float("inf")).alias("_strength"),
    ).sort("auc_mean", "_strength", "_sparse", "solver", "run_id", descending=[True, False, False, False, False])
    ranked = order.drop("_sparse", "_strength")
    return _with_edge_flag(ranked.select(pl.int_range(1, len(ranked) + 1).alias("rank"), pl.all()))


def _with_edge_flag(ranked: pl.DataFrame) -> pl.DataFrame:
    """``edge_of_grid`` for the first one, if a smaller or larger C than its own was not tried beside it."""
    if not len(ranked):
        return ranked
    from fvc_exp.training.notes import edge_of_grid

    best = ranked.row(0, named=True)
    beside = ranked.filter(pl.all_horizontal(pl.col(name).eq_missing(best[name]) for name in _BESIDE_C))
    if best["C"] is None or not edge_of_grid(best["C"], beside["C"].drop_nulls().to_list()):
        return ranked
    flagged = f"{best['flags']} edge_of_grid".strip()
    is_best = pl.col("rank") == 1
    return ranked.with_columns(pl.when(is_best).then(pl.lit(flagged)).otherwise("flags").alias("flags"))


def leaking(results: pl.DataFrame) -> pl.DataFrame:
    """Finished runs that are not ranked, because their audit found leaks."""
    return results.filter(_LEAKS) if "audit" in results.columns else results.clear()


def floors(ranked: pl.DataFrame) -> dict[str, dict[str, float]]:
    """What the best run had to beat, by rule and metric: the scores of rules that look at no feature."""
    if not len(ranked):
        return {}
    columns = [name for name in ranked.columns if name.startswith("floor_") and name.endswith("_auc")]
    rules = [name.removeprefix("floor_").removesuffix("_auc") for name in columns]
    return {rule: {metric: ranked[f"floor_{rule}_{metric}"][0] for metric in METRICS} for rule in rules}


def as_json(plan: Plan, states: Sequence[MemberState], results: pl.DataFrame) -> dict[str, Any]:
    """The leaderboard of collected results as plain data."""
    ranked = rank(results)
    return {
        "requested": plan.requested,
        "invalid": len(plan.invalid),
        "duplicates": len(plan.duplicates),
        "ranking": ranked.to_dicts(),
        "floors": floors(ranked),
        "leaking": leaking(results).to_dicts(),
        "failures": [
            {"run_id": each.member.run_id, "overrides": each.member.overrides, "state": each.state.value,
             "reason": each.reason, "message": each.message}
            for each in states if each.state is not State.done
        ],
    }  # fmt: skip


def write_csv(sweep: SweepFolder, ranked: pl.DataFrame) -> None:
    """Keep the ranking as ``leaderboard.csv``."""
    write_atomic(sweep.leaderboard, ranked.write_csv)


def show(console: Console, plan: Plan, states: Sequence[MemberState], results: pl.DataFrame) -> None:
    """Print the ranking with its floors, then what failed and why, and what was never run."""
    ranked = rank(results)
    if len(ranked):
        console.print(_table(ranked))
    for row in leaking(results).iter_rows(named=True):
        text = f"not ranked: {row['run_id']} {row['overrides']}: its audit failed: {row['audit_reasons']}"
        console.print(text, style="red", markup=False, soft_wrap=True)
    for each in states:
        if each.state in (State.failed, State.lost):
            console.print(f"{each.state.value}: {failure(each)}", style="red", markup=False, soft_wrap=True)
    if plan.invalid:
        console.print(f"{len(plan.invalid)} invalid configurations were not run:")
        for reason, count in Counter(refused.reason for refused in plan.invalid).most_common():
            console.print(f"  {count} x {reason}", markup=False, soft_wrap=True)


def ties(sweep: SweepFolder, ranked: pl.DataFrame) -> TieSummary | str:
    """What the ranking is worth: which runs tie with the best one, or why nobody can say."""
    from fvc_exp.runs.compare.scored_run import compare_runs, read_run

    try:
        return compare_runs([read_run(sweep.member(run_id).path) for run_id in ranked["run_id"]])
    except ArtifactError as error:
        return f"the ranking cannot be tested: {error}"


def show_ties(console: Console, found: TieSummary | str) -> None:
    """Print it as one sentence."""
    console.print(found if isinstance(found, str) else found.sentence(), markup=False, soft_wrap=True)


def failure(found: MemberState) -> str:
    """One line on a member that did not make it."""
    log = f" (log: {found.log})" if found.log and found.log.exists() else ""
    return f"{found.member.run_id} {' '.join(found.member.overrides)}: {failure_text(found.reason, found.message)}{log}"


def _table(ranked: pl.DataFrame) -> Table:
    title = "ranked by the mean AUC of the folds; mean ± sd"
    table = Table(title=title, title_justify="left", title_style="", box=SIMPLE_HEAD, collapse_padding=True)
    varying = [name for name in ("features", "class_weight", "seed") if ranked[name].n_unique() > 1]
    settings = ("rank", "penalty", "C", "l1_ratio", "solver", *varying)
    for name in settings:
        table.add_column(name, justify="right" if name in _NUMBERS else "left", no_wrap=True)
    for title in METRICS.values():
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("flags", style="red", overflow="fold")
    for row in ranked.iter_rows(named=True):
        table.add_row(*(_text(row[name]) for name in settings), *(_score(row, name) for name in METRICS), row["flags"])
    table.add_section()
    for rule, scores in floors(ranked).items():
        blank = [""] * (len(settings) - 2)
        table.add_row("floor", rule, *blank, *(f"{scores[metric]:.3f}" for metric in METRICS), "", style="dim")
    return table


def _score(row: dict[str, Any], metric: str) -> str:
    deviation = row[f"{metric}_std"]
    return f"{row[f'{metric}_mean']:.3f}" + ("" if deviation is None else f" ± {deviation:.3f}")


def _text(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:g}" if isinstance(value, float) else str(value)
