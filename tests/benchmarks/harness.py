"""What benchmarks share: the cost of a whole process, turns in rounds, and a table of ours and plain side by side."""

import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Cost(NamedTuple):
    """CPU seconds of a process and of all that it has waited for, wall seconds, and the largest memory of one in MB."""

    cpu: float
    wall: float = math.nan
    memory: float = math.nan


@dataclass(frozen=True)
class Row:
    """One line of a table: costs per round, and in words the most that ours should be."""

    work: str
    ours: Sequence[Cost]
    plain: Sequence[Cost] | None
    goal: str
    unit: str = "s"

    def ratio(self, clock: str) -> float:
        """Median over the rounds of ours / plain in the same round."""
        assert self.plain is not None
        pairs = zip(self.ours, self.plain, strict=True)
        return statistics.median(getattr(one, clock) / getattr(other, clock) for one, other in pairs)


def run_python(*words: str | Path, threads: int | None = None) -> Cost:
    """What a Python process of these arguments costs, started in the checkout; its output is shown if it fails."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}  # as users have it
    env |= {"PYTHONPATH": str(ROOT)} | ({"OPENBLAS_NUM_THREADS": str(threads)} if threads else {})
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *map(str, words)], cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        errors = process.stderr.read().decode()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))} ended with {process.returncode}:\n{errors}")
    return Cost(used.ru_utime + used.ru_stime, time.perf_counter() - began, used.ru_maxrss / 1024)


def take_turns(ways: Mapping[str, Callable[[], Cost]], rounds: int) -> dict[str, list[Cost]]:
    """The costs of each way; in every round another one is the first."""
    found: dict[str, list[Cost]] = {name: [] for name in ways}
    for number in range(rounds):
        names = list(ways)
        for name in [*names[number % len(names) :], *names[: number % len(names)]]:
            found[name].append(ways[name]())
    return found


def markdown(rows: Sequence[Row]) -> Iterator[str]:
    """The lines of a table: medians, and ratios within a round."""
    yield "| work | ours: CPU, wall, memory | plain | ratio of CPU | of wall | of memory | goal |"
    yield "|---|---|---|---|---|---|---|"
    for row in rows:
        ratios = [_shown(row.ratio(clock)) for clock in Cost._fields] if row.plain else ["", "", ""]
        cells = [row.work, _costs(row.ours, row.unit), _costs(row.plain or (), row.unit), *ratios, row.goal]
        yield f"| {' | '.join(cells)} |"


def _costs(costs: Sequence[Cost], unit: str) -> str:
    if not costs:
        return ""
    middle = (statistics.median(values) for values in zip(*costs, strict=True))
    parts = zip(middle, (unit, unit, "MB"), strict=True)
    return ", ".join(f"{_shown(value)} {name}" for value, name in parts if not math.isnan(value))


def _shown(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3g}" if value < 100 else f"{value:.0f}"
