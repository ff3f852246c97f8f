"""Pictures of runs and sweeps, drawn by matplotlib: calibration, intervals and C; ROC and so on are in ``curves``.

A ``draw_`` function draws into axes of any figure. The files of a run, the SVG of ``fvc explain`` and the pictures of a
report all come from these functions. Text from data is never read as mathematics, nor as a hidden legend entry.
"""

from __future__ import annotations

import math
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fvc_exp._typing import Array

if TYPE_CHECKING:
    from fvc_exp.runs.explain.analysis import RegularisationPath

INTERCEPT = "(intercept)"
SMALLEST_BIN = 5  # videos; the share of fakes among fewer videos says nothing
# The colours by the names that they have in the report's style sheet, which has a second set for dark screens.
PALETTE = {
    "paper": "#ffffff", "ink": "#1b1f27", "soft": "#5a6372", "rule": "#d8dce3",
    "fold": "#a9b0bb", "one": "#1f5fbf", "two": "#c2410c", "three": "#0f766e", "four": "#8b3fa8", "five": "#7a6200",
}  # fmt: skip

SERIES = ("one", "two", "three", "four", "five")

Style = dict[str, Any]

_MOST_PATHS = 200  # more grey lines of coefficients tell nothing more
_MOST_ROWS = 20  # of a chart of coefficients
_LINE_LENGTH, _LONGEST_NAME = 38, 200  # characters
_ROOM = 54  # characters of a label and its numbers on one line
_ROW_HEIGHT, _AXIS_HEIGHT = 0.42, 0.95  # inches, of a chart of intervals
_LINE_HEIGHT = 0.36  # of each further line of a label, in rows
_SCALE = (0.0, 1.0)  # of AUC over C, so that charts can be compared
_DODGE = 1.04  # factor between the C at which the bars of two penalties stand
_C_LABEL = "C (small = strong penalty)"
_LOG_ODDS = "log odds of fake per standard deviation"

FOLD: Style = {"color": PALETTE["fold"], "linewidth": 0.8, "zorder": 1.5}
MEAN: Style = {"color": PALETTE["one"], "linewidth": 1.8}
BAND: Style = {"color": PALETTE["one"], "alpha": 0.15, "linewidth": 0}
TEST: Style = {"color": PALETTE["two"], "linewidth": 2.2}
BASE: Style = {"color": PALETTE["soft"], "linewidth": 1.0, "linestyle": "--"}
_OVER_LINES: Style = {
    "fontsize": 9, "parse_math": False, "in_layout": False,
    "bbox": {"facecolor": PALETTE["paper"], "edgecolor": "none", "pad": 1},
}  # fmt: skip
_BARS: Style = {"marker": "o", "markersize": 4, "elinewidth": 1, "capsize": 2}


