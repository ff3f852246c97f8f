"""Every picture of runs and sweeps, drawn by matplotlib: ROC, precision-recall, calibration, intervals, and C.

A ``draw_`` function draws into axes of any figure. The PNG of a run, the SVG of ``fvc explain`` and the pictures of a
report all come from these functions. Text from data is never read as mathematics, nor as a hidden legend entry.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import polars as pl
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from fvc_exp._typing import Array
from fvc_exp.data.columns import LABEL
from fvc_exp.runs.explain.analysis import RegularisationPath

INTERCEPT = "(intercept)"
SMALLEST_BIN = 5  # videos; the share of fakes among fewer videos says nothing
PALETTE = {
    "ink": "#1b1f27", "soft": "#5a6372", "rule": "#d8dce3", "fold": "#a9b0bb",
    "one": "#1f5fbf", "two": "#c2410c", "three": "#0f766e", "four": "#8b3fa8", "five": "#7a6200",
}  # fmt: skip
"""The colours by the names that they have in the report's style sheet, which has a second set for dark screens."""

SERIES = ("one", "two", "three", "four", "five")

Style = dict[str, Any]
Curve = Callable[[pl.DataFrame], tuple[Array, Array]]

_GRID = np.linspace(0.0, 1.0, 201)
_MOST_FOLDS = 50  # more grey lines tell nothing more
_MOST_PATHS = 200  # the same for coefficients over C
_MOST_ROWS = 20  # of a chart of coefficients
_LONGEST_NAME = 40
_ROW_HEIGHT, _AXIS_HEIGHT = 0.42, 0.8  # inches, of a chart of intervals
_C_LABEL = "C (small = strong penalty)"
_LOG_ODDS = "log odds of fake per standard deviation"

_FOLD: Style = {"color": PALETTE["fold"], "linewidth": 0.8, "zorder": 1.5}
_MEAN: Style = {"color": PALETTE["one"], "linewidth": 1.8}
_TEST: Style = {"color": PALETTE["two"], "linewidth": 2.2}
_BASE: Style = {"color": PALETTE["soft"], "linewidth": 1.0, "linestyle": "--"}


