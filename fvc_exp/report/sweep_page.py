"""Everything that the page of a sweep shows: its leaderboard, what failed, and the best run in full."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
from markupsafe import Markup
from threadpoolctl import threadpool_limits

from fvc_exp.errors import ArtifactError
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.report.pictures import picture
from fvc_exp.report.run_page import RunContent, run_content
from fvc_exp.report.verdict import claim_of
from fvc_exp.runs import plots
from fvc_exp.runs.compare.comparison import Comparison, compare
from fvc_exp.runs.find import runs_of
from fvc_exp.runs.load import read_files, shell_command
from fvc_exp.sweeps import leaderboard
from fvc_exp.sweeps.folder import Plan, SweepFolder
from fvc_exp.sweeps.results import table_of
from fvc_exp.sweeps.show import summary
from fvc_exp.sweeps.states import MemberState, State, inspect

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
    charts: tuple[Markup, ...]
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
        failures=tuple(_failure(each) for each in states if each.state in (State.failed, State.lost)),
        invalid=tuple((count, why) for why, count in Counter(each.reason for each in plan.invalid).most_common()),
        command=shell_command(plan.command),
        best=_best(folder, plan, comparison),
    )


def setting(value: object) -> str:
    """A parameter's value as it is shown."""
    if value is None:
        return "–"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _failure(found: MemberState) -> str:
    message = f": {found.message.splitlines()[0]}" if found.message else ""
    return f"{found.member.run_id} {' '.join(found.member.overrides)}: {found.state.value}: {found.reason}{message}"


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


def _charts(rows: Sequence[BoardRow], floors: dict[str, dict[str, float]]) -> Iterator[Markup]:
    shown = rows[:_SHOWN_AT_TOP]
    top = pl.DataFrame(
        {
            "label": [
                " ".join([f"{row.rank}.", *(setting(each) for each in row.parameters if each is not None)])
                for row in shown
            ],
            "value": [row.auc for row in shown],
            "low": [row.low for row in shown],
            "high": [row.high for row in shown],
        },
        schema_overrides={"low": pl.Float64, "high": pl.Float64},
    )
    yield picture(
        "ranking",
        plots.draw_intervals,
        top,
        title=f"The first {len(top)}",
        x="AUC with its 95 % interval, where the runs can be compared\ndashed: the best floor",
        reference=max(scores["auc"] for scores in floors.values()),
    )
    best: dict[str, dict[float, float]] = {}
    for row in rows:  # in order of their rank: the first of a C is its best
        penalty, c = row.parameters[:2]
        if c is not None and math.isfinite(float(c)):
            best.setdefault(penalty, {}).setdefault(float(c), row.auc)
    if any(len(each) > 1 for each in best.values()):
        yield picture("auc-over-c", plots.draw_auc_over_c, {name: sorted(each.items()) for name, each in best.items()})


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