def path_figure(path: RegularisationPath) -> Figure:
    """Coefficients over C above the cross-validated AUC over C."""
    figure = Figure(figsize=(9, 8), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    draw_path_coefficients(upper, path)
    draw_path_scores(lower, path)
    for axes in (upper, lower):
        add_legend(axes, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def draw_calibration(axes: Axes, calibration: Mapping[str, Any]) -> None:
    """Share of fakes among videos of about equal probability; a perfectly calibrated model is on the diagonal."""
    axes.plot([0, 1], [0, 1], **BASE, label="perfect")
    for name, style, part in (("out of fold", MEAN, "cv"), ("held-out test", TEST, "test")):
        bins = [each for each in (calibration[part] or {}).get("curve", ()) if each["count"] >= SMALLEST_BIN]
        if bins:
            probabilities, shares = [each["probability"] for each in bins], [each["fakes"] for each in bins]
            label = f"{name}, expected calibration error {calibration[part]['ece']:.3f}"
            axes.plot(probabilities, shares, **style, marker="o", label=label)
    finish_axes(axes, "Calibration", "predicted probability of fake", "share of fakes", unit=True)


def draw_intervals(axes: Axes, rows: pl.DataFrame, *, title: str, x: str, reference: float, spec: str = ".3f") -> None:
    """A dot and a line from low to high per row, under its label and numbers; the figure gets the height for them.

    ``rows`` has the columns label, value, low and high (None = no interval); ``spec`` formats the numbers.
    """
    numbers = [
        f"{value:{spec}}" + ("" if low is None else f" ({low:{spec}} to {high:{spec}})")
        for value, low, high in rows.select("value", "low", "high").iter_rows()
    ]
    labels = [_name(label) for label in rows["label"]]
    for row, label in enumerate(labels):
        if len(label.split("\n")[-1]) + len(numbers[row]) > _ROOM:
            labels[row] += "\n"  # the numbers stand on a line of their own
    above = np.array([_LINE_HEIGHT * label.count("\n") for label in labels])  # what further lines need
    places = np.arange(len(rows)) + above.cumsum()
    if isinstance(axes.figure, Figure):
        axes.figure.set_figheight(_AXIS_HEIGHT + _ROW_HEIGHT * (len(rows) + above.sum()))
    beside = axes.get_yaxis_transform()  # across the axes whatever the values are
    for place, label, text in zip(places - 0.25, labels, numbers, strict=True):
        axes.text(0.0, place, label, transform=beside, ha="left", **_OVER_LINES)
        axes.text(1.0, place, text, transform=beside, ha="right", **_OVER_LINES)
    axes.hlines(places, rows["low"].fill_null(rows["value"]), rows["high"].fill_null(rows["value"]),
                color=PALETTE["one"], linewidth=2)  # fmt: skip
    axes.plot(rows["value"], places, "o", color=PALETTE["one"])
    axes.axvline(reference, **BASE)
    axes.set(ylim=(places.max(initial=0.0) + 0.4, -0.8), yticks=[])
    finish_axes(axes, title, "", "")
    axes.set_xlabel(x, loc="left")


def draw_coefficients(axes: Axes, coefficients: pl.DataFrame) -> None:
    """The largest coefficients of the final model, with the smallest and largest of the folds' models."""
    shown = coefficient_table(coefficients).filter(pl.col("feature") != INTERCEPT, pl.col("coefficient") != 0)
    rows = shown.head(_MOST_ROWS).rename({"feature": "label", "coefficient": "value"})
    x = f"{_LOG_ODDS}\ndot: final model\nline: smallest to largest of the folds' models"
    draw_intervals(axes, rows, title="Coefficients", x=x, reference=0.0, spec="+.3f")


def draw_slices(axes: Axes, slices: pl.DataFrame) -> None:
    """Out-of-fold AUC, with its interval, per value of one slice; the rows have one name in ``slice``."""
    label = pl.format("{} ({} rows)", "value", "rows")
    rows = slices.select(label=label, value="auc", low="auc_low", high="auc_high")
    x = "out-of-fold AUC with its 95 % interval,\nthe models held fixed"
    draw_intervals(axes, rows, title=f"By {slices['slice'][0]}", x=x, reference=0.5)


def draw_path_coefficients(axes: Axes, path: RegularisationPath) -> None:
    """Coefficients over C, the largest named and in colour, the others grey."""
    largest = path.coefficients.group_by("feature").agg(pl.col("coefficient").abs().max().alias("size"))
    names = largest.sort("size", "feature", descending=[True, False])["feature"].to_list()
    for place, name in enumerate(names[:_MOST_PATHS]):
        rows = path.coefficients.filter(feature=name).sort("C")
        named = {"color": PALETTE[SERIES[place]], "label": _name(name)} if place < len(SERIES) else FOLD
        axes.plot(rows["C"], rows["coefficient"], **named)
    _mark_c(axes, path)
    finish_axes(axes, "Coefficients over C", _C_LABEL, _LOG_ODDS.replace(" per", "\nper"))


def draw_path_scores(axes: Axes, path: RegularisationPath) -> None:
    """Mean cross-validated AUC over C with one standard error to both sides, and what guessing gives."""
    scores = path.scores.sort("C")
    label = "mean of folds" + ("" if scores["standard_error"].null_count() else " ± one standard error")
    axes.errorbar(scores["C"], scores["mean"], _lengths(scores["standard_error"]), **MEAN, **_BARS, label=label)
    axes.axhline(0.5, **BASE, label="guessing")
    _mark_c(axes, path)
    axes.set_ylim(_SCALE)
    finish_axes(axes, "AUC over C", _C_LABEL, "AUC")


def draw_auc_over_c(axes: Axes, runs: pl.DataFrame) -> None:
    """The best AUC per C with its interval, one line per penalty; what guessing gives.

    ``runs`` has the columns penalty, C, auc, low and high (None = no interval). Bars of equal C stand side by side.
    """
    best = runs.sort("auc", descending=True).unique(["penalty", "C"], keep="first").sort("penalty", "C")
    for place, rows in enumerate(best.partition_by("penalty", maintain_order=True)):
        bars = np.array([_lengths(rows["auc"] - rows["low"]), _lengths(rows["high"] - rows["auc"])])
        label = rows["penalty"][0] + (" with 95 % intervals" if np.isfinite(bars).any() else "")
        axes.errorbar(rows["C"] * _DODGE**place, rows["auc"], bars, color=PALETTE[SERIES[place]], **_BARS, label=label)
    axes.axhline(0.5, **BASE, label="guessing")
    _log_axis(axes, best["C"].to_list())
    axes.set_ylim(_SCALE)
    finish_axes(axes, "AUC over C, best of each penalty", _C_LABEL, "AUC")


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
    # The usual 6 takes twice as long for a file that is a tenth smaller.
    return _saved(figure, format="png", dpi=200, metadata={"Software": None}, pil_kwargs={"compress_level": 3})


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


def _lengths(column: pl.Series) -> Array:
    """Of error bars: none where the value is missing."""
    lengths: Array = column.cast(pl.Float64).fill_null(np.nan).clip(lower_bound=0.0).to_numpy()
    return lengths


def _name(text: str) -> str:
    """A name from data in full, on lines that fit into a chart, without characters that XML has no place for."""
    plain = "".join(each if each.isprintable() else " " for each in text)
    short = plain if len(plain) <= _LONGEST_NAME else plain[: _LONGEST_NAME - 1] + "…"
    lines = "\n".join(textwrap.wrap(short, _LINE_LENGTH, break_on_hyphens=False))
    return f" {lines}" if lines.startswith("_") else lines  # matplotlib leaves labels with _ out of the legend


def finish_axes(axes: Axes, title: str, x: str, y: str, *, unit: bool = False) -> None:
    """Title, names of the axes and grid in our style; with ``unit`` both axes go from 0 to 1."""
    # Without a height, matplotlib measures all labels at each drawing, to keep the title above those on top.
    axes.set_title(_name(title), loc="left", y=1.0, fontsize=10, fontweight="bold", parse_math=False)
    axes.set(xlabel=x, ylabel=y)
    if unit:
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.03))
    axes.grid(color=PALETTE["rule"], linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=9)
