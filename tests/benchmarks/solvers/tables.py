"""Rows to a parquet file and to markdown."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from tests.benchmarks.solvers.grid import OURS_GRID
from tests.benchmarks.solvers.methods import OURS
from tests.benchmarks.solvers.objective import CERTIFIED

CELL = ("shape", "signal", "penalty", "C")
SAME = (*CELL, "part", "target", "outlier", "seed", "points")  # what rows must share to be compared
ABSENT = dict.fromkeys(("penalty", "C", "target", "points", "suboptimality")) | {"objective": "", "gap": 0.0}
TYPES = dict.fromkeys(("rounds", "cpu", "wall"), pl.List(pl.Float64)) | {"suboptimality": pl.Float64}
SHORT = {"not applicable": "-", "not reached": "n/r", "not installed": "n/i"}


def with_ratios(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """The rows with their median costs, and the medians over rounds of the ratios to ours in the same round."""
    full = [ABSENT | row for row in rows]
    frame = pl.DataFrame(full, schema_overrides=TYPES, infer_schema_length=None).with_row_index()
    rounds = frame.select("index", "method", *SAME, "rounds", "cpu", "wall").explode("rounds", "cpu", "wall")
    ours = rounds.filter(pl.col("method").is_in([OURS.name, OURS_GRID])).drop("index", "method")
    clocks = [pl.col(clock).median().alias(f"{clock}_median") for clock in ("cpu", "wall")]
    ratios = [(pl.col(clock) / pl.col(f"{clock}_ours")).median().alias(f"{clock}_ratio") for clock in ("cpu", "wall")]
    pairs = rounds.join(ours, on=[*SAME, "rounds"], how="left", nulls_equal=True, suffix="_ours")
    return frame.join(pairs.group_by("index").agg(*clocks, *ratios), on="index", how="left").sort("index")


def markdown(frame: pl.DataFrame) -> Iterator[str]:
    """A table; a dash where there is nothing."""
    for line in (frame.columns, ["---"] * frame.width, *frame.rows()):
        yield f"| {' | '.join('-' if value is None else str(value) for value in line)} |"


def grid_table(rows: pl.DataFrame) -> Iterator[str]:
    """One line per method and task."""
    outlier = pl.when("outlier").then(pl.lit(" outlier")).otherwise(pl.lit(""))
    task = pl.format("{} {}{}, {} points x 5", "shape", "signal", outlier, pl.col("points").fill_null(0)).alias("task")
    columns = {"CPU s": "cpu_median", "wall s": "wall_median", "CPU / ours": "cpu_ratio", "wall / ours": "wall_ratio"}
    numbers = [pl.col(column).round_sig_figs(3).alias(name) for name, column in columns.items()]
    accuracy = pl.col("suboptimality").round_sig_figs(2).alias("worst suboptimality")
    yield from markdown(rows.select(task, "method", *numbers, accuracy, "outcome", "reason"))


def single_tables(rows: pl.DataFrame) -> Iterator[str]:
    """A table per target: one line per cell, one column per method, the medians over seeds.

    Only a method that reached the target for every seed has a number.
    """
    yield "CPU milliseconds on one thread (ratio to ours). n/r: not reached, n/i: not installed, -: not applicable,"
    yield "*: its own objective, so beside ours for information only."
    cost, ratio = (pl.col(f"cpu_{kind}").median() for kind in ("median", "ratio"))
    number = pl.format("{} ({})", (1e3 * cost).round_sig_figs(3), ratio.round_sig_figs(2))
    missing = pl.col("outcome").filter(pl.col("outcome") != "reached").first().replace(SHORT)
    star = pl.when(pl.col("objective") == "").then("method").otherwise(pl.format("{}*", "method"))
    for (target,), part in rows.drop_nulls("target").group_by("target", maintain_order=True):
        yield from ["", f"(F - F*) / F* <= {target:.0e}", ""]
        groups = part.group_by(*CELL, star.alias("method"), maintain_order=True)
        yield from markdown(groups.agg(entry=missing.fill_null(number)).pivot("method", index=CELL))


def claims(rows: pl.DataFrame) -> Iterator[str]:
    """What single fits come to, how sure the minima are, and why methods took no part."""
    single = rows.filter(pl.col("part") == "single", pl.col("objective") == "", pl.col("family") != "ours")
    best = single.drop_nulls("cpu_ratio").group_by("family", *SAME, maintain_order=True).agg(pl.col("cpu_ratio").min())
    stats = {name: getattr(pl.col("cpu_ratio"), name)().round_sig_figs(3) for name in ("min", "median", "max")}
    yield "Single fits: the fastest method of the family / ours, over the cells in which one reached the target."
    families = best.group_by("family", "target", maintain_order=True).agg(pl.len().alias("cells"), **stats)
    yield from ["", *markdown(families), ""]
    yield f"- rows whose minimum is not certified to {CERTIFIED} by a dual bound: {(rows['gap'] > CERTIFIED).sum()}"
    silent = ("reached", "done", "not reached", "not applicable")
    reasons = rows.filter(~pl.col("outcome").is_in(silent)).group_by("method", "outcome", "reason", maintain_order=True)
    for method, outcome, reason, count in reasons.len().rows():
        yield f"- {method}: {outcome} in {count} rows ({reason})"


def write(rows: Sequence[dict[str, Any]], folder: Path, title: str) -> str:
    """``results.parquet`` and ``results.md`` in ``folder``; the markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    frame = with_ratios(rows)
    frame.write_parquet(folder / "results.parquet")
    parts = [title, "", *claims(frame)]
    for part, make_lines in (("grid", grid_table), ("single", single_tables)):
        parts += ["", f"## {part}", "", *make_lines(frame.filter(pl.col("part") == part))]
    text = "\n".join(parts) + "\n"
    (folder / "results.md").write_text(text)
    return text
