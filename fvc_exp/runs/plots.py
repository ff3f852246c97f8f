"""ROC and precision-recall curves of a run as one picture."""

from __future__ import annotations

from typing import Any, BinaryIO, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from fvc_exp.training.experiment import RunResult

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


Style = dict[str, Any]


_GRID = np.linspace(0.0, 1.0, 201)


_FOLD_STYLE: Style = {"color": "0.75", "linewidth": 0.8}


_MEAN_STYLE: Style = {"color": "tab:blue", "linewidth": 1.8}


_TEST_STYLE: Style = {"color": "tab:red", "linewidth": 3.0}


_BASE_STYLE: Style = {"color": "black", "linewidth": 1.0, "linestyle": ":"}


def roc_pr_figure(result: RunResult) -> Figure:
    """Curves of each fold, their mean, the held-out test set in bold, and what guessing gives."""
    figure = Figure(figsize=(11, 5), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _draw_roc(left, result)
    _draw_precision_recall(right, result)
    figure.suptitle(_title(result), fontsize=11)
    return figure


def write_png(figure: Figure, file: BinaryIO) -> None:
    """Write the picture; equal runs give equal files."""
    figure.savefig(file, format="png", dpi=110, metadata={"Software": None})


def _title(result: RunResult) -> str:
    config = result.config
    text = f"{config.data.name}: penalty={config.penalty.name.name}, C={config.C:g}, cv={config.cv.scheme.name}"
    return text + (" - synthetic corpus" if config.data.name == "demo" else "")


def _draw_roc(axes: Axes, result: RunResult) -> None:
    curves = [roc_curve(y, probability)[:2] for y, probability in _fold_scores(result)]
    _draw_folds(axes, curves, start=0.0)
    auc = result.summary["auc"]
    axes.plot(
        _GRID,
        _mean_curve(curves, start=0.0),
        **_MEAN_STYLE,
        label=_label("mean of folds, AUC", auc["mean"], auc["std"]),
    )
    if result.test_scores:
        false_rate, true_rate, _ = roc_curve(result.dataset.y[result.split.test], result.test_probability)
        axes.plot(false_rate, true_rate, **_TEST_STYLE, label=_label("held-out test, AUC", result.test_scores["auc"]))
    axes.plot([0, 1], [0, 1], **_BASE_STYLE, label="guessing, AUC 0.500")
    _finish(axes, "ROC", "false positive rate", "true positive rate", "lower right")


def _draw_precision_recall(axes: Axes, result: RunResult) -> None:
    curves = []
    for y, probability in _fold_scores(result):
        precision, recall, _ = precision_recall_curve(y, probability)
        curves.append((recall[::-1], precision[::-1]))
    _draw_folds(axes, curves, start=None)
    summary = result.summary["average_precision"]
    label = _label("mean of folds, AP", summary["mean"], summary["std"])
    axes.plot(_GRID, _mean_curve(curves, start=None), **_MEAN_STYLE, label=label)
    if result.test_scores:
        precision, recall, _ = precision_recall_curve(result.dataset.y[result.split.test], result.test_probability)
        axes.plot(
            recall, precision, **_TEST_STYLE, label=_label("held-out test, AP", result.test_scores["average_precision"])
        )
    base = float(result.dataset.y[result.split.development].mean())
    axes.plot([0, 1], [base, base], **_BASE_STYLE, label=f"base rate of fakes {base:.3f}")
    _finish(axes, "Precision-recall (fake = positive)", "recall", "precision", "lower left")


def _fold_scores(result: RunResult) -> list[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    return [
        (result.dataset.y[fold.test], probability)
        for fold, probability in zip(result.split.folds, result.fold_probabilities, strict=True)
    ]


def _draw_folds(axes: Axes, curves: list[Curve], start: float | None) -> None:
    for number, (x, y) in enumerate(curves):
        first_x, first_y = (np.r_[0.0, x], np.r_[start, y]) if start is not None else (x, y)
        axes.plot(first_x, first_y, **_FOLD_STYLE, label=f"{len(curves)} folds" if number == 0 else None)


def _mean_curve(curves: list[Curve], start: float | None) -> NDArray[np.float64]:
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
