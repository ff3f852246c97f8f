"""What the tables come to, in a few lines: each claim with its number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tests.benchmarks.solvers import ours, race
from tests.benchmarks.solvers.rows import Row, cell_of, median, number


def _task(row: Row) -> str:
    return f"grid {row['shape']} {row['signal']}{' outlier' if row['outlier'] else ''}"


def summary(rows: Sequence[Row]) -> Iterator[str]:
    """Ours against GridSearchCV, the fastest other, our own single fits, and the single fits of others."""
    for row in rows:
        if row["part"] == "grid" and row.get("cpu"):
            ratios = f"wall {number(row['wall_ratio'])}, CPU {number(row['cpu_ratio'])}"
            if row["method"] in {race.GRID_SEARCH, ours.WARM}:
                yield f"- {_task(row)}: {row['method']} / ours: {ratios}"
            if row["family"] == "ours":
                yield f"- {_task(row)}: {row['method']}: worst suboptimality {number(row['suboptimality'], 2)}"
    yield from _fastest_peers(rows)
    yield from _single_claims(rows)
    uncertified = sum(not row["certified"] for row in rows if "certified" in row)
    yield f"- rows whose reference is not certified to 1e-10 by its duality gap: {uncertified}"


def _fastest_peers(rows: Sequence[Row]) -> Iterator[str]:
    tasks: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        is_whole = row["part"] == "grid" and row["method"] != race.NEWTON and row["family"] != "ours"
        if is_whole and row["outcome"] == "done" and not np.isnan(row["cpu_ratio"]):
            tasks.setdefault(cell_of(row), []).append(row)
    for group in tasks.values():
        exact = [row for row in group if row["suboptimality"] is not None and row["suboptimality"] <= race.MATCHED]
        for chosen, words in ((group, "at its own tolerance"), (exact, f"to {race.MATCHED:.0e}")):
            if chosen:
                best = min(chosen, key=lambda row: float(row["cpu_ratio"]))
                ratios = f"wall {number(best['wall_ratio'])}, CPU {number(best['cpu_ratio'])}"
                yield f"- {_task(best)}: fastest other {words}: {best['method']} / ours: {ratios}"


def _single_claims(rows: Sequence[Row]) -> Iterator[str]:
    for family in ("scikit-learn", "peer"):
        cells: dict[tuple[object, ...], list[Row]] = {}
        for row in rows:
            if row["part"] == "single" and row["family"] == family and not row["objective"] and row.get("cpu"):
                cells.setdefault(cell_of(row), []).append(row)
        for target in sorted({key[-1] for key in cells}, reverse=True):
            best = [min(_own_ratio(row) for row in group) for key, group in cells.items() if key[-1] == target]
            found = [value for value in best if not np.isnan(value)]
            if found:
                yield (
                    f"- single fits to {target:.0e}, fastest {family} / ours over {len(found)} cells: "
                    f"least {min(found):.3g}, median {median(found):.3g}, most {max(found):.3g}"
                )


def _own_ratio(row: Row) -> float:
    return float(row["cpu_ratio" if row["threads"] == 1 else "wall_ratio"])
