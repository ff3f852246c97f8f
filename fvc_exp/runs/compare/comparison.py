"""The comparison as one table: intervals, ties, and what is better than the floor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fvc_exp._typing import Array
from fvc_exp.errors import ArtifactError
from fvc_exp.evaluation.bootstrap import (
    REPLICATES,
    Interval,
    Scored,
    cluster_weights,
    no_signal_dependence,
    weighted_intervals,
)
from fvc_exp.evaluation.statistics import above, holm
from fvc_exp.runs.compare.scored_run import ScoredRun, compare_runs
from fvc_exp.runs.compare.ties import ALPHA, LOWER_IS_BETTER, TieSummary

_SEED = 0  # equal runs get equal intervals


@dataclass(frozen=True)
class Row:
    """One configuration: its interval, the best floor rule's score, and the adjusted p-value of being above it."""

    interval: Interval
    floor: float
    floor_p_value: float

    @property
    def beats_floor(self) -> bool:
        """Whether it is better than guessing, at 5 % for all configurations together."""
        return self.floor_p_value < ALPHA


@dataclass(frozen=True)
class Comparison:
    """The ties, a row for each of their standings, and the names of runs left out because their split leaks."""

    ties: TieSummary
    rows: tuple[Row, ...]
    leaking: tuple[str, ...]

    @property
    def n_beat_floor(self) -> int:
        """How many configurations are better than guessing."""
        return sum(row.beats_floor for row in self.rows)

    def sentences(self) -> list[str]:
        """What to believe."""
        beat = "no configuration is shown to beat the floor"
        if self.n_beat_floor:
            beat = f"{self.n_beat_floor} of {len(self.rows)} configurations are better than the floor"
        return [self.ties.sentence(), f"{beat} ({self.ties.metric}, 5 % error for all of them together)"]

    def to_frame(self) -> pl.DataFrame:
        """One row a configuration, the best first."""
        return pl.DataFrame([self._record(number) for number in range(len(self.rows))])

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        ties = self.ties
        return {
            "metric": ties.metric,
            "configurations": self.to_frame().to_dicts(),
            "tied": ties.n_tied,
            "best": ties.best.name,
            "simplest_tied": ties.simplest.name,
            "one_se": ties.one_se.name,
            "beat_floor": self.n_beat_floor,
            "leaking": list(self.leaking),
            "sentences": self.sentences(),
        }

    def _record(self, number: int) -> dict[str, Any]:
        standing, row = self.ties.standings[number], self.rows[number]
        return {
            "rank": number + 1,
            "run": standing.contender.name,
            "configuration": standing.contender.label,
            "nonzero": standing.contender.nonzero,
            "mean": standing.mean,
            "low": row.interval.low,
            "high": row.interval.high,
            "difference": standing.difference,
            "p_value": standing.p_value,
            "tied": standing.tied,
            "within_one_se": standing.within_one_se,
            "floor": row.floor,
            "floor_p_value": row.floor_p_value,
            "beats_floor": row.beats_floor,
        }


def compare(runs: Sequence[ScoredRun], metric: str = "auc", replicates: int = REPLICATES) -> Comparison:
    """Compare runs of equal folds; those whose audit failed, and is not allowed to, are left out.

    Raises:
        ArtifactError: no run is left, folds differ, the metric is not known, or there are fewer than two folds.
    """
    trusted = [run for run in runs if not run.fails_audit]
    leaking = tuple(run.name for run in runs if run.fails_audit)
    if leaking and not trusted:
        raise ArtifactError(f"the audit of every run failed ({', '.join(leaking)}): their splits leak")
    ties = compare_runs(trusted, metric)
    scored = {run.name: Scored.from_predictions(run.run.predictions, "cv") for run in trusted}
    weights = _weights(scored[trusted[0].name], replicates)
    by_name = {run.name: run for run in trusted}
    ordered = [by_name[standing.contender.name] for standing in ties.standings]
    found = [_row(run, scored[run.name], weights, metric) for run in ordered]
    adjusted = holm(np.array([row.floor_p_value for row in found]))
    rows = (Row(row.interval, row.floor, p) for row, p in zip(found, adjusted.tolist(), strict=True))
    return Comparison(ties, tuple(rows), leaking)


def show(console: Console, comparison: Comparison) -> None:
    """Print the table, then what to believe of it."""
    title = f"{comparison.ties.metric}: mean of folds with its 95 % interval; p: no different from the best (Holm)"
    table = Table(title=title, title_justify="left", title_style="", box=SIMPLE_HEAD)
    for name in ("rank", "run", "configuration", "coefs", "mean", "interval", "p", "ties", "1 SE", "> floor"):
        table.add_column(name, justify="left" if name in ("run", "configuration") else "right", overflow="fold")
    for row in comparison.to_frame().iter_rows(named=True):
        interval = f"{row['low']:.3f} to {row['high']:.3f}"
        marks = ("yes" if row[name] else "-" for name in ("tied", "within_one_se", "beats_floor"))
        numbers = (str(row["nonzero"]), f"{row['mean']:.3f}", interval, f"{row['p_value']:.3f}")
        table.add_row(str(row["rank"]), escape(row["run"]), escape(row["configuration"]), *numbers, *marks)
    console.print(table)
    for name in comparison.leaking:
        console.print(f"left out: {name}: its audit failed", style="red", markup=False, soft_wrap=True)
    for sentence in comparison.sentences():
        console.print(sentence, markup=False, soft_wrap=True)


def _weights(scored: Scored, replicates: int) -> Array:
    return cluster_weights(scored.strata, replicates, np.random.default_rng(_SEED))


def _row(run: ScoredRun, scored: Scored, weights: Array, metric: str) -> Row:
    dependence = run.results["fold_dependence"]
    interval = weighted_intervals(scored, weights, dependence, (metric,))[metric]
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    floor = max((scores[metric] for scores in run.results["floors"]["cv"].values()), key=lambda score: sign * score)
    p_value = floor_p_value(
        interval, floor, dependence=dependence, folds=run.folds, groups=len(scored.strata), sign=sign
    )
    return Row(interval, floor, p_value)


def floor_p_value(
    interval: Interval, floor: float, *, dependence: float, folds: int, groups: int, sign: float = 1.0
) -> float:
    """One-sided p-value of "no better than the floor", from an interval that was widened for ``dependence``.

    Whoever claims skill has to refute that there is none, and then the models follow nothing but their training rows,
    so the standard error is that of Nadeau and Bengio. ``sign`` is -1 where less is better.
    """
    error = interval.standard_error * math.sqrt((1 + no_signal_dependence(folds)) / (1 + dependence))
    return above(sign * interval.estimate, error, sign * floor, groups - 2)
