"""Rows to a parquet file and to markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from tests.benchmarks.solvers import claims
from tests.benchmarks.solvers.rows import CELL_NAMES, Row, median, number, with_ratios


def line(cells: Sequence[object]) -> str:
    """A row of a markdown table."""
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def header(names: Sequence[str]) -> list[str]:
    """The two first lines of a table."""
    return [line(names), line(["---"] * len(names))]


def grid_table(rows: Sequence[Row]) -> Iterator[str]:
    """One line a method and task."""
    yield from header([
        "task", "method", "CPU s", "wall s", "CPU / ours", "wall / ours", "worst suboptimality", "log loss off by",
        "outcome",
    ])  # fmt: skip
    for row in rows:
        name = f"{row['shape']} {row['signal']}{' outlier' if row['outlier'] else ''}, {row['points']} points x 5"
        costs = [number(row[key]) for key in ("cpu_median", "wall_median", "cpu_ratio", "wall_ratio")]
        errors = [number(row.get(key), 2) for key in ("suboptimality", "loss_error")]
        yield line([name, row["method"], *costs, *errors, f"{row['outcome']} {row['reason']}".strip()])


SHORT = {"not applicable": "-", "not reached": "n/r", "not installed": "n/i", "failed": "failed", "stopped": "stopped"}


def single_tables(rows: Sequence[Row]) -> Iterator[str]:
    """A table a target: one line a cell, one column a method, the medians over seeds; then why cells have no number."""
    yield "Milliseconds (ratio to ours); CPU time for one thread, wall time for two. n/r: not reached, n/i: not"
    yield "installed, -: not applicable, *: its own objective, so beside ours for information only."
    for target in sorted({row["target"] for row in rows if row["target"]}, reverse=True):
        chosen = [row for row in rows if row["target"] == target]
        methods = {row["method"]: "*" if row["objective"] else "" for row in chosen}
        yield from ["", f"(F - F*) / F* <= {target:.0e}", ""]
        yield from header([*CELL_NAMES, *(name + star for name, star in methods.items())])
        cells: dict[tuple[object, ...], dict[str, list[Row]]] = {}
        for row in chosen:
            key = tuple(row[name] for name in CELL_NAMES)
            cells.setdefault(key, {}).setdefault(row["method"], []).append(row)
        for key, group in cells.items():
            yield line([*key, *(_entry(group.get(name, [])) for name in methods)])
    yield from ["", *reasons(rows)]


def _entry(group: Sequence[Row]) -> str:
    """What stands in a cell: only a method that reached the target for every seed has a number."""
    missing = [row for row in group if row["outcome"] != "reached"]
    if missing or not group:
        return SHORT[missing[0]["outcome"]] if missing else ""
    clock = "cpu" if group[0]["threads"] == 1 else "wall"
    cost, share = (median([row[f"{clock}_{what}"] for row in group]) for what in ("median", "ratio"))
    return f"{number(1e3 * cost)} ({number(share, 2)})"


def reasons(rows: Sequence[Row]) -> Iterator[str]:
    """Each outcome that is no number, with its reason and in how many cells."""
    found: dict[tuple[str, str, str], int] = {}
    for row in rows:
        if row["outcome"] not in {"reached", "done"}:
            reason = "" if row["outcome"] == "not reached" else row["reason"]
            key = (row["method"], row["outcome"], reason)
            found[key] = found.get(key, 0) + 1
    for (method, outcome, reason), count in found.items():
        yield f"- {method}: {outcome} in {count} rows{f' ({reason})' if reason else ''}"


def once_table(rows: Sequence[Row]) -> Iterator[str]:
    """Start-up and memory, one line a method and shape."""
    yield from header([
        "shape", "threads", "method", "penalty", "CPU s of a process with one fit", "CPU s of a second fit",
        "extra peak MB", "MB of X", "outcome",
    ])  # fmt: skip
    for row in rows:
        costs = [number(row.get(key)) for key in ("cold_cpu", "warm_cpu", "memory_mb", "x_mb")]
        outcome = f"{row['outcome']} {row['reason']}".strip()
        yield line([row["shape"], row["threads"], row["method"], row.get("penalty", "-"), *costs, outcome])


def write(rows: Sequence[Row], folder: Path, title: str) -> str:
    """``results.parquet`` and ``results.md`` in ``folder``; the markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    full = with_ratios(rows)
    pl.DataFrame(full, infer_schema_length=None).write_parquet(folder / "results.parquet")
    parts = [title, "", *claims.summary(full)]
    for part, table in (("grid", grid_table), ("single", single_tables), ("once", once_table)):
        chosen = [row for row in full if row["part"] == part]
        if chosen:
            parts += ["", f"## {part}", "", *table(chosen)]
    text = "\n".join(parts) + "\n"
    (folder / "results.md").write_text(text)
    return text
