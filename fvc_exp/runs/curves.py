"""ROC and precision-recall curves of a run: its folds, their mean with a band, and the held-out test."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fvc_exp._typing import Array, Indices
from fvc_exp.data.columns import LABEL
from fvc_exp.evaluation.metrics import count_positives
from fvc_exp.io import console, files, run_folder
from fvc_exp.runs import plots

_GRID = np.linspace(0.0, 1.0, 1001)
_PLACE = {"left": 0.06, "right": 0.985, "bottom": 0.285, "top": 0.865, "wspace": 0.15}
_MOST_FOLDS = 50  # more grey lines tell nothing more


def write_curves(
    folder: run_folder.RunFolder, predictions: pl.DataFrame, results: Mapping[str, Any], data_name: str
) -> None:
    """Draw ``roc_pr_figure`` into the PNG and the SVG of a run."""
    figure = roc_pr_figure(predictions, results, data_name)
    files.write_bytes(folder.plot, plots.png_bytes(figure))
    files.write_bytes(folder.plot_svg, plots.svg_bytes(figure, folder.plot_svg.stem))


def roc_pr_figure(predictions: pl.DataFrame, results: Mapping[str, Any], data_name: str) -> Figure:
    """ROC and precision-recall curves of a run side by side, from its ``predictions.parquet`` and ``results.json``."""
    figure = Figure(figsize=(9, 5.9))  # without a layout engine, which takes as long as drawing
    left, right = figure.subplots(1, 2, gridspec_kw=_PLACE)
    draw_roc(left, predictions, results)
    draw_precision_recall(right, predictions, results)
    for axes in (left, right):
        plots.add_legend(axes, loc="upper left", bbox_to_anchor=(-0.03, -0.13))
    figure.suptitle(_title(results, data_name), fontsize=11, parse_math=False)
    return figure


def draw_roc(axes: Axes, predictions: pl.DataFrame, results: Mapping[str, Any]) -> None:
    """ROC curve of each fold, their mean with a band, the held-out test, and what guessing gives.

    The mean is that of the true positive rates at equal false positive rates (Fawcett, Pattern Recognition Letters 27,
    2006, section 8.1), the band one standard deviation of them.
    """
    curves = [_rates(rows) for rows in _folds(predictions)]
    heights = np.array([np.interp(_GRID, x, y) for x, y in curves])
    heights[:, 0] = 0.0  # where curves themselves may rise at once
    _draw_folds(axes, curves, "default")
    _draw_mean(axes, _GRID, heights, "default", _label(results, "auc", "AUC"))
    if results["test"]:
        label = f"held-out test, AUC {results['test']['auc']:.3f}{_auc_interval(results)}"
        axes.plot(*_rates(predictions.filter(split="test")), **plots.TEST, label=label)
    axes.plot([0, 1], [0, 1], **plots.BASE, label="guessing, AUC 0.500")
    plots.finish_axes(axes, "ROC", "false positive rate", "true positive rate", unit=True)


def draw_precision_recall(axes: Axes, predictions: pl.DataFrame, results: Mapping[str, Any]) -> None:
    """Precision-recall curve of each fold, their mean with a band, the held-out test, and the share of fakes.

    Fake is positive. All curves are steps, since points of precision and recall must not be joined by straight lines
    (Davis and Goadrich, ICML 2006); the area below a step curve is scikit-learn's average precision, and the area below
    the mean is the mean average precision of its label.
    """
    curves = [_recall_and_precision(rows) for rows in _folds(predictions)]
    grid, heights = _mean_steps(curves)
    _draw_folds(axes, curves, "steps-pre")
    _draw_mean(axes, grid, heights, "steps-pre", _label(results, "average_precision", "AP"))
    if results["test"]:
        label = f"held-out test, AP {results['test']['average_precision']:.3f}"
        test = _recall_and_precision(predictions.filter(split="test"))
        axes.plot(*test, **plots.TEST, drawstyle="steps-pre", label=label)
    share = float(_is_fake(predictions.filter(split="cv")).mean())
    axes.plot([0, 1], [share, share], **plots.BASE, label=f"share of fakes {share:.3f}")
    plots.finish_axes(axes, "Precision-recall (fake = positive)", "recall", "precision", unit=True)


def _title(results: Mapping[str, Any], data_name: str) -> str:
    parameters, data = results["parameters"], results["data"]
    model = [f"{name}={parameters[name]}" for name in ("penalty", "C") if name in parameters]
    note = " - synthetic corpus" if data_name == "demo" else ""
    groups = f" in {data['groups']} groups" if data["group_column"] else ", groups unknown"
    shown = ", ".join([*model, f"cv={parameters['cv']['scheme']}"])
    return f"{data_name}: {shown}{note}\n{data['rows']} videos{groups}, {data['test_rows']} videos held out"


def _folds(predictions: pl.DataFrame) -> list[pl.DataFrame]:
    shown = predictions.select("split", "repeat", "fold", LABEL, "probability")  # no copies of the names of rows
    return shown.filter(split="cv").partition_by("repeat", "fold", maintain_order=True)


def _is_fake(rows: pl.DataFrame) -> Indices:
    return (rows[LABEL] == "fake").to_numpy().astype(np.int64)


def _rates(rows: pl.DataFrame) -> tuple[Array, Array]:
    """False and true positive rates."""
    from sklearn.metrics import roc_curve  # here, since who reads stored curves has no use for it

    x, y, _ = roc_curve(_is_fake(rows), rows["probability"].to_numpy())
    return x, y


def _recall_and_precision(rows: pl.DataFrame) -> tuple[Array, Array]:
    """By rising recall; each precision holds from the recall before it up to its own."""
    tp, fp = count_positives(_is_fake(rows), rows["probability"].to_numpy())
    return np.r_[0.0, tp / tp[-1]], np.r_[1.0, tp / (tp + fp)]


def _mean_steps(curves: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Recalls (m,), and the precision of each curve (curves, m) from the recall before up to that one.

    The recalls are all that occur, or a grid where these are too many. The precision is the mean between two recalls,
    so that the area below each row is its curve's average precision on any grid.
    """
    levels = np.unique(np.concatenate([recall for recall, _ in curves]))
    grid = levels if len(levels) <= len(_GRID) else _GRID
    areas = []
    for recall, precision in curves:
        ends, first = np.unique(recall, return_index=True)  # the first at a recall is the most precise
        areas.append(np.interp(grid, ends, np.r_[0.0, np.cumsum(np.diff(ends) * precision[first][1:])]))
    heights = np.diff(areas, axis=1) / np.diff(grid)
    return grid, np.c_[heights[:, :1], heights]


