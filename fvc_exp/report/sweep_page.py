"""Everything that the page of a sweep says: its leaderboard, what failed, and the best run in full."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
from threadpoolctl import threadpool_limits

from fvc_exp.errors import ArtifactError
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.report.charts import SERIES, LineChart, RangeChart, RangeRow, Series, line_chart, range_chart
from fvc_exp.report.run_page import RunContent, run_content
from fvc_exp.report.verdict import claim_of
from fvc_exp.runs.compare.comparison import Comparison, compare
from fvc_exp.runs.find import runs_of
from fvc_exp.runs.load import read_files, shell_command
from fvc_exp.sweeps import leaderboard
from fvc_exp.sweeps.folder import Plan, SweepFolder
from fvc_exp.sweeps.results import table_of
from fvc_exp.sweeps.show import failure_line, summary
from fvc_exp.sweeps.states import State, inspect

_SHOWN_AT_TOP = 15


_CHOSEN = "It was chosen by these scores, which flatters them; the held-out test was not used to choose."


_PARAMETERS = ("penalty", "C", "l1_ratio", "solver")


_VARYING = ("features", "class_weight", "threshold", "calibration", "seed")


@dataclass(frozen=True)
class BoardRow:
    """One ranked configuration; low, high and the marks are None if the runs could not be compared."""

    rank: int
    run_id: str
    parameters: tuple[Any, ...]
    auc: float
    std: float | None
    low: float | None
    high: float | None
    f1: float
    nonzero: int | None
    tied: bool | None
    beats_floor: bool | None
    flags: str


@dataclass(frozen=True)
class SweepContent:
    """One sweep; ``best`` is the run that the rule ``choice`` took, None until the sweep was collected."""

    path: Path
    name: str
    choice: str
    counts: str
    columns: tuple[str, ...]
    rows: tuple[BoardRow, ...]
    floors: dict[str, dict[str, float]]
    sentences: tuple[str, ...]
    charts: tuple[LineChart | RangeChart, ...]
    leaking: tuple[str, ...]
    failures: tuple[str, ...]
    invalid: tuple[tuple[int, str], ...]
    command: str | None
    best: RunContent | None

    @property
    def collect_command(self) -> str:
        """What makes the best run."""
        return shlex.join(["fvc", "collect", str(self.path)])


def sweep_content(path: Path) -> SweepContent:
    """Put together the page of a sweep.

    Raises:
        ArtifactError: this is no sweep, or a file of a finished run is missing or broken.
    """
    folder = SweepFolder(path)
    plan = folder.read_plan()
    states = inspect(folder, plan)
    results = table_of(folder, states)
    ranked = leaderboard.rank(results)
    comparison, sentences = _compared(path) if len(ranked) else (None, ("No configuration can be ranked yet.",))
    varying = [name for name in _VARYING if name in ranked.columns and ranked[name].n_unique() > 1]
    columns = (*_PARAMETERS, *varying)
    rows = tuple(_rows(ranked, columns, comparison))
    floors = leaderboard.floors(ranked)
    return SweepContent(
        path=path,
        name=path.resolve().name,
        choice=plan.choice,
        counts=f"{plan.requested} configurations requested, {len(plan.invalid)} not allowed, "
        f"{len(plan.duplicates)} duplicates, {len(plan.members)} to run: {summary(states)}",
        columns=columns,
        rows=rows,
        floors=floors,
        sentences=sentences,
        charts=tuple(_charts(rows, floors)) if rows else (),
        leaking=tuple(
            f"{row['run_id']} {row['overrides']}: {row['audit_reasons']}"
            for row in leaderboard.leaking(results).iter_rows(named=True)
        ),
        failures=tuple(failure_line(each) for each in states if each.state in (State.failed, State.lost)),
        invalid=tuple((count, why) for why, count in Counter(each.reason for each in plan.invalid).most_common()),
        command=shell_command(plan.command),
        best=_best(folder, plan, comparison),
    )


def _compared(path: Path) -> tuple[Comparison | None, tuple[str, ...]]:
    try:
        with threadpool_limits(1):  # hundreds of small matrix products; threads would mostly wait for each other
            found = compare(runs_of([path]))
    except ArtifactError as error:
        return None, (f"The configurations are not compared: {error}",)
    return found, tuple(found.sentences())


def _rows(ranked: pl.DataFrame, columns: Sequence[str], comparison: Comparison | None) -> list[BoardRow]:
    compared = {row["run"]: row for row in comparison.to_frame().to_dicts()} if comparison else {}
    rows = []
    for row in ranked.iter_rows(named=True):
        other = compared.get(row["run_id"], {})
        rows.append(
            BoardRow(
                rank=row["rank"],
                run_id=row["run_id"],
                parameters=tuple(row[name] for name in columns),
                auc=row["auc_mean"],
                std=row["auc_std"],
                low=other.get("low"),
                high=other.get("high"),
                f1=row["f1_mean"],
                nonzero=other.get("nonzero"),
                tied=other.get("tied"),
                beats_floor=other.get("beats_floor"),
                flags=row["flags"],
            )
        )
    return rows


def _charts(rows: Sequence[BoardRow], floors: dict[str, dict[str, float]]) -> list[LineChart | RangeChart]:
    top = [
        RangeRow(
            label=f"{row.rank}. " + " ".join(f"{value}" for value in row.parameters if value is not None),
            value=row.auc,
            low=row.auc if row.low is None else row.low,
            high=row.auc if row.high is None else row.high,
            text=f"{row.auc:.3f}" + ("" if row.low is None else f" ({row.low:.3f} to {row.high:.3f})"),
        )
        for row in rows[:_SHOWN_AT_TOP]
    ]
    reference = max(scores["auc"] for scores in floors.values())
    charts: list[LineChart | RangeChart] = [range_chart(f"The first {len(top)}", top, x="AUC", reference=reference)]
    lines = _over_c(rows)
    if lines:
        title, x = "AUC over C, the best of each penalty", "C (small = strong penalty)"
        charts.append(line_chart(title, lines, x=x, y="AUC", log=True))
    return charts


def _over_c(rows: Sequence[BoardRow]) -> list[Series]:
    """The best AUC of each C, a line a penalty; nothing where C does not vary."""
    best: dict[str, dict[float, float]] = {}
    for row in rows:  # in order of their rank: the first of a C is its best
        penalty, c = row.parameters[:2]
        if c is not None and math.isfinite(float(c)):
            best.setdefault(penalty, {}).setdefault(float(c), row.auc)
    if max((len(each) for each in best.values()), default=0) < 2:
        return []
    return [
        Series(penalty, style, sorted(best[penalty].items()), dots=True)
        for penalty, style in zip(sorted(best), SERIES, strict=False)
    ]


def _best(folder: SweepFolder, plan: Plan, comparison: Comparison | None) -> RunContent | None:
    """The refitted best run, whose claim is that of the whole comparison: it was chosen by these very scores."""
    if not RunFolder(folder.best).status.exists():
        return None
    files = read_files(folder.best)
    run_id = files.results["run_id"]
    overrides = next((member.overrides for member in plan.members if member.run_id == run_id), None)
    found = run_content(replace(files, command=shell_command(["run.py", *plan.common, *(overrides or [])])))
    if comparison is None or found.verdict.audit == "FAIL":
        return found
    row = next((row for row in comparison.to_frame().to_dicts() if row["run"] == run_id), None)
    if row is None:
        return found
    note = f" as one of {len(comparison.rows)} configurations"
    grade, claim = claim_of(row["mean"], row["floor"], row["floor_p_value"], beats=row["beats_floor"], note=note)
    return replace(found, verdict=replace(found.verdict, grade=grade, claim=f"{claim} {_CHOSEN}"))
