from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from fvc_exp.runs import plots
from fvc_exp.runs.explain.analysis import regularisation_path
from fvc_exp.training.experiment import RunResult


def lines(axes: Axes) -> dict[str, Line2D]:
    """The drawn lines by the first words of their label."""
    return {str(line.get_label()).split(",")[0]: line for line in axes.lines}


def names(axes: Axes) -> list[str]:
    return axes.get_legend_handles_labels()[1]


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
    rows = pl.DataFrame({"label": ["b", "a" * 80], "value": [0.7, 0.8], "low": [0.6, None], "high": [0.9, None]})
    plots.draw_intervals(axes, rows, title="t", x="AUC", reference=0.5)
    dots, reference = axes.lines
    assert dots.get_xdata().tolist() == [0.7, 0.8]
    assert dots.get_ydata()[1] > 1.5, "two lines more need room"
    ends = [segment[:, 0].tolist() for segment in axes.collections[0].get_segments()]
    assert ends == [[0.6, 0.9], [0.8, 0.8]]
    assert reference.get_xdata()[0] == 0.5
    assert all(axes.viewLim.containsx(value) for value in (0.5, 0.9))
    assert axes.yaxis_inverted(), "the first row stands on top"
    label = "\n".join(("a" * 38, "a" * 38, "a" * 4))  # in full
    assert [text.get_text() for text in axes.texts] == ["b", "0.700 (0.600 to 0.900)", label, "0.800"]


def test_the_path_shows_every_coefficient_the_score_and_the_c_of_the_run(result: RunResult) -> None:
    path = regularisation_path(result, [0.01, 1.0])
    upper, lower = plots.path_figure(path).axes
    largest = path.coefficients.sort(pl.col("coefficient").abs(), descending=True)["feature"][0]
    assert names(upper)[0] == largest
    assert sorted(names(upper)) == ["C of the run, 0.2", *(f"stage2_f{column}" for column in range(5))]
    expected = path.coefficients.filter(feature=largest).sort("C")["coefficient"].to_list()
    assert lines(upper)[largest].get_ydata().tolist() == expected
    (bars,) = lower.containers
    assert bars[0].get_xydata().tolist() == path.scores.select("C", "mean").to_numpy().tolist()
    heights = [np.ptp(segment[:, 1]) / 2 for segment in bars[2][0].get_segments()]
    assert heights == pytest.approx(path.scores["standard_error"].to_list())
    assert lower.get_ylim() == (0.0, 1.0)
    assert (upper.get_xscale(), lower.get_xscale()) == ("log", "log")


TICKS = {
    "decades": (0.01, 10.0, ["0.01", "0.1", "1", "10"]),
    "many decades": (1e-6, 1e6, ["1e-06", "0.0001", "0.01", "1", "100", "10000", "1e+06"]),
    "inside a decade": (2.0, 5.0, ["2", "5"]),
    "one value": (3.0, 3.0, ["3"]),
}


@pytest.mark.parametrize(("low", "high", "ticks"), TICKS.values(), ids=TICKS)
def test_c_has_round_ticks_and_the_best_auc_per_penalty(axes: Axes, low: float, high: float, ticks: list[str]) -> None:
    runs = pl.DataFrame({"penalty": ["l1", "l1", "l2", "l1"], "C": [low, low, high, high], "auc": [0.4, 0.5, 0.6, 0.7],
                         "low": [0.1, 0.2, None, 0.3], "high": [0.5, 0.8, None, 0.9]})  # fmt: skip
    plots.draw_auc_over_c(axes, runs)
    assert [label.get_text() for label in axes.get_xticklabels()] == ticks
    l1, l2 = axes.containers
    assert dict(l1[0].get_xydata().tolist()) == {low: 0.5} | {high: 0.7}
    ends = {segment[0, 0]: segment[:, 1].tolist() for segment in l1[2][0].get_segments()}
    assert ends[low] == pytest.approx([0.3, 0.9] if low == high else [0.2, 0.8])
    assert ends[high] == pytest.approx([0.3, 0.9])
    assert l2[0].get_ydata().tolist() == [0.6]
    assert names(axes) == ["guessing", "l1 with 95 % intervals", "l2"]
    assert axes.get_ylim() == (0.0, 1.0)


def test_names_from_data_are_plain_text(axes: Axes, result: RunResult) -> None:
    hostile, shown = "_$x$ <b>\x1b[31m&中", "_$x$ &lt;b&gt; [31m&amp;中"
    rows = pl.DataFrame({"label": [hostile], "value": [0.5], "low": [0.4], "high": [0.6]})
    plots.draw_intervals(axes, rows, title=hostile, x="AUC", reference=0.5)
    assert plots.svg_bytes(axes.figure, "x").decode().count(shown) == 2
    path = regularisation_path(result, [1.0])
    renamed = replace(path, coefficients=path.coefficients.with_columns(feature=pl.lit(hostile)))
    assert shown in plots.svg_bytes(plots.path_figure(renamed), "x").decode()
