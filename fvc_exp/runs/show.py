"""What a run, a comparison of runs and an explained run print in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from rich.console import Console
from rich.table import Table

from fvc_exp.evaluation.leakage.certificate import print_certificate
from fvc_exp.io.console import frame_table
from fvc_exp.training.notes import FLAGS

if TYPE_CHECKING:
    from fvc_exp.runs.compare.comparison import Comparison
    from fvc_exp.runs.explain.explain import Insight
    from fvc_exp.training.experiment import RunResult

SHOWN = ("auc", "average_precision", "f1", "precision", "recall", "f1_real", "balanced_accuracy", "accuracy", "mcc",
         "log_loss", "brier")  # fmt: skip
_WITH_INTERVAL = ("auc", "average_precision", "f1", "balanced_accuracy")
_MOST_FEATURES = 15


def print_result(console: Console, result: RunResult, folder: Path) -> None:
    """Print warnings, the metrics with their floors, the audit and the calibration, and where the files are."""
    for note in result.notes:
        console.print(f"note: {note}", style="yellow", soft_wrap=True, markup=False)
    for flag in result.flags:
        console.print(f"flag: {flag}: {FLAGS[flag]}", style="red", markup=False, soft_wrap=True)
    console.print(_metric_table(result))
    print_certificate(console, result.certificate)
    calibration = result.reliability
    console.print(
        f"calibration ({result.config.calibration.name}): ECE {calibration.ece:.3f}; Brier {calibration.brier:.3f} = "
        f"reliability {calibration.reliability:.3f} - resolution {calibration.resolution:.3f} + uncertainty "
        f"{calibration.uncertainty:.3f} + within bins {calibration.within_bins:.3f}",
        soft_wrap=True,
    )
    if (nested := result.nested) is not None:
        console.print(
            f"nested: AUC {nested.auc:.3f}; the best C by plain cross-validation, {nested.best:g}, has "
            f"{nested.plain[nested.best]:.3f}, so it is optimistic by {nested.optimism:.3f}",
            soft_wrap=True,
        )
    if result.config.data.name == "demo":
        console.print("The demo corpus is synthetic: it shows the pipeline and leakage, not detection skill.")
    console.print(f"results in {folder}", soft_wrap=True, markup=False)


def _metric_table(result: RunResult) -> Table:
    config, dataset, split = result.config, result.dataset, result.split
    title = (
        f"{config.data.name}: {len(dataset.y)} videos in {dataset.n_groups} groups, "
        f"{len(dataset.feature_names)} features; {len(split.folds)} {config.cv.scheme.name} folds, "
        f"{len(split.test)} videos held out"
    )
    rows = [
        {
            "metric": name,
            "CV mean ± sd": _mean_and_deviation(**result.summary[name]),
            "held-out test": result.test_scores[name] if result.test_scores else None,
            **{f"floor:\n{floor}": scores[name] for floor, scores in result.floors.items()},
        }
        for name in SHOWN
    ]
    return frame_table(pl.DataFrame(rows), title, floats=".3f", right=("CV mean ± sd", "held-out test"))


def _mean_and_deviation(mean: float, std: float | None) -> str:
    return f"{mean:.3f}" + ("" if std is None else f" ± {std:.3f}")


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Print the table, then what to believe of it."""
    titles = {"nonzero": "coefs", "p_value": "p", "tied": "ties", "within_one_se": "1 SE", "beats_floor": "> floor"}
    frame = comparison.to_frame().drop("difference", "floor", "floor_p_value").rename(titles)
    title = (
        f"{comparison.ties.metric}: mean of the folds with its 95 % interval (low to high); "
        "p: no different from the best (Holm)"
    )
    console.print(frame_table(frame, title, floats=".3f"))
    for name in comparison.leaking:
        console.print(f"left out: {name}: its audit failed", style="red", markup=False, soft_wrap=True)
    for sentence in comparison.sentences():
        console.print(sentence, markup=False, soft_wrap=True)


def print_insight(console: Console, insight: Insight) -> None:
    """Print intervals, the largest coefficients with the importance of their features, slices and the path."""
    for split, found in (("cv", insight.cv), ("held-out test", insight.test)):
        texts = [f"{name} {found[name].estimate:.3f} [{found[name].low:.3f}, {found[name].high:.3f}]"
                 for name in _WITH_INTERVAL if name in found]  # fmt: skip
        if texts:
            console.print(f"{split}, 95 % intervals by groups: {', '.join(texts)}", soft_wrap=True, markup=False)
    console.print(_coefficient_table(insight))
    if len(insight.slices):
        slices = insight.slices.drop("accuracy", "mean_probability")
        console.print(frame_table(slices, "slices; AUC with its 95 % interval", floats=".3g"))
    if insight.path is not None:
        title = f"regularisation path; C of the run is {insight.path.C:g}"
        console.print(frame_table(insight.path.scores, title, floats=".3g"))


def _coefficient_table(insight: Insight) -> Table:
    joined = insight.coefficients.join(insight.importance.drop("std"), on="feature", how="left", maintain_order="left")
    largest = joined.sort(pl.col("coefficient").abs(), descending=True, maintain_order=True).head(_MOST_FEATURES)
    title = f"largest {len(largest)} of {len(joined)} coefficients, 95 % intervals by groups; importance: fall of AUC"
    return frame_table(largest, title, floats=".3g")
