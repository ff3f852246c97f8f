"""Rows of results: their ratios to ours, and numbers as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.benchmarks.solvers import ours

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
    own, other = (
        dict(zip(each.get("rounds") or range(len(each[clock])), each[clock], strict=True)) for each in (row, base)
    )
    return median([own[number] / other[number] for number in own if number in other])


def with_ratios(rows: Sequence[Row]) -> list[Row]:
    """Each measured row with its ratio to ours (single fits: of the cell; grid: of the task), CPU and wall."""
    base = {cell_of(row): row for row in rows if row["method"] in (ours.SINGLE, ours.GRID)}
    return [
        row
        | {f"{clock}_ratio": ratio(row, base.get(cell_of(row)), clock) for clock in ("cpu", "wall")}
        | {f"{clock}_median": median(row.get(clock) or []) for clock in ("cpu", "wall")}
        for row in rows
    ]


def cell_of(row: Row) -> tuple[object, ...]:
    """What rows must share to be compared."""
    names = CELL if row["part"] == "single" else ("shape", "threads", "signal", "outlier", "seed", "points")
    return (row["part"], *(row.get(name) for name in names))


def number(value: float | None, digits: int = 3) -> str:
    """Three significant digits, or a dash."""
    return "-" if value is None or np.isnan(value) else f"{value:.{digits}g}"
