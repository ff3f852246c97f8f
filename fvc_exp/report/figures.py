"""The charts of one run, from the rows and numbers in its files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars import selectors
from sklearn.metrics import precision_recall_curve, roc_curve

from fvc_exp._typing import Array
from fvc_exp.data.columns import LABEL
from fvc_exp.report.charts import SERIES, LineChart, RangeChart, RangeRow, Series, Style, line_chart, range_chart
from fvc_exp.runs.explain.path import RegularisationPath

INTERCEPT = "(intercept)"


SMALLEST_BIN = 5  # videos; the share of fakes among fewer says nothing


MOST_ROWS = 20  # of a chart of coefficients; the table below it holds all of them


_UNIT = (0.0, 1.0)


_GRID = np.linspace(0.0, 1.0, 101)


_MOST_FOLDS = 50  # a few more grey lines tell nothing more


_MOST_POINTS = 80


def roc_chart(predictions: pl.DataFrame) -> LineChart:
    """ROC curves of the folds, their mean, and of the held-out test."""

    def curve(rows: pl.DataFrame) -> tuple[Array, Array]:
        false_rate, true_rate, _ = roc_curve(_labels(rows), rows["probability"])
        return false_rate, true_rate

    curves = [curve(rows) for rows in _folds(predictions)]
    mean = np.mean([np.interp(_GRID, *each) for each in curves], axis=0)
    mean[0] = 0.0  # a curve may rise at once; the mean still begins in the corner
    series = [Series("", "fold", thinned(*each)) for each in curves[:_MOST_FOLDS]]
    series += [
        Series("guessing", "base", [(0.0, 0.0), (1.0, 1.0)]),
        Series("mean of folds", "mean", _pairs(_GRID, mean)),
    ]
    held_out = predictions.filter(split="test")
    if len(held_out):
        series.append(Series("held-out test", "test", thinned(*curve(held_out))))
    return line_chart("ROC", series, x="false positive rate", y="true positive rate", x_range=_UNIT, y_range=_UNIT)


def precision_recall_chart(predictions: pl.DataFrame) -> LineChart:
    """Precision-recall curves of the folds, their mean, and of the held-out test; fake is positive."""

    def curve(rows: pl.DataFrame) -> tuple[Array, Array]:
        precision, recall, _ = precision_recall_curve(_labels(rows), rows["probability"])
        return recall[::-1], precision[::-1]

    curves = [curve(rows) for rows in _folds(predictions)]
    mean = np.mean([np.interp(_GRID, *each) for each in curves], axis=0)
    base = float(_labels(predictions.filter(split="cv")).mean())
    series = [Series("", "fold", thinned(*each)) for each in curves[:_MOST_FOLDS]]
    series += [Series("share of fakes", "base", [(0.0, base), (1.0, base)])]
    series += [Series("mean of folds", "mean", _pairs(_GRID, mean))]
    held_out = predictions.filter(split="test")
    if len(held_out):
        series.append(Series("held-out test", "test", thinned(*curve(held_out))))
    return line_chart("Precision and recall", series, x="recall", y="precision", x_range=_UNIT, y_range=_UNIT)


def calibration_chart(calibration: dict[str, Any]) -> LineChart:
    """The share of fakes among videos of about equal probability, beside the diagonal of an honest model."""
    series = [Series("perfect", "base", [(0.0, 0.0), (1.0, 1.0)])]
    parts: tuple[tuple[str, Style, str], ...] = (("out of fold", "mean", "cv"), ("held-out test", "test", "test"))
    for name, style, part in parts:
        if calibration.get(part):
            bins = [each for each in calibration[part]["curve"] if each["count"] >= SMALLEST_BIN]
            points = [(each["probability"], each["fakes"]) for each in bins]
            if points:
                series.append(Series(name, style, points, dots=True))
    return line_chart(
        "Calibration", series, x="predicted probability of fake", y="share of fakes", x_range=_UNIT, y_range=_UNIT
    )


def path_charts(path: RegularisationPath) -> list[LineChart]:
    """Coefficients over C, the largest in colour, and the cross-validated AUC with one standard error."""
    largest = path.coefficients.group_by("feature").agg(pl.col("coefficient").abs().max().alias("size"))
    names = largest.sort("size", "feature", descending=[True, False])["feature"].to_list()
    lines = []
    for place, name in reversed(list(enumerate(names))):  # the largest are drawn last, on top
        rows = path.coefficients.filter(feature=name).sort("C")
        coloured = place < len(SERIES)
        style: Style = SERIES[place] if coloured else "fold"
        points = _pairs(rows["C"].to_numpy(), rows["coefficient"].to_numpy())
        lines.append(Series(name if coloured else "", style, points))
    scores = path.scores.sort("C")
    c, mean = scores["C"].to_numpy(), scores["mean"].to_numpy()
    found = [Series("mean of folds", "mean", _pairs(c, mean), dots=True)]
    if scores["standard_error"].null_count() == 0:
        error = scores["standard_error"].to_numpy()
        found += [
            Series("± one standard error", "base", _pairs(c, mean - error)),
            Series("", "base", _pairs(c, mean + error)),
        ]
    x = f"C (small = strong penalty; the run has {path.C:g})"
    return [
        line_chart("Coefficients over C", lines, x=x, y="log odds a standard deviation", log=True),
        line_chart("AUC over C", found, x=x, y="AUC", log=True),
    ]


def slice_charts(slices: pl.DataFrame) -> list[RangeChart]:
    """The out-of-fold AUC of each value of a slice, with its interval; one chart a slice."""
    scored = slices.filter(pl.col("split") == "cv", pl.col("auc").is_not_null())
    charts = []
    for rows in scored.partition_by("slice", maintain_order=True):
        drawn = [
            RangeRow(
                label=f"{row['value']} ({row['rows']} rows)",
                value=row["auc"],
                low=row["auc_low"],
                high=row["auc_high"],
                text=f"{row['auc']:.3f} ({row['auc_low']:.3f} to {row['auc_high']:.3f})",
            )
            for row in rows.iter_rows(named=True)
        ]
        charts.append(range_chart(f"By {rows['slice'][0]}", drawn, x="AUC", reference=0.5))
    return charts


def coefficient_chart(coefficients: pl.DataFrame) -> RangeChart:
    """The largest coefficients of the final model, with the smallest and largest of the folds' models."""
    largest = coefficient_table(coefficients).filter(pl.col("feature") != INTERCEPT)
    largest = largest.filter(pl.col("coefficient") != 0).head(MOST_ROWS)
    rows = [
        RangeRow(
            label=row["feature"],
            value=row["coefficient"],
            low=row["low"],
            high=row["high"],
            text=f"{row['coefficient']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f})",
        )
        for row in largest.iter_rows(named=True)
    ]
    return range_chart("Coefficients", rows, x="log odds of fake a standard deviation", reference=0.0)


