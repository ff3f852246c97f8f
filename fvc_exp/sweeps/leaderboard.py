"""Which configuration did best in cross-validation, beside the floors it had to beat, and what is not ranked."""

from __future__ import annotations

import polars as pl

from fvc_exp.errors import ArtifactError
from fvc_exp.io.files import write_atomic
from fvc_exp.runs.compare.ties import TieSummary, ranking_key, simplicity
from fvc_exp.sweeps.folder import SweepFolder

_LEAKS = (pl.col("audit") == "FAIL").fill_null(value=False) & ~pl.col("audit_allow_fail").fill_null(value=False)
_BESIDE_C = ("penalty", "l1_ratio", "solver", "features", "class_weight", "seed")


def rank(results: pl.DataFrame) -> pl.DataFrame:
    """Finished runs in the order of ``fvc compare``: by mean AUC of the folds, of equal ones the simplest first.

    Runs whose audit found leaks are left out, unless ``audit.allow_fail`` was set. The held-out test rows take no
    part, so that the winner's test score stays an honest one.
    """
    if "auc_mean" not in results.columns:
        return results.clear()
    trusted = results.filter(pl.col("auc_mean").is_not_null() & ~_LEAKS)
    keys = [
        ranking_key(row["auc_mean"], simplicity(row["nonzero"], row["final_C"], row["penalty"], row["run_id"]))
        for row in trusted.iter_rows(named=True)
    ]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    ranked = trusted.select(pl.int_range(1, pl.len() + 1).alias("rank"), pl.all().gather(order))
    return _with_edge_flag(ranked)


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
    """AUC and F1 that the best run had to beat, by rule: the scores of rules that look at no feature."""
    if not len(ranked):
        return {}
    columns = [name for name in ranked.columns if name.startswith("floor_") and name.endswith("_auc")]
    rules = [name.removeprefix("floor_").removesuffix("_auc") for name in columns]
    return {rule: {metric: ranked[f"floor_{rule}_{metric}"][0] for metric in ("auc", "f1")} for rule in rules}


def write_csv(sweep: SweepFolder, ranked: pl.DataFrame) -> None:
    """Keep the ranking as ``leaderboard.csv``."""
    write_atomic(sweep.leaderboard, ranked.write_csv)


def ties(sweep: SweepFolder, ranked: pl.DataFrame) -> TieSummary | str:
    """What the ranking is worth: which runs tie with the best one, or why that cannot be tested."""
    from fvc_exp.runs.compare.scored_run import compare_runs, read_run

    try:
        return compare_runs([read_run(sweep.member(run_id).path) for run_id in ranked["run_id"]])
    except ArtifactError as error:
        return f"the ranking cannot be tested: {error}"
