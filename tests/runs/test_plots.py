from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from sklearn.metrics import precision_recall_curve, roc_curve

from fvc_exp.runs import plots
from fvc_exp.runs.artifacts import results
from fvc_exp.runs.explain.path import regularisation_path
from fvc_exp.training.experiment import RunResult, run
from tests.conftest import signal_dataset
from tests.report.folders import make_config

HOSTILE = "_$x$ <b>\x1b[31m&中"


@pytest.fixture(scope="module")
def result() -> RunResult:
    return run(make_config("audit.permutations=0", "C=0.2"), signal_dataset())


@pytest.fixture
def axes() -> Axes:
    return Figure().add_subplot()


def lines(axes: Axes) -> dict[str, Line2D]:
    """The drawn lines by the first words of their label."""
    return {str(line.get_label()).split(",")[0]: line for line in axes.lines}


def legend(axes: Axes) -> list[str]:
    return axes.get_legend_handles_labels()[1]


def files_of(result: RunResult) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Its predictions.parquet and results.json."""
    return result.predictions(), results(result, "hash")


def test_roc_curves_are_those_of_scikit_learn(result: RunResult, axes: Axes) -> None:
    plots.draw_roc(axes, *files_of(result))
    y, split = result.dataset.y, result.split
    parts = [(fold.test, scores) for fold, scores in zip(split.folds, result.fold_probabilities, strict=True)]
    for line, (rows, scores) in zip(axes.lines, parts, strict=False):
        np.testing.assert_array_equal(line.get_xydata(), np.column_stack(roc_curve(y[rows], scores)[:2]))
    drawn = lines(axes)
    test = np.column_stack(roc_curve(y[split.test], result.test_probability)[:2])
    np.testing.assert_array_equal(drawn["held-out test"].get_xydata(), test)
    mean = drawn["mean of folds"].get_xydata().T
    assert np.trapezoid(mean[1], mean[0]) == pytest.approx(result.summary["auc"]["mean"], abs=0.01)
    assert mean[:, 0].tolist() == [0.0, 0.0]


def test_precision_recall_curves_are_those_of_scikit_learn(result: RunResult, axes: Axes) -> None:
    plots.draw_precision_recall(axes, *files_of(result))
    y, split = result.dataset.y, result.split
    precision, recall, _ = precision_recall_curve(y[split.test], result.test_probability)
    drawn = lines(axes)
    np.testing.assert_array_equal(drawn["held-out test"].get_xydata(), np.column_stack([recall, precision])[::-1])
    share = float(y[split.development].mean())
    assert drawn[f"share of fakes {share:.3f}"].get_ydata() == pytest.approx([share] * 2)
    assert drawn["mean of folds"].get_xydata()[-1] == pytest.approx([1.0, share], abs=0.03)


@pytest.mark.parametrize("draw", [plots.draw_roc, plots.draw_precision_recall])
def test_the_legend_names_the_scores_and_at_most_50_folds_are_drawn(result: RunResult, axes: Axes, draw: Any) -> None:
    predictions, numbers = files_of(result)
    many = pl.concat([predictions.with_columns(repeat=pl.lit(each, pl.Int64)) for each in range(20)])
    draw(axes, many.cast({"repeat": predictions["repeat"].dtype}), numbers)
    score = numbers["cv"]["auc" if draw is plots.draw_roc else "average_precision"]
    names = legend(axes)
    assert names[0] == "50 of 100 folds"
    assert names[1].startswith("mean of folds")
    assert names[1].endswith(f"{score['mean']:.3f} ± {score['std']:.3f}")
    assert len(axes.lines) == 53


def test_without_a_test_set_there_is_no_test_curve(result: RunResult, axes: Axes) -> None:
    predictions, numbers = files_of(result)
    plots.draw_roc(axes, predictions.filter(split="cv"), {**numbers, "test": None})
    assert [name.split(",")[0] for name in legend(axes)] == ["5 folds", "mean of folds", "guessing"]


def test_small_bins_are_not_drawn(axes: Axes) -> None:
    curve = [{"count": 5, "probability": 0.25, "fakes": 0.5}, {"count": 4, "probability": 0.75, "fakes": 1.0}]
    plots.draw_calibration(axes, {"cv": {"curve": curve, "ece": 0.1}, "test": {"curve": curve[1:], "ece": 0.1}})
    assert list(lines(axes)) == ["perfect", "out of fold"]
    assert lines(axes)["out of fold"].get_xydata().tolist() == [[0.25, 0.5]]


def test_coefficients_have_the_range_and_signs_of_their_folds(axes: Axes) -> None:
    table = pl.DataFrame(
        {
            "feature": ["small", "large", "zero", "(intercept)"],
            "coefficient": [0.5, -2.0, 0.0, 9.0],
            "repeat0_fold0": [0.25, -1.0, 0.0, 8.0],
            "repeat0_fold1": [-0.25, -3.0, 1.0, 7.0],
        }
    )
    assert plots.coefficient_table(table).rows() == [
        ("(intercept)", 9.0, 7.0, 8.0, 2, 2),
        ("large", -2.0, -3.0, -1.0, 2, 2),
        ("small", 0.5, -0.25, 0.25, 1, 2),
        ("zero", 0.0, 0.0, 1.0, 1, 2),
    ]
    plots.draw_coefficients(axes, table)
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["large", "-2.000 (-3.000 to -1.000)", "small", "+0.500 (-0.250 to +0.250)"]
    assert axes.get_xlabel().startswith("log odds of fake per standard deviation")


def test_intervals_keep_their_order_and_show_the_reference(axes: Axes) -> None:
    rows = pl.DataFrame({"label": ["a" * 80, "b"], "value": [0.7, 0.8], "low": [0.6, None], "high": [0.9, None]})
    plots.draw_intervals(axes, rows, title="t", x="AUC", reference=0.5)
    dots, reference = axes.lines
    assert dots.get_xydata().tolist() == [[0.7, 0.0], [0.8, 1.0]]
    assert [each.tolist() for each in axes.collections[0].get_segments()] == [
        [[0.6, 0.0], [0.9, 0.0]],
        [[0.8, 1.0], [0.8, 1.0]],
    ]
    assert reference.get_xdata()[0] == 0.5
    assert axes.viewLim.containsx(0.5)
    assert axes.viewLim.containsx(0.9)
    assert axes.yaxis_inverted(), "the first row stands on top"
    assert [text.get_text() for text in axes.texts] == ["a" * 39 + "…", "0.700 (0.600 to 0.900)", "b", "0.800"]


def test_the_path_shows_every_coefficient_the_score_and_the_c_of_the_run(result: RunResult) -> None:
    path = regularisation_path(result, [0.01, 1.0])
    upper, lower = plots.path_figure(path).axes
    largest = path.coefficients.sort(pl.col("coefficient").abs(), descending=True)["feature"][0]
    assert legend(upper)[0] == largest
    assert sorted(legend(upper)) == ["C of the run, 0.2", *(f"stage2_f{column}" for column in range(5))]
    expected = path.coefficients.filter(feature=largest).sort("C")["coefficient"].to_list()
    assert lines(upper)[largest].get_ydata().tolist() == expected
    mean = lines(lower)["mean of folds"]
    assert mean.get_xdata().tolist() == [0.01, 0.2, 1.0]
    assert mean.get_ydata().tolist() == path.scores["mean"].to_list()
    assert (upper.get_xscale(), lower.get_xscale()) == ("log", "log")


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.01, 10.0, ["0.01", "0.1", "1", "10"]),
        (1e-6, 1e6, ["1e-06", "0.0001", "0.01", "1", "100", "10000", "1e+06"]),
        (2.0, 5.0, ["2", "5"]),
        (3.0, 3.0, ["3"]),
    ],
    ids=["decades", "many decades", "inside a decade", "one value"],
)
def test_c_has_round_ticks_and_the_best_auc_of_each_penalty(
    axes: Axes, low: float, high: float, ticks: list[str]
) -> None:
    runs = pl.DataFrame({"penalty": ["l1", "l2", "l1", "l1"], "C": [high, high, low, low], "auc": [0.7, 0.6, 0.5, 0.4]})
    plots.draw_auc_over_c(axes, runs)
    assert [label.get_text() for label in axes.get_xticklabels()] == ticks
    assert dict(lines(axes)["l1"].get_xydata().tolist()) == {low: max(0.5, 0.7 * (low == high)), high: 0.7}
    assert dict(lines(axes)["l2"].get_xydata().tolist()) == {high: 0.6}


def test_files_are_pictures_that_repeat(result: RunResult) -> None:
    png, again = (plots.png_bytes(plots.roc_pr_figure(*files_of(result), "demo")) for _ in range(2))
    assert png.startswith(b"\x89PNG")
    assert png == again
    figures = [plots.roc_pr_figure(*files_of(result), "demo") for _ in range(3)]
    assert figures[0].get_suptitle() == "demo: penalty=elasticnet, C=0.2, cv=grouped - synthetic corpus"
    names = ("one", "one", "two")
    svg, same, other = (plots.svg_bytes(*each).decode() for each in zip(figures, names, strict=True))
    assert svg == same
    ids = [set(re.findall(r'clipPath id="(\w+)"', each)) for each in (svg, other)]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_names_from_data_are_plain_text(axes: Axes, result: RunResult) -> None:
    rows = pl.DataFrame({"label": [HOSTILE], "value": [0.5], "low": [0.4], "high": [0.6]})
    plots.draw_intervals(axes, rows, title=HOSTILE, x="AUC", reference=0.5)
    svg = plots.svg_bytes(axes.figure, "x").decode()
    assert svg.count("_$x$ &lt;b&gt; [31m&amp;中") == 2
    path = regularisation_path(result, [1.0])
    renamed = replace(path, coefficients=path.coefficients.with_columns(feature=pl.lit(HOSTILE)))
    assert "_$x$ &lt;b&gt; [31m&amp;中" in plots.svg_bytes(plots.path_figure(renamed), "x").decode()
