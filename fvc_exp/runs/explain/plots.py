"""The regularisation path as a picture."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fvc_exp.runs.explain.path import RegularisationPath

_MOST_NAMES = 8


def path_figure(path: RegularisationPath) -> Figure:
    """Coefficients over C, the largest named, above the cross-validated AUC with one standard error; C of the run."""
    figure = Figure(figsize=(8, 8), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True)
    _draw_coefficients(upper, path)
    _draw_scores(lower, path)
    for axes in (upper, lower):
        axes.set_xscale("log")
        axes.axvline(path.C, color="black", linestyle=":", linewidth=1.0, label=f"C of the run, {path.C:g}")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return figure


def _draw_coefficients(axes: Axes, path: RegularisationPath) -> None:
    wide = path.coefficients.pivot("feature", index="C", values="coefficient").sort("C")
    names = sorted((name for name in wide.columns if name != "C"), key=lambda name: -abs(float(wide[name][-1])))
    for place, name in enumerate(names):
        named = place < _MOST_NAMES
        style: dict[str, Any] = {"label": name.replace("$", r"\$").lstrip("_")} if named else {"color": "0.8"}
        axes.plot(wide["C"], wide[name], linewidth=1.4 if named else 0.8, zorder=2 if named else 1, **style)
    axes.set(title="coefficients of standardised features", ylabel="log odds of fake a standard deviation")


def _draw_scores(axes: Axes, path: RegularisationPath) -> None:
    scores = path.scores.sort("C")
    axes.plot(scores["C"], scores["mean"], marker="o", color="tab:blue", label="mean AUC of the folds")
    if scores["standard_error"].null_count() == 0:
        low, high = scores["mean"] - scores["standard_error"], scores["mean"] + scores["standard_error"]
        axes.fill_between(scores["C"], low, high, color="tab:blue", alpha=0.2, label="± one standard error")
    axes.axhline(0.5, color="0.5", linewidth=1.0, linestyle="--", label="guessing")
    axes.set(title="cross-validation", xlabel="C (small = strong penalty)", ylabel="AUC")
