"""Rows to a parquet file and to markdown."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tests.benchmarks.solvers.grid import OURS_GRID
from tests.benchmarks.solvers.methods import OURS

Row = dict[str, Any]
CELL = ("shape", "threads", "signal", "penalty", "C")
SHORT = {"not applicable": "-", "not reached": "n/r", "not installed": "n/i"}


def cell_of(row: Row) -> tuple[object, ...]:
    """What rows must share to be compared."""
    return tuple(row.get(name) for name in ("part", *CELL, "target", "outlier", "seed", "points"))


def with_ratios(rows: Sequence[Row]) -> list[Row]:
    """Each row with its median cost, and the median over rounds of its ratio to ours in the same round."""
    base = {cell_of(row): row for row in rows if row["method"] in (OURS.name, OURS_GRID)}
    found = []
    for row in rows:
        row, other = dict(row), base.get(cell_of(row), {"rounds": []})
        for clock in ("cpu", "wall"):
            costs, others = (dict(zip(each["rounds"], each.get(clock, []), strict=True)) for each in (row, other))
            ratios = [costs[number] / others[number] for number in costs if number in others]
            row[f"{clock}_median"] = float(np.median(row[clock])) if costs else None
            row[f"{clock}_ratio"] = float(np.median(ratios)) if ratios else None
        found.append(row)
    return found


def number(value: float | None, digits: int = 3) -> str:
    """Significant digits, or a dash where there is no number."""
    return "-" if value is None else f"{value:.{digits}g}"


def table(names: Sequence[str], lines: Sequence[Sequence[object]]) -> list[str]:
    """A markdown table."""
    return [f"| {' | '.join(map(str, line))} |" for line in (names, ["---"] * len(names), *lines)]


def grid_table(rows: Sequence[Row]) -> Iterator[str]:
    """One line per method and task."""
    costs = ("cpu_median", "wall_median", "cpu_ratio", "wall_ratio")
    names = ("task", "method", "CPU s", "wall s", "CPU / ours", "wall / ours", "worst suboptimality", "outcome")
    yield from table(names, [
        (
            f"{row['shape']} {row['signal']}{' outlier' * row['outlier']}, {row.get('points')} points x 5",
            row["method"], *(number(row[cost]) for cost in costs), number(row.get("suboptimality"), 2),
            f"{row['outcome']} {row['reason']}",
        )
        for row in rows
    ])  # fmt: skip


def single_tables(rows: Sequence[Row]) -> Iterator[str]:
    """A table per target: one line per cell, one column per method, the medians over seeds."""
    yield "Milliseconds (ratio to ours); CPU time for one thread, wall time for two. n/r: not reached, n/i: not"
    yield "installed, -: not applicable, *: its own objective, so beside ours for information only."
    for target in sorted({row["target"] for row in rows if "target" in row}, reverse=True):
        cells: defaultdict[tuple[object, ...], defaultdict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
        for row in rows:
            if row.get("target") == target:
                cells[tuple(row[name] for name in CELL)][row["method"] + "*" * bool(row["objective"])].append(row)
        methods = list(dict.fromkeys(method for group in cells.values() for method in group))
        yield from ["", f"(F - F*) / F* <= {target:.0e}", ""]
        yield from table(
            [*CELL, *methods], [[*key, *(entry(group[name]) for name in methods)] for key, group in cells.items()]
        )


def entry(group: Sequence[Row]) -> str:
    """What stands in a cell: only a method that reached the target for every seed has a number."""
    missing = [row["outcome"] for row in group if row["outcome"] != "reached"]
    if missing or not group:
        return SHORT.get(missing[0], missing[0]) if missing else ""
    clock = "cpu" if group[0]["threads"] == 1 else "wall"
    cost = np.median([row[f"{clock}_median"] for row in group])
    ratios = [row[f"{clock}_ratio"] for row in group if row[f"{clock}_ratio"] is not None]
    return f"{number(1e3 * cost)} ({number(float(np.median(ratios)) if ratios else None, 2)})"


def claims(rows: Sequence[Row]) -> Iterator[str]:
    """What single fits come to, how sure the minima are, and each outcome without a number, with its reason."""
    for family in ("scikit-learn", "peer"):
        cells: defaultdict[tuple[float, object], list[float]] = defaultdict(list)
        for row in rows:
            ratio = row["cpu_ratio" if row["threads"] == 1 else "wall_ratio"]
            if row["part"] == "single" and row["family"] == family and not row.get("objective") and ratio:
                cells[row["target"], cell_of(row)].append(ratio)
        for target in sorted({target for target, _ in cells}, reverse=True):
            best = [min(group) for (each, _), group in cells.items() if each == target]
            yield (
                f"- single fits to {target:.0e}, fastest {family} / ours over {len(best)} cells: "
                f"least {min(best):.3g}, median {np.median(best):.3g}, most {max(best):.3g}"
            )
    uncertified = sum(not row.get("certified", True) for row in rows)
    yield f"- rows whose minimum is not certified to 1e-10 by a dual bound: {uncertified}"
    reasons = [
        (row["method"], row["outcome"], row["reason"]) for row in rows if row["outcome"] not in {"reached", "done"}
    ]
    # what was best differs from cell to cell
    short = [(name, outcome, "" if outcome == "not reached" else reason) for name, outcome, reason in reasons]
    for (name, outcome, reason), count in Counter(short).items():
        yield f"- {name}: {outcome} in {count} rows{f' ({reason})' if reason else ''}"


def write(rows: Sequence[Row], folder: Path, title: str) -> str:
    """``results.parquet`` and ``results.md`` in ``folder``; the markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    full = with_ratios(rows)
    pl.DataFrame(full, infer_schema_length=None).write_parquet(folder / "results.parquet")
    parts = [title, "", *claims(full)]
    for part, make_lines in (("grid", grid_table), ("single", single_tables)):
        chosen = [row for row in full if row["part"] == part]
        if chosen:
            parts += ["", f"## {part}", "", *make_lines(chosen)]
    text = "\n".join(parts) + "\n"
    (folder / "results.md").write_text(text)
    return text
