"""Everything that the page of a sweep shows: its leaderboard, what failed, and the whole page of the best run."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from markupsafe import Markup

from fvc_exp.errors import ArtifactError
from fvc_exp.io import console, run_folder
from fvc_exp.report import run_page
from fvc_exp.runs import load, plots
from fvc_exp.runs.compare.comparison import Comparison, compare
from fvc_exp.sweeps import results, show, states
from fvc_exp.sweeps.folder import Plan, SweepFolder

_SHOWN_AT_TOP = 15
_PARAMETERS = ("penalty", "C", "l1_ratio")
_COMPARED = ("low", "high", "tied", "beats_floor")
_VARYING = ("solver", "features", "class_weight", "threshold", "calibration", "seed")


def sweep_content(path: Path) -> dict[str, Any]:
    """What the templates show of a sweep; ``rows`` is the ranking, with interval and marks where runs can be compared.

    ``best`` is the run that the rule ``choice`` took, None until the sweep was collected.

    Raises:
        ArtifactError: this is no sweep, or a file of a finished run is missing or broken.
    """
    folder, plan, members = results.open_results(path)
    table = results.table_of(members)
    ranked = results.rank(table)
    comparison, sentences = _compared(members, ranked)
    warning = results.code_warning(ranked)
    columns = (*_PARAMETERS, *(name for name in _VARYING if name in ranked.columns and ranked[name].n_unique() > 1))
    rows = _board(ranked, comparison)
    floors, leaking = results.floors(ranked), results.leaking(table).iter_rows(named=True)
    return {
        "path": path,
        "choice": plan.config.sweep.choice.name,
        "counts": f"{plan.requested} configurations requested, {len(plan.invalid)} not allowed, "
        f"{len(plan.duplicates)} duplicates, {len(plan.members)} to run: {show.summary(members)}",
        "columns": columns,
        "rows": rows,
        "floors": floors,
        "sentences": (*sentences, *([f"Warning: {warning}"] if warning else [])),
        "pictures": tuple(_pictures(rows, columns, floors)) if len(rows) else (),
        "leaking": tuple(f"{row['run_id']} {row['overrides']}: {row['audit_reasons']}" for row in leaking),
        "failures": tuple(each.failure for each in members if each.state in (states.State.failed, states.State.lost)),
        "invalid": tuple((count, why) for why, count in Counter(each.reason for each in plan.invalid).most_common()),
        "command": load.shell_command(plan.command),
        "best": _best(folder, plan),
    }


def _compared(members: Sequence[states.MemberState], ranked: pl.DataFrame) -> tuple[Comparison | None, tuple[str, ...]]:
    if not len(ranked):
        return None, ("No configuration can be ranked yet.",)
    try:
        found = compare(results.ranked_runs(members, ranked))
    except ArtifactError as error:
        return None, (f"The configurations are not compared: {error}",)
    return found, tuple(found.sentences())


def _board(ranked: pl.DataFrame, comparison: Comparison | None) -> pl.DataFrame:
    """The ranking with the columns of ``_COMPARED``, null where the runs could not be compared."""
    if comparison is None:
        return ranked.with_columns(pl.lit(None, pl.Float64).alias(name) for name in _COMPARED)
    compared = comparison.to_frame().select(pl.col("run").alias("run_id"), *_COMPARED)
    return ranked.join(compared, on="run_id", how="left", maintain_order="left")


def _pictures(board: pl.DataFrame, columns: Sequence[str], floors: dict[str, dict[str, float]]) -> Iterator[Markup]:
    shown = board.head(_SHOWN_AT_TOP)
    labels = [
        f"{row['rank']}. {row['penalty']}"
        + "".join(f", {name}={console.setting_text(row[name])}" for name in columns[1:] if row[name] is not None)
        for row in shown.iter_rows(named=True)
    ]
    yield run_page.picture(
        "ranking",
        plots.draw_intervals,
        shown.select(pl.Series("label", labels), pl.col("auc_mean").alias("value"), "low", "high"),
        title=f"The first {len(shown)}",
        x="AUC with its 95 % interval,\nwhere the runs can be compared\ndashed: the best floor",
        reference=max(scores["auc"] for scores in floors.values()),
    )
    runs = board.select("penalty", pl.col("C").cast(pl.Float64), pl.col("auc_mean").alias("auc"), "low", "high")
    runs = runs.filter(pl.col("C").is_finite())  # null where it has no effect
    if runs["C"].n_unique() > 1:
        yield run_page.picture("auc-over-c", plots.draw_auc_over_c, runs)


def _best(folder: SweepFolder, plan: Plan) -> dict[str, Any] | None:
    if not run_folder.RunFolder(folder.best).status.exists():
        return None
    run = load.require_finished(folder.best)
    run_id = run.results["run_id"]
    overrides = next((member.overrides for member in plan.members if member.run_id == run_id), None)
    return run_page.run_content(run, load.shell_command([*plan.command[:1], *plan.common, *(overrides or [])]))
