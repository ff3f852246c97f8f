"""What an explained run prints in the terminal."""

import polars as pl
from rich.console import Console
from rich.table import Table

from fvc_exp.io.console import frame_table
from fvc_exp.runs.explain.explain import Insight

_WITH_INTERVAL = ("auc", "average_precision", "f1", "balanced_accuracy")
_MOST_FEATURES = 15


def print_insight(console: Console, insight: Insight) -> None:
    """Print intervals, the largest coefficients with the importance of their features, slices and the path."""
    for split, found in (("cv", insight.cv), ("held-out test", insight.test)):
        texts = [f"{name} {found[name].estimate:.3f} [{found[name].low:.3f}, {found[name].high:.3f}]"
                 for name in _WITH_INTERVAL if name in found]  # fmt: skip
        if texts:
            console.print(f"{split}, 95 % intervals by groups: {', '.join(texts)}", soft_wrap=True, markup=False)
    console.print(_coefficient_table(insight))
    if len(insight.slices):
        slices = insight.slices.drop("accuracy", "mean_probability")
        console.print(frame_table(slices, "slices; AUC with its 95 % interval", floats=".3g"))
    if insight.path is not None:
        title = f"regularisation path; C of the run is {insight.path.C:g}"
        console.print(frame_table(insight.path.scores, title, floats=".3g"))


def _coefficient_table(insight: Insight) -> Table:
    joined = insight.coefficients.join(insight.importance.drop("std"), on="feature", how="left", maintain_order="left")
    largest = joined.sort(pl.col("coefficient").abs(), descending=True, maintain_order=True).head(_MOST_FEATURES)
    title = f"largest {len(largest)} of {len(joined)} coefficients, 95 % intervals by groups; importance: fall of AUC"
    return frame_table(largest, title, floats=".3g")
