"""Insight in the terminal and as JSON."""

from __future__ import annotations

from typing import Any

import polars as pl
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fvc_exp.runs.explain.explain import Insight

_MOST_FEATURES = 15


_LEAST_WIDTH = 12  # of a column of texts, before numbers


_SLICE_COLUMNS = (
    *("slice", "value", "split", "rows", "groups", "fakes"),
    *(pl.col("recall").alias("recall fake"), pl.col("recall_real").alias("recall real")),
    *("auc", pl.col("auc_low").alias("low"), pl.col("auc_high").alias("high"), pl.col("auc_against").alias("against")),
)


_SHOWN = ("auc", "average_precision", "f1", "balanced_accuracy")


def as_json(insight: Insight) -> dict[str, Any]:
    """Plain values."""
    path = insight.path
    return {
        "run_id": insight.run_id,
        "cv": {name: vars(each) for name, each in insight.cv.items()},
        "test": {name: vars(each) for name, each in insight.test.items()},
        "coefficients": insight.coefficients.to_dicts(),
        "importance": insight.importance.to_dicts(),
        "slices": insight.slices.to_dicts(),
        "path": {"C": path.C, "scores": path.scores.to_dicts(), "coefficients": path.coefficients.to_dicts()}
        if path
        else None,
    }


def show(console: Console, insight: Insight) -> None:
    """Print intervals, the largest coefficients with the importance of their features, slices and the path."""
    for split, found in (("cv", insight.cv), ("held-out test", insight.test)):
        texts = [f"{name} {each.estimate:.3f} [{each.low:.3f}, {each.high:.3f}]"
                 for name, each in found.items() if name in _SHOWN]  # fmt: skip
        if texts:
            console.print(f"{split}, 95 % intervals by groups: {', '.join(texts)}", soft_wrap=True, markup=False)
    console.print(_coefficient_table(insight))
    if len(insight.slices):
        console.print(_table("slices; AUC with its 95 % interval", insight.slices.select(_SLICE_COLUMNS)))
    if insight.path is not None:
        title = f"regularisation path; C of the run is {insight.path.C:g}"
        console.print(_table(title, insight.path.scores))


def _coefficient_table(insight: Insight) -> Table:
    joined = insight.coefficients.join(insight.importance.drop("std"), on="feature", how="left", maintain_order="left")
    largest = joined.sort(pl.col("coefficient").abs(), descending=True, maintain_order=True).head(_MOST_FEATURES)
    title = f"largest {len(largest)} of {len(joined)} coefficients, 95 % intervals by groups; importance: fall of AUC"
    return _table(title, largest)


def _table(title: str, frame: pl.DataFrame) -> Table:
    table = Table(title=title, title_justify="left", title_style="", box=SIMPLE_HEAD)
    for name, dtype in frame.schema.items():
        text = dtype == pl.String
        widest = frame.select(pl.col(name).str.len_chars().max()).item() if text else 0
        table.add_column(
            name, justify="left" if text else "right", overflow="fold", min_width=min(widest or 0, _LEAST_WIDTH)
        )
    for row in frame.iter_rows():
        table.add_row(*(_text(value) for value in row))
    return table


def _text(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else escape(str(value))