def _draw_folds(axes: Axes, curves: list[tuple[Array, Array]], drawstyle: str) -> None:
    """The curves of at most 50 folds."""
    shown = min(len(curves), _MOST_FOLDS)
    label = f"{shown} folds" if shown == len(curves) else f"{shown} of {len(curves)} folds"
    for number, (x, y) in enumerate(curves[:shown]):
        axes.plot(x, y, **plots.FOLD, drawstyle=drawstyle, label=label if number == 0 else None)


def _draw_mean(axes: Axes, x: Array, heights: Array, drawstyle: str, label: str) -> None:
    """The mean of curves (curves, m), and where there are several, one standard deviation to both sides."""
    mean = heights.mean(axis=0)
    axes.plot(x, mean, **plots.MEAN, drawstyle=drawstyle, label=label)
    if len(heights) > 1:
        spread = heights.std(axis=0, ddof=1)
        low, high = np.clip([mean - spread, mean + spread], 0.0, 1.0)
        step: Literal["pre"] | None = "pre" if drawstyle == "steps-pre" else None
        axes.fill_between(x, low, high, step=step, **plots.BAND, label="± 1 sd of the folds")


def _label(results: Mapping[str, Any], metric: str, short: str) -> str:
    return f"mean of folds, {short} {console.mean_and_deviation(**results['cv'][metric])}"


def _auc_interval(results: Mapping[str, Any]) -> str:
    """The interval of the held-out AUC, where there is one."""
    interval = results["auc_intervals"]["test"]
    if not interval or interval["low"] is None:
        return ""
    return f" ({100 * interval['level']:.0f} % CI {interval['low']:.3f} to {interval['high']:.3f})"
