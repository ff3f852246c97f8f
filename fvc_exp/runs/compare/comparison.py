"""The comparison as one table: intervals, ties, and what is better than the floor."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from fvc_exp.data.folds import CV
from fvc_exp.errors import ArtifactError
from fvc_exp.evaluation import bootstrap, claims, resampled, statistics
from fvc_exp.evaluation.leakage.codes import audit_mark
from fvc_exp.runs.compare.ties import RankedCandidate, TieSummary, compare_runs
from fvc_exp.runs.load import LoadedRun


@dataclass(frozen=True)
class ComparedRun:
    """One ranked configuration: its interval, its comparison with the best floor, and the adjusted p-value of that.

    ``audit`` is its verdict and number of warnings, ``refusal`` why nothing may be claimed of it (else empty).
    """

    ranked: RankedCandidate
    interval: bootstrap.Interval
    claim: claims.FloorClaim | None
    floor_p_value: float
    audit: str
    refusal: str

    @property
    def beats_floor(self) -> bool | None:
        """Whether it is better than guessing, at 5 % for all configurations together; None if it may not be claimed."""
        return None if self.refusal else self.floor_p_value < statistics.ALPHA

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        ranked, candidate = self.ranked, self.ranked.candidate
        return {
            "run": candidate.name,
            "configuration": candidate.label,
            "nonzero": candidate.nonzero,
            "mean": candidate.mean,
            "low": self.interval.low,
            "high": self.interval.high,
            "difference": ranked.difference,
            "p_value": ranked.p_value,
            "tied": ranked.tied,
            "within_one_se": ranked.within_one_se,
            "floor": self.claim.floor_score if self.claim else None,
            "floor_p_value": self.floor_p_value,
            "beats_floor": self.beats_floor,
            "audit": self.audit,
        }


@dataclass(frozen=True)
class Comparison:
    """The ties, one row per configuration in their order, and the names of runs left out because their split leaks."""

    ties: TieSummary
    rows: tuple[ComparedRun, ...]
    leaking: tuple[str, ...]

    @property
    def n_beat_floor(self) -> int:
        """How many configurations are better than guessing."""
        return sum(row.beats_floor or False for row in self.rows)

    def sentences(self) -> list[str]:
        """The conclusions, as sentences."""
        if all(row.refusal for row in self.rows):
            return [str(self.ties), f"no claim against the floor is made: {self.rows[0].refusal}"]
        beat = "no configuration is shown to beat the floor"
        if self.n_beat_floor:
            beat = f"{self.n_beat_floor} of {len(self.rows)} configurations are better than the floor"
        return [str(self.ties), f"{beat} ({self.ties.metric}, 5 % error for all of them together)"]

    def to_frame(self) -> pl.DataFrame:
        """One row per configuration, the best first."""
        return pl.DataFrame([{"rank": rank, **row.to_json()} for rank, row in enumerate(self.rows, 1)])

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


def compare(runs: Sequence[LoadedRun], metric: str = "auc", replicates: int = bootstrap.REPLICATES) -> Comparison:
    """Compare runs of equal folds; those whose audit failed, and is not allowed to, are left out.

    Raises:
        ArtifactError: no run is left, folds differ, the metric is not known, or there are fewer than two folds.
    """
    audits = {run.name: run.results["audit"] for run in runs}
    leaking = tuple(name for name, audit in audits.items() if audit["verdict"] == "FAIL" and not audit["allow_fail"])
    trusted = {run.name: run for run in runs if run.name not in leaking}
    if leaking and not trusted:
        raise ArtifactError(f"the audit of every run failed ({', '.join(leaking)}): their splits leak")
    ties = compare_runs(list(trusted.values()), metric)
    best = resampled.Scored.from_predictions(trusted[ties.best.name].predictions, CV)
    # Of all: equal folds have equal rows.
    draws, floors = bootstrap.draws_of(best, replicates), claims.Floors(best, (metric,))
    rows, counts = list[ComparedRun](), best.group_counts
    is_drawn = replicates == bootstrap.few_replicates(len(best.strata))  # the claims tell of the same draws
    with threadpool_limits(limits=1):  # its matrices are small: more threads cost CPU and save no time
        for each in ties.ranking:
            run = trusted[each.candidate.name]
            dependence, audit = run.results["fold_dependence"], audits[run.name]
            own = best.of_model(run.table("predictions"), CV)  # which is not kept: there may be thousands
            claim = floors.claims(own, selected_from=run.selected_from).get(metric)
            if claim and is_drawn:
                score, error = claim.score, claim.standard_error
            else:
                drawn = draws.scores(own, (metric,))[metric]
                score, error = float(drawn[0]), resampled.replicate_error(drawn)
            interval = bootstrap.interval_of(metric, score, error, dependence, counts)
            p_value, why = claim.p_value if claim else 1.0, claims.refusal(claim, audit["verdict"])
            rows.append(ComparedRun(each, interval, claim, p_value, audit_mark(audit), why))
    adjusted = statistics.holm(np.array([row.floor_p_value for row in rows])).tolist()
    compared = (replace(row, floor_p_value=p_value) for row, p_value in zip(rows, adjusted, strict=True))
    return Comparison(ties, tuple(compared), leaking)
