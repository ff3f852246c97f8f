from collections.abc import Callable
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
from fvc_exp.runs.explain.analysis import regularisation_path
from fvc_exp.training.experiment import RunResult
from tests.conftest import run, signal_dataset
from tests.report.folders import make_config

Files = tuple[pl.DataFrame, dict[str, Any]]


@pytest.fixture(scope="module")
def result() -> RunResult:
    return run(make_config("audit.permutations=0", "C=0.2"), signal_dataset())


@pytest.fixture(scope="module")
def files(result: RunResult) -> Files:
    """What its predictions.parquet and results.json hold."""
    return result.predictions(), results(result, "hash")


@pytest.fixture
def axes() -> Axes:
    return Figure().add_subplot()


def lines(axes: Axes) -> dict[str, Line2D]:
    """The drawn lines by the first words of their label."""
    return {str(line.get_label()).split(",")[0]: line for line in axes.lines}


def names(axes: Axes) -> list[str]:
    return axes.get_legend_handles_labels()[1]


@pytest.mark.parametrize(
    ("draw", "metric", "curve"),
    [
        (plots.draw_roc, "auc", lambda y, scores: np.column_stack(roc_curve(y, scores)[:2])),
        (
            plots.draw_precision_recall,
            "average_precision",
            lambda y, scores: np.column_stack(precision_recall_curve(y, scores)[1::-1])[::-1],
        ),
    ],
    ids=["ROC", "precision-recall"],
)
def test_curves_are_those_of_scikit_learn(
    result: RunResult, files: Files, axes: Axes, draw: Any, metric: str, curve: Callable[..., Any]
) -> None:
    draw(axes, *files)
    y, split, summary = result.dataset.y, result.split, result.summary[metric]
    for line, fold, scores in zip(axes.lines[:5], split.folds, result.fold_probabilities, strict=True):
        np.testing.assert_array_equal(line.get_xydata(), curve(y[fold.test], scores))
    test = lines(axes)["held-out test"].get_xydata()
    np.testing.assert_array_equal(test, curve(y[split.test], result.test_probability))
    x, mean = lines(axes)["mean of folds"].get_data()
    assert np.trapezoid(mean, x) == pytest.approx(summary["mean"], abs=0.02)
    assert names(axes)[1].endswith(f" {summary['mean']:.3f} ± {summary['std']:.3f}")
    assert names(axes)[2].endswith(f" {result.test_scores[metric]:.3f}")


def test_reference_lines_are_guessing_and_the_share_of_fakes(result: RunResult, files: Files, axes: Axes) -> None:
    plots.draw_roc(axes, *files)
    assert lines(axes)["guessing"].get_xydata().tolist() == [[0, 0], [1, 1]]
    assert lines(axes)["mean of folds"].get_xydata()[0].tolist() == [0.0, 0.0]
    axes.clear()
    plots.draw_precision_recall(axes, *files)
    share = float(result.dataset.y[result.split.development].mean())
    assert lines(axes)[f"share of fakes {share:.3f}"].get_ydata() == pytest.approx([share] * 2)


def test_at_most_50_folds_are_drawn_and_no_test_curve_without_a_test_set(files: Files, axes: Axes) -> None:
    predictions, numbers = files
    cv = predictions.filter(split="cv")
    many = pl.concat([cv.with_columns(pl.lit(each, cv["repeat"].dtype).alias("repeat")) for each in range(20)])
    plots.draw_roc(axes, many, {**numbers, "test": None})
    assert [name.split(",")[0] for name in names(axes)] == ["50 of 100 folds", "mean of folds", "guessing"]
    assert len(axes.lines) == 52


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
    ends = [segment[:, 0].tolist() for segment in axes.collections[0].get_segments()]
    assert ends == [[0.6, 0.9], [0.8, 0.8]]
    assert reference.get_xdata()[0] == 0.5
    assert all(axes.viewLim.containsx(value) for value in (0.5, 0.9))
    assert axes.yaxis_inverted(), "the first row stands on top"
    assert [text.get_text() for text in axes.texts] == ["a" * 39 + "…", "0.700 (0.600 to 0.900)", "b", "0.800"]


def test_the_path_shows_every_coefficient_the_score_and_the_c_of_the_run(result: RunResult) -> None:
    path = regularisation_path(result, [0.01, 1.0])
    upper, lower = plots.path_figure(path).axes
    largest = path.coefficients.sort(pl.col("coefficient").abs(), descending=True)["feature"][0]
    assert names(upper)[0] == largest
    assert sorted(names(upper)) == ["C of the run, 0.2", *(f"stage2_f{column}" for column in range(5))]
    expected = path.coefficients.filter(feature=largest).sort("C")["coefficient"].to_list()
    assert lines(upper)[largest].get_ydata().tolist() == expected
    assert lines(lower)["mean of folds"].get_xydata().tolist() == path.scores.select("C", "mean").to_numpy().tolist()
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
def test_c_has_round_ticks_and_the_best_auc_per_penalty(axes: Axes, low: float, high: float, ticks: list[str]) -> None:
    runs = pl.DataFrame({"penalty": ["l1", "l1", "l2", "l1"], "C": [low, low, high, high], "auc": [0.4, 0.5, 0.6, 0.7]})
    plots.draw_auc_over_c(axes, runs)
    assert [label.get_text() for label in axes.get_xticklabels()] == ticks
    assert dict(lines(axes)["l1"].get_xydata().tolist()) == {low: 0.5} | {high: 0.7}
    assert dict(lines(axes)["l2"].get_xydata().tolist()) == {high: 0.6}


def test_pictures_repeat_and_name_the_run(files: Files) -> None:
    one, two = (plots.roc_pr_figure(*files, "demo") for _ in range(2))
    assert one.get_suptitle() == "demo: penalty=elasticnet, C=0.2, cv=grouped - synthetic corpus"
    png = plots.png_bytes(one)
    assert png.startswith(b"\x89PNG")
    assert png == plots.png_bytes(two)


def test_names_from_data_are_plain_text(axes: Axes, result: RunResult) -> None:
    hostile, shown = "_$x$ <b>\x1b[31m&中", "_$x$ &lt;b&gt; [31m&amp;中"
    rows = pl.DataFrame({"label": [hostile], "value": [0.5], "low": [0.4], "high": [0.6]})
    plots.draw_intervals(axes, rows, title=hostile, x="AUC", reference=0.5)
    assert plots.svg_bytes(axes.figure, "x").decode().count(shown) == 2
    path = regularisation_path(result, [1.0])
    renamed = replace(path, coefficients=path.coefficients.with_columns(feature=pl.lit(hostile)))
    assert shown in plots.svg_bytes(plots.path_figure(renamed), "x").decode()
