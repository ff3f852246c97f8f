"""ROC and precision-recall curves of a run as one picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from fvc_exp._typing import Array, Labels
from fvc_exp.data.columns import CLASSES, LABEL
from fvc_exp.data.folds import CV, TEST

Curve = tuple[Array, Array]


LabelsAndScores = tuple[Labels, Array]


Style = dict[str, Any]


_GRID = np.linspace(0.0, 1.0, 201)


_FOLD_STYLE: Style = {"color": "0.75", "linewidth": 0.8}


_MEAN_STYLE: Style = {"color": "tab:blue", "linewidth": 1.8}


_TEST_STYLE: Style = {"color": "tab:red", "linewidth": 3.0}


_BASE_STYLE: Style = {"color": "black", "linewidth": 1.0, "linestyle": ":"}


def roc_pr_figure(predictions: pl.DataFrame, results: Mapping[str, Any], data_name: str) -> Figure:
    """ROC and precision-recall curves of a run side by side, from its ``predictions.parquet`` and ``results.json``."""
    figure = Figure(figsize=(11, 5), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    rows = predictions.with_columns((pl.col(LABEL) == CLASSES[1]).cast(pl.Int64))
    folds = rows.filter(pl.col("split") == CV).partition_by("repeat", "fold", maintain_order=True)
    test = _labels_and_scores(rows.filter(pl.col("split") == TEST))
    scored = ScoredRows([_labels_and_scores(fold) for fold in folds], results["cv"], test, results["test"])
    _draw_roc(left, scored)
    _draw_precision_recall(right, scored)
    figure.suptitle(_title(results["parameters"], data_name), fontsize=11)
    return figure


def png_bytes(figure: Figure) -> bytes:
    """The picture as PNG; equal figures give equal bytes."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


@dataclass(frozen=True)
class ScoredRows:
    """What the curves are drawn from; without held-out rows ``test`` is empty and ``test_scores`` None."""

    folds: list[LabelsAndScores]
    summary: Mapping[str, Any]
    test: LabelsAndScores
    test_scores: Mapping[str, float] | None


def _labels_and_scores(rows: pl.DataFrame) -> LabelsAndScores:
    return rows[LABEL].to_numpy(), rows["probability"].to_numpy()


def _title(parameters: Mapping[str, Any], data_name: str) -> str:
    model = [f"{name}={parameters[name]}" for name in ("penalty", "C") if name in parameters]
    text = f"{data_name}: {', '.join([*model, 'cv=' + parameters['cv']['scheme']])}"
    return text + (" - synthetic corpus" if data_name == "demo" else "")


def _draw_roc(axes: Axes, scored: ScoredRows) -> None:
    curves = [roc_curve(y, probability)[:2] for y, probability in scored.folds]
    _draw_folds(axes, curves, start=0.0)
    auc = scored.summary["auc"]
    axes.plot(
        _GRID,
        _mean_curve(curves, start=0.0),
        **_MEAN_STYLE,
        label=_label("mean of folds, AUC", auc["mean"], auc["std"]),
    )
    if scored.test_scores:
        false_rate, true_rate, _ = roc_curve(*scored.test)
        axes.plot(false_rate, true_rate, **_TEST_STYLE, label=_label("held-out test, AUC", scored.test_scores["auc"]))
    axes.plot([0, 1], [0, 1], **_BASE_STYLE, label="guessing, AUC 0.500")
    _finish(axes, "ROC", "false positive rate", "true positive rate", "lower right")


def _draw_precision_recall(axes: Axes, scored: ScoredRows) -> None:
    curves = []
    for y, probability in scored.folds:
        precision, recall, _ = precision_recall_curve(y, probability)
        curves.append((recall[::-1], precision[::-1]))
    _draw_folds(axes, curves, start=None)
    summary = scored.summary["average_precision"]
    label = _label("mean of folds, AP", summary["mean"], summary["std"])
    axes.plot(_GRID, _mean_curve(curves, start=None), **_MEAN_STYLE, label=label)
    if scored.test_scores:
        precision, recall, _ = precision_recall_curve(*scored.test)
        axes.plot(
            recall, precision, **_TEST_STYLE, label=_label("held-out test, AP", scored.test_scores["average_precision"])
        )
    base = float(np.concatenate([y for y, _ in scored.folds]).mean())
    axes.plot([0, 1], [base, base], **_BASE_STYLE, label=f"base rate of fakes {base:.3f}")
    _finish(axes, "Precision-recall (fake = positive)", "recall", "precision", "lower left")


def _draw_folds(axes: Axes, curves: list[Curve], start: float | None) -> None:
    for number, (x, y) in enumerate(curves):
        first_x, first_y = (np.r_[0.0, x], np.r_[start, y]) if start is not None else (x, y)
        axes.plot(first_x, first_y, **_FOLD_STYLE, label=f"{len(curves)} folds" if number == 0 else None)


def _mean_curve(curves: list[Curve], start: float | None) -> Array:
    """Mean height of the curves over a common grid of x."""
    heights = np.mean([np.interp(_GRID, x, y) for x, y in curves], axis=0)
    if start is not None:
        heights[0] = start
    return np.asarray(heights)


def _label(text: str, mean: float, std: float | None = None) -> str:
    return f"{text} {mean:.3f}" + (f" ± {std:.3f}" if std is not None else "")


def _finish(axes: Axes, title: str, x: str, y: str, legend: Literal["lower left", "lower right"]) -> None:
    axes.set(title=title, xlabel=x, ylabel=y, xlim=(-0.01, 1.01), ylim=(-0.01, 1.03))
    axes.grid(alpha=0.3)
    axes.legend(loc=legend, fontsize=9)
