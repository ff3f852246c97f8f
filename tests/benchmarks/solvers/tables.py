"""Rows to a parquet file and to markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tests.benchmarks.solvers import ours, race

Row = dict[str, Any]
CELL_NAMES = ("shape", "threads", "signal", "penalty", "C")
CELL = ("shape", "threads", "signal", "seed", "penalty", "C", "target")


def median(values: Sequence[float]) -> float:
    """Of the rounds; not a number where there were none."""
    return float(np.median(values)) if len(values) else float("nan")


def ratio(row: Row, base: Row | None, clock: str) -> float:
    """Median over the common rounds of (row's cost / base's cost of the same round)."""
    if base is None or not row.get(clock) or not base.get(clock):
        return float("nan")
    own = dict(zip(row.get("rounds") or range(len(row[clock])), row[clock], strict=True))
    other = dict(zip(base.get("rounds") or range(len(base[clock])), base[clock], strict=True))
    return median([own[number] / other[number] for number in own if number in other])


def with_ratios(rows: Sequence[Row]) -> list[Row]:
    """Each measured row with its ratio to ours (single fits: of the cell; grid: of the task), CPU and wall."""
    base = {_key(row): row for row in rows if row["method"] in (ours.SINGLE, ours.GRID)}
    return [
        row
        | {f"{clock}_ratio": ratio(row, base.get(_key(row)), clock) for clock in ("cpu", "wall")}
        | {f"{clock}_median": median(row.get(clock) or []) for clock in ("cpu", "wall")}
        for row in rows
    ]


def _key(row: Row) -> tuple[object, ...]:
    names = CELL if row["part"] == "single" else ("shape", "threads", "signal", "outlier", "seed", "points")
    return (row["part"], *(row.get(name) for name in names))


def line(cells: Sequence[object]) -> str:
    """A row of a markdown table."""
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def number(value: float | None, digits: int = 3) -> str:
    """Three significant digits, or a dash."""
    return "-" if value is None or np.isnan(value) else f"{value:.{digits}g}"


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


def summary(rows: Sequence[Row]) -> Iterator[str]:
    """What the tables come to: each of the stated claims with its number."""
    for row in rows:
        if row["part"] == "grid" and row["method"] == race.GRID_SEARCH and row.get("cpu"):
            yield (
                f"- grid {row['shape']} {row['signal']}: {row['method']} / ours: wall {number(row['wall_ratio'])}, "
                f"CPU {number(row['cpu_ratio'])}"
            )
    yield from _fastest_peers(rows)
    yield from _single_claims(rows)
    uncertified = sum(not row["certified"] for row in rows if "certified" in row)
    yield f"- rows whose reference is not certified to 1e-10 by its duality gap: {uncertified}"


def _fastest_peers(rows: Sequence[Row]) -> Iterator[str]:
    tasks: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        is_whole = row["part"] == "grid" and row["method"] != race.NEWTON and row["family"] != "ours"
        if is_whole and row["outcome"] == "done" and not np.isnan(row["cpu_ratio"]):
            tasks.setdefault(_key(row), []).append(row)
    for group in tasks.values():
        best = min(group, key=lambda row: float(row["wall_ratio"]))
        yield (
            f"- grid {best['shape']} {best['signal']}{' outlier' if best['outlier'] else ''}: fastest other: "
            f"{best['method']}, wall {number(best['wall_ratio'])}, CPU {number(best['cpu_ratio'])} times ours"
        )


def _single_claims(rows: Sequence[Row]) -> Iterator[str]:
    for family in ("scikit-learn", "peer"):
        cells: dict[tuple[object, ...], list[Row]] = {}
        for row in rows:
            if row["part"] == "single" and row["family"] == family and not row["objective"] and row.get("cpu"):
                cells.setdefault(_key(row), []).append(row)
        for target in sorted({key[-1] for key in cells}, reverse=True):  # type: ignore[type-var]
            best = [min(_own_ratio(row) for row in group) for key, group in cells.items() if key[-1] == target]
            found = [value for value in best if not np.isnan(value)]
            if found:
                yield (
                    f"- single fits to {target:.0e}, fastest {family} / ours over {len(found)} cells: "
                    f"least {min(found):.3g}, median {median(found):.3g}, most {max(found):.3g}"
                )


def _own_ratio(row: Row) -> float:
    return float(row["cpu_ratio" if row["threads"] == 1 else "wall_ratio"])


def write(rows: Sequence[Row], folder: Path, title: str) -> str:
    """``results.parquet`` and ``results.md`` in ``folder``; the markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    full = with_ratios(rows)
    pl.DataFrame(full, infer_schema_length=None).write_parquet(folder / "results.parquet")
    parts = [title, "", *summary(full)]
    for part, table in (("grid", grid_table), ("single", single_tables), ("once", once_table)):
        chosen = [row for row in full if row["part"] == part]
        if chosen:
            parts += ["", f"## {part}", "", *table(chosen)]
    text = "\n".join(parts) + "\n"
    (folder / "results.md").write_text(text)
    return text
