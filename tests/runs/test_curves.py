from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
from matplotlib.axes import Axes
from PIL import Image
from sklearn.metrics import precision_recall_curve, roc_curve

from fvc_exp.evaluation.bootstrap import intervals
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.runs import curves, plots
from fvc_exp.training.experiment import RunResult
from tests.runs.test_plots import lines, names

Files = tuple[pl.DataFrame, dict[str, Any]]


CURVES = {
    "ROC": (curves.draw_roc, "auc", lambda y, scores: np.column_stack(roc_curve(y, scores)[:2])),
    "precision-recall": (
        curves.draw_precision_recall,
        "average_precision",
        lambda y, scores: np.column_stack(precision_recall_curve(y, scores)[1::-1])[::-1],
    ),
}


@pytest.mark.parametrize(("draw", "metric", "curve"), CURVES.values(), ids=CURVES)
def test_curves_are_those_of_scikit_learn(
    result: RunResult, drawn_files: Files, axes: Axes, draw: Any, metric: str, curve: Callable[..., Any]
) -> None:
    draw(axes, *drawn_files)
    y, split, summary = result.dataset.y, result.split, result.summary[metric]
    for line, fold, scores in zip(axes.lines[:5], split.folds, result.cv.probabilities, strict=True):
        np.testing.assert_array_equal(line.get_xydata(), curve(y[fold.test], scores))
    test = lines(axes)["held-out test"].get_xydata()
    np.testing.assert_array_equal(test, curve(y[split.test], result.test_probability))
    assert names(axes)[1].endswith(f" {summary['mean']:.3f} ± {summary['std']:.3f}")
    assert f" {result.test_scores[metric]:.3f}" in names(axes)[3]


def test_the_mean_roc_has_a_band_of_one_standard_deviation(result: RunResult, drawn_files: Files, axes: Axes) -> None:
    curves.draw_roc(axes, *drawn_files)
    x, mean = lines(axes)["mean of folds"].get_data()
    assert np.trapezoid(mean, x) == pytest.approx(result.summary["auc"]["mean"], abs=1e-3)
    pairs = zip(result.split.folds, result.cv.probabilities, strict=True)
    rates = [np.interp(0.5, *roc_curve(result.dataset.y[fold.test], scores)[:2]) for fold, scores in pairs]
    band = axes.collections[0].get_paths()[0].vertices
    ends = np.clip(np.mean(rates) + np.std(rates, ddof=1) * np.array([-1, 1]), 0, 1)
    assert np.unique(band[band[:, 0] == 0.5, 1]) == pytest.approx(np.unique(ends))
    assert names(axes)[2] == "± 1 sd of the folds"
    interval = intervals(drawn_files[0], "test", 0.0, metrics=("auc",))["auc"]
    assert names(axes)[3].endswith(f" (95 % CI {interval.low:.3f} to {interval.high:.3f})"), "as in the report"
    assert lines(axes)["guessing"].get_xydata().tolist() == [[0, 0], [1, 1]]
    assert lines(axes)["mean of folds"].get_xydata()[0].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("most", [1001, 8], ids=["every recall", "a grid"])
def test_below_the_mean_lies_the_average_precision(
    result: RunResult, drawn_files: Files, axes: Axes, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(curves, "_GRID", np.linspace(0.0, 1.0, most))
    curves.draw_precision_recall(axes, *drawn_files)
    recall, precision = lines(axes)["mean of folds"].get_data()
    assert np.sum(np.diff(recall) * precision[1:]) == pytest.approx(result.summary["average_precision"]["mean"], 1e-12)
    assert {line.get_drawstyle() for line in axes.lines[:-1]} == {"steps-pre"}, "no straight lines between points"
    share = float(result.dataset.y[result.split.development].mean())
    assert lines(axes)[f"share of fakes {share:.3f}"].get_ydata() == pytest.approx([share] * 2)


def test_at_most_50_folds_are_drawn_and_no_test_curve_without_a_test_set(drawn_files: Files, axes: Axes) -> None:
    predictions, numbers = drawn_files
    cv = predictions.filter(split="cv")
    many = pl.concat([cv.with_columns(pl.lit(each, cv["repeat"].dtype).alias("repeat")) for each in range(20)])
    curves.draw_roc(axes, many, {**numbers, "test": None})
    shown = [name.split(",")[0] for name in names(axes)]
    assert shown == ["50 of 100 folds", "mean of folds", "± 1 sd of the folds", "guessing"]
    assert len(axes.lines) == 52


def test_pictures_repeat_and_name_the_run(drawn_files: Files) -> None:
    one, two = (curves.roc_pr_figure(*drawn_files, "demo") for _ in range(2))
    assert one.get_suptitle() == (
        "demo: penalty=elasticnet, C=0.2, cv=grouped - synthetic corpus\n180 videos in 60 groups, 36 videos held out"
    )
    png = plots.png_bytes(one)
    assert png.startswith(b"\x89PNG")
    assert png == plots.png_bytes(two)
    predictions, numbers = drawn_files
    ungrouped = {**numbers, "data": {**numbers["data"], "group_column": None}}
    title = curves.roc_pr_figure(predictions, ungrouped, "mine").get_suptitle()
    assert title.endswith("\n180 videos, groups unknown, 36 videos held out")


def test_png_and_svg_show_the_same_and_legends_cover_no_curve(drawn_files: Files, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    curves.write_curves(folder, *drawn_files, "mine")
    with Image.open(folder.plot) as picture:
        assert picture.size == (1800, 1180), "200 dpi"
    texts = {"".join(each.itertext()) for each in ElementTree.parse(folder.plot_svg).findall(".//{*}text")}
    figure = curves.roc_pr_figure(*drawn_files, "mine")
    assert {name for axes in figure.axes for name in names(axes)} <= texts
    figure.draw_without_rendering()
    page = figure.bbox
    for axes in figure.axes:
        box = axes.get_legend().get_window_extent()
        assert not box.overlaps(axes.bbox)
        assert page.x0 <= box.x0
        assert box.x1 <= page.x1
        assert page.y0 <= box.y0