def roc_pr_figure(predictions: pl.DataFrame, results: Mapping[str, Any], data_name: str) -> Figure:
    """ROC and precision-recall curves of a run side by side, from its ``predictions.parquet`` and ``results.json``."""
    figure = Figure(figsize=(11, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    draw_roc(left, predictions, results)
    draw_precision_recall(right, predictions, results)
    add_legend(left, loc="lower right")
    add_legend(right, loc="lower left")
    parameters = results["parameters"]
    model = [f"{name}={parameters[name]}" for name in ("penalty", "C") if name in parameters]
    title = f"{data_name}: {', '.join([*model, 'cv=' + parameters['cv']['scheme']])}"
    note = " - synthetic corpus" if data_name == "demo" else ""
    figure.suptitle(title + note, fontsize=11, parse_math=False)
    return figure


def path_figure(path: RegularisationPath) -> Figure:
    """Coefficients over C above the cross-validated AUC over C."""
    figure = Figure(figsize=(8, 8), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    draw_path_coefficients(upper, path)
    draw_path_scores(lower, path)
    for axes in (upper, lower):
        add_legend(axes, loc="best")
    return figure


def draw_roc(axes: Axes, predictions: pl.DataFrame, results: Mapping[str, Any]) -> None:
    """ROC curve of each fold, their mean, the held-out test, and what guessing gives."""

    def curve(rows: pl.DataFrame) -> tuple[Array, Array]:
        false_rate, true_rate, _ = roc_curve(_is_fake(rows), rows["probability"])
        return false_rate, true_rate

    _draw_curves(axes, curve, predictions, results, "auc", "AUC", start=0.0)
    axes.plot([0, 1], [0, 1], **_BASE, label="guessing, AUC 0.500")
    _finish(axes, "ROC", "false positive rate", "true positive rate", unit=True)


def draw_precision_recall(axes: Axes, predictions: pl.DataFrame, results: Mapping[str, Any]) -> None:
    """Precision-recall curve of each fold, their mean, the held-out test, and the share of fakes; fake is positive."""

    def curve(rows: pl.DataFrame) -> tuple[Array, Array]:
        precision, recall, _ = precision_recall_curve(_is_fake(rows), rows["probability"])
        return recall[::-1], precision[::-1]

    _draw_curves(axes, curve, predictions, results, "average_precision", "AP")
    share = float(_is_fake(predictions.filter(split="cv")).mean())
    axes.plot([0, 1], [share, share], **_BASE, label=f"share of fakes {share:.3f}")
    _finish(axes, "Precision-recall (fake = positive)", "recall", "precision", unit=True)


def draw_calibration(axes: Axes, calibration: Mapping[str, Any]) -> None:
    """Share of fakes among videos of about equal probability; a perfectly calibrated model is on the diagonal."""
    axes.plot([0, 1], [0, 1], **_BASE, label="perfect")
    for name, style, part in (("out of fold", _MEAN, "cv"), ("held-out test", _TEST, "test")):
        bins = [each for each in (calibration[part] or {}).get("curve", ()) if each["count"] >= SMALLEST_BIN]
        if bins:
            probabilities, shares = [each["probability"] for each in bins], [each["fakes"] for each in bins]
            label = f"{name}, expected calibration error {calibration[part]['ece']:.3f}"
            axes.plot(probabilities, shares, **style, marker="o", label=label)
    _finish(axes, "Calibration", "predicted probability of fake", "share of fakes", unit=True)


def draw_intervals(axes: Axes, rows: pl.DataFrame, *, title: str, x: str, reference: float, spec: str = ".3f") -> None:
    """A dot and a line from low to high per row, under its label and numbers; the figure gets the height for them.

    ``rows`` has the columns label, value, low and high (None = no interval); ``spec`` formats the numbers.
    """
    if isinstance(axes.figure, Figure):
        axes.figure.set_figheight(_AXIS_HEIGHT + _ROW_HEIGHT * len(rows))
    beside = axes.get_yaxis_transform()  # across the axes whatever the values are
    for place, (label, value, low, high) in enumerate(rows.select("label", "value", "low", "high").iter_rows()):
        numbers = f"{value:{spec}}" + ("" if low is None else f" ({low:{spec}} to {high:{spec}})")
        for at, text, side in ((0.0, _name(label), "left"), (1.0, numbers, "right")):
            axes.text(at, place - 0.25, text, transform=beside, ha=side, fontsize=9, parse_math=False, in_layout=False)
    places = range(len(rows))
    axes.hlines(places, rows["low"].fill_null(rows["value"]), rows["high"].fill_null(rows["value"]),
                color=PALETTE["one"], linewidth=2)  # fmt: skip
    axes.plot(rows["value"], places, "o", color=PALETTE["one"])
    axes.axvline(reference, **_BASE)
    axes.set(ylim=(len(rows) - 0.6, -0.8), yticks=[])
    _finish(axes, title, "", "")
    axes.set_xlabel(x, loc="left")


def draw_coefficients(axes: Axes, coefficients: pl.DataFrame) -> None:
    """The largest coefficients of the final model, with the smallest and largest of the folds' models."""
    shown = coefficient_table(coefficients).filter(pl.col("feature") != INTERCEPT, pl.col("coefficient") != 0)
    rows = shown.head(_MOST_ROWS).rename({"feature": "label", "coefficient": "value"})
    x = f"{_LOG_ODDS}\ndot: final model; line: smallest to largest of the folds' models"
    draw_intervals(axes, rows, title="Coefficients", x=x, reference=0.0, spec="+.3f")


def draw_slices(axes: Axes, slices: pl.DataFrame) -> None:
    """Out-of-fold AUC, with its interval, per value of one slice; the rows have one name in ``slice``."""
    rows = slices.select(
        pl.format("{} ({} rows)", "value", "rows").alias("label"),
        *(pl.col(f"auc{end}").alias(name) for end, name in (("", "value"), ("_low", "low"), ("_high", "high"))),
    )
    x = "out-of-fold AUC with its 95 % interval, the models held fixed"
    draw_intervals(axes, rows, title=f"By {slices['slice'][0]}", x=x, reference=0.5)


def draw_path_coefficients(axes: Axes, path: RegularisationPath) -> None:
    """Coefficients over C, the largest named and in colour, the others grey."""
    largest = path.coefficients.group_by("feature").agg(pl.col("coefficient").abs().max().alias("size"))
    names = largest.sort("size", "feature", descending=[True, False])["feature"].to_list()
    for place, name in enumerate(names[:_MOST_PATHS]):
        rows = path.coefficients.filter(feature=name).sort("C")
        named = {"color": PALETTE[SERIES[place]], "label": _name(name)} if place < len(SERIES) else _FOLD
        axes.plot(rows["C"], rows["coefficient"], **named)
    _mark_c(axes, path)
    _finish(axes, "Coefficients over C", _C_LABEL, _LOG_ODDS.replace(" per", "\nper"))


def draw_path_scores(axes: Axes, path: RegularisationPath) -> None:
    """Mean cross-validated AUC over C with one standard error, and what guessing gives."""
    scores = path.scores.sort("C")
    axes.plot(scores["C"], scores["mean"], **_MEAN, marker="o", markersize=4, label="mean of folds")
    if scores["standard_error"].null_count() == 0:
        low, high = scores["mean"] - scores["standard_error"], scores["mean"] + scores["standard_error"]
        axes.fill_between(scores["C"], low, high, color=_MEAN["color"], alpha=0.2, label="± one standard error")
    axes.axhline(0.5, **_BASE, label="guessing")
    _mark_c(axes, path)
    _finish(axes, "AUC over C", _C_LABEL, "AUC")


def draw_auc_over_c(axes: Axes, runs: pl.DataFrame) -> None:
    """The best AUC per C, one line per penalty; ``runs`` has the columns penalty, C and auc."""
    best = runs.group_by("penalty", "C").agg(pl.max("auc")).sort("penalty", "C")
    for rows, colour in zip(best.partition_by("penalty", maintain_order=True), SERIES, strict=False):
        axes.plot(rows["C"], rows["auc"], color=PALETTE[colour], marker="o", markersize=4, label=rows["penalty"][0])
    _log_axis(axes, best["C"].to_list())
    _finish(axes, "AUC over C, the best of each penalty", _C_LABEL, "AUC")


def coefficient_table(coefficients: pl.DataFrame) -> pl.DataFrame:
    """One row per feature, the largest first: coefficient, range over the folds, number of folds of the same sign."""
    folds = pl.selectors.matches(r"^repeat\d+_fold\d+$")
    return coefficients.select(
        "feature",
        "coefficient",
        pl.min_horizontal(folds).alias("low"),
        pl.max_horizontal(folds).alias("high"),
        pl.sum_horizontal(folds.sign() == pl.col("coefficient").sign()).alias("same_sign"),
        pl.lit(len(pl.selectors.expand_selector(coefficients, folds))).alias("folds"),
    ).sort(pl.col("coefficient").abs(), descending=True, maintain_order=True)


def add_legend(where: Axes | Figure, **place: Any) -> None:
    """Name what is drawn there, if anything has a name."""
    axes = where.axes[0] if isinstance(where, Figure) else where
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        legend = where.legend(handles, labels, frameon=False, fontsize=9, **place)
        for text in legend.get_texts():
            text.set_parse_math(False)


def png_bytes(figure: Figure) -> bytes:
    """The picture as PNG; equal figures give equal bytes."""
    return _saved(figure, format="png", dpi=110, metadata={"Software": None})


def svg_bytes(figure: Figure, name: str, *, transparent: bool = False) -> bytes:
    """The picture as SVG whose text is text; equal ``name`` and figure give equal bytes, other names other ids."""
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        return _saved(figure, format="svg", transparent=transparent, metadata=metadata)


def _saved(figure: Figure, **settings: Any) -> bytes:
    file = BytesIO()
    with warnings.catch_warnings():
        # Our font lacks Chinese, for example. A browser shows SVG in fonts of its own; PNG holds no text from data.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(file, **settings)
    return file.getvalue()


def _is_fake(rows: pl.DataFrame) -> Array:
    return (rows[LABEL] == "fake").to_numpy().astype(np.float64)


def _draw_curves(
    axes: Axes,
    curve: Curve,
    predictions: pl.DataFrame,
    results: Mapping[str, Any],
    metric: str,
    short: str,
    *,
    start: float | None = None,
) -> None:
    """Curves of the folds (at most 50), the mean of all, and the held-out test, each with its score.

    ``start`` is the height of the mean at x = 0 where the curves themselves may rise at once.
    """
    folds = predictions.filter(split="cv").partition_by("repeat", "fold", maintain_order=True)
    curves = [curve(rows) for rows in folds]
    shown = min(len(curves), _MOST_FOLDS)
    label = f"{shown} folds" if shown == len(curves) else f"{shown} of {len(curves)} folds"
    for number, (x, y) in enumerate(curves[:shown]):
        axes.plot(x, y, **_FOLD, label=label if number == 0 else None)
    mean = np.mean([np.interp(_GRID, x, y) for x, y in curves], axis=0)
    if start is not None:
        mean[0] = start
    summary, test = results["cv"][metric], (results["test"] or {}).get(metric)
    spread = "" if summary["std"] is None else f" ± {summary['std']:.3f}"
    axes.plot(_GRID, mean, **_MEAN, label=f"mean of folds, {short} {summary['mean']:.3f}{spread}")
    if test is not None:
        label = f"held-out test, {short} {test:.3f}"
        axes.plot(*curve(predictions.filter(split="test")), **_TEST, label=label)


def _mark_c(axes: Axes, path: RegularisationPath) -> None:
    axes.axvline(path.C, color=PALETTE["soft"], linestyle=":", linewidth=1.2, label=f"C of the run, {path.C:g}")
    _log_axis(axes, path.scores["C"].to_list())


def _log_axis(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic x axis with ticks at powers of ten, or at the ends of a range that holds fewer than two."""
    low, high = min(values), max(values)
    powers = [10.0**power for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
    ticks = powers[:: len(powers) // 8 + 1] if len(powers) > 1 else sorted({low, high})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()


def _name(text: str) -> str:
    """A name from data on one line, without characters that XML has no place for, and not too long."""
    plain = "".join(each if each.isprintable() else " " for each in text)
    short = plain if len(plain) <= _LONGEST_NAME else plain[: _LONGEST_NAME - 1] + "…"
    return f" {short}" if short.startswith("_") else short  # matplotlib leaves labels with _ out of the legend


def _finish(axes: Axes, title: str, x: str, y: str, *, unit: bool = False) -> None:
    axes.set_title(_name(title), loc="left", fontsize=10, fontweight="bold", parse_math=False)
    axes.set(xlabel=x, ylabel=y)
    if unit:
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.03))
    axes.grid(color=PALETTE["rule"], linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=9)