def coefficient_table(coefficients: pl.DataFrame) -> pl.DataFrame:
    """One row a feature, the largest first: coefficient, range over the folds, share of folds with the same sign."""
    folds = selectors.matches(r"^repeat\d+_fold\d+$")
    return coefficients.select(
        "feature",
        "coefficient",
        pl.min_horizontal(folds).alias("low"),
        pl.max_horizontal(folds).alias("high"),
        pl.sum_horizontal(folds.sign() == pl.col("coefficient").sign()).alias("same_sign"),
        pl.lit(len(selectors.expand_selector(coefficients, folds))).alias("folds"),
    ).sort(pl.col("coefficient").abs(), descending=True, maintain_order=True)


def thinned(x: Array, y: Array) -> list[tuple[float, float]]:
    """At most 80 points of a curve, both ends among them."""
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), _MOST_POINTS)).astype(int))
    return _pairs(x[kept], y[kept])


def _pairs(x: Array, y: Array) -> list[tuple[float, float]]:
    return list(zip(x.tolist(), y.tolist(), strict=True))


def _labels(rows: pl.DataFrame) -> NDArray[np.int64]:
    return (rows[LABEL] == "fake").to_numpy().astype(np.int64)


def _folds(predictions: pl.DataFrame) -> Iterator[pl.DataFrame]:
    groups = predictions.filter(split="cv").partition_by("repeat", "fold", maintain_order=True)
    return iter(groups)
