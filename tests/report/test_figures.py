from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from fvc_exp.io.files import read_json
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.report import figures
from fvc_exp.report.charts import Line, LineChart
from fvc_exp.runs.explain.explain import read_insight


def values(chart: LineChart, line: Line) -> NDArray[np.float64]:
    """A drawn line's points in the units of the data, (n, 2)."""
    places = np.array([[float(each) for each in point.split(",")] for point in line.path.split()])
    ends = [(axis.low, axis.high, axis.start, axis.end) for axis in (chart.x, chart.y)]
    columns = [low + (places[:, number] - start) / (end - start) * (high - low)
               for number, (low, high, start, end) in enumerate(ends)]  # fmt: skip
    return np.column_stack(columns)


def area(points: NDArray[np.float64]) -> float:
    return float(np.trapezoid(points[:, 1], points[:, 0]))


@pytest.fixture(scope="session")
def predictions(explained: Path) -> pl.DataFrame:
    return pl.read_parquet(RunFolder(explained).predictions)


def test_areas_under_the_drawn_roc_curves_are_the_aucs(explained: Path, predictions: pl.DataFrame) -> None:
    chart = figures.roc_chart(predictions)
    results = read_json(RunFolder(explained).results)
    folds = [area(values(chart, line)) for line in chart.lines if line.style == "fold"]
    expected = [record["test_auc"] for record in read_json(RunFolder(explained).metrics)]
    assert folds == pytest.approx(expected, abs=0.005)
    named = {line.name: area(values(chart, line)) for line in chart.lines if line.name}
    assert named["mean of folds"] == pytest.approx(results["cv"]["auc"]["mean"], abs=0.01)
    assert named["held-out test"] == pytest.approx(results["test"]["auc"], abs=0.005)
    assert named["guessing"] == pytest.approx(0.5, abs=0.001)


def test_precision_recall_ends_at_the_share_of_fakes(predictions: pl.DataFrame) -> None:
    chart = figures.precision_recall_chart(predictions)
    lines = {line.name: values(chart, line) for line in chart.lines if line.name}
    base = (predictions.filter(split="cv")["label"] == "fake").mean()
    assert lines["share of fakes"][:, 1] == pytest.approx([base] * 2, abs=0.003)
    assert lines["mean of folds"][-1] == pytest.approx([1.0, base], abs=0.03)


def test_without_a_test_set_there_is_no_test_curve(predictions: pl.DataFrame) -> None:
    chart = figures.roc_chart(predictions.filter(split="cv"))
    assert [line.name for line in chart.lines if line.name] == ["guessing", "mean of folds"]


def test_small_bins_are_not_drawn() -> None:
    curve = [{"count": 5, "probability": 0.25, "fakes": 0.5}, {"count": 4, "probability": 0.75, "fakes": 1.0}]
    chart = figures.calibration_chart({"cv": {"curve": curve}, "test": {"curve": curve[1:]}})
    assert [line.name for line in chart.lines] == ["perfect", "out of fold"]
    assert values(chart, chart.lines[1]) == pytest.approx(np.array([[0.25, 0.5]]), abs=0.003)


def test_coefficients_have_the_range_and_signs_of_their_folds() -> None:
    table = pl.DataFrame(
        {
            "feature": ["small", "large", "zero", "(intercept)"],
            "coefficient": [0.5, -2.0, 0.0, 9.0],
            "repeat0_fold0": [0.25, -1.0, 0.0, 8.0],
            "repeat0_fold1": [-0.25, -3.0, 1.0, 7.0],
        }
    )
    rows = figures.coefficient_table(table)
    assert rows.rows() == [
        ("(intercept)", 9.0, 7.0, 8.0, 2, 2),
        ("large", -2.0, -3.0, -1.0, 2, 2),
        ("small", 0.5, -0.25, 0.25, 1, 2),
        ("zero", 0.0, 0.0, 1.0, 1, 2),
    ]
    assert [row.label for row in figures.coefficient_chart(table).rows] == ["large", "small"]


def test_path_names_the_largest_coefficients(explained: Path) -> None:
    insight = read_insight(explained)
    assert insight is not None
    assert insight.path is not None
    coefficients, scores = figures.path_charts(insight.path)
    largest = insight.path.coefficients.sort(pl.col("coefficient").abs(), descending=True)["feature"][0]
    assert coefficients.lines[-1].name == largest
    (low, high), mean = (scores.x.low, scores.x.high), scores.lines[0]
    assert (low, high) == (1e-4, 100.0)
    assert len(mean.dots) == len(insight.path.scores)


@pytest.mark.parametrize("n", [2, 80, 81, 5000])
def test_thinning_keeps_both_ends(n: int) -> None:
    x = np.linspace(0, 1, n)
    points = figures.thinned(x, x**2)
    assert (points[0], points[-1], len(points)) == ((0.0, 0.0), (1.0, 1.0), min(n, 80))
    assert points == sorted(points)
