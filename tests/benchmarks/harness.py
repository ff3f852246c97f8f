"""What benchmarks share: the cost of a whole process, turns in rounds, and a table of ours and plain side by side."""

import math
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
# In a small process of its own, since the kernel counts the memory of whoever starts a process to it.
MEASURE = """
import resource, subprocess, sys, time
began = time.perf_counter()
code = subprocess.run([sys.executable, *sys.argv[1:]], stdout=subprocess.DEVNULL).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, time.perf_counter() - began, used.ru_maxrss / 1024)
sys.exit(code)
"""


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
    """What a Python process of these arguments costs, started in the checkout."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}  # as users have it
    env |= {"PYTHONPATH": str(ROOT)} | ({"OPENBLAS_NUM_THREADS": str(threads)} if threads else {})
    command = [sys.executable, "-S", "-c", MEASURE, *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))} ended with {done.returncode}:\n{done.stderr}")
    return Cost(*map(float, done.stdout.split()))


def take_turns(ways: Mapping[str, Callable[[], Cost]], rounds: int) -> dict[str, list[Cost]]:
    """The costs of each way; in every round another one is the first."""
    found: dict[str, list[Cost]] = {name: [] for name in ways}
    for number in range(rounds):
        names = list(ways)
        for name in [*names[number % len(names) :], *names[: number % len(names)]]:
            found[name].append(ways[name]())
    return found


def markdown(rows: Iterable[Row]) -> Iterator[str]:
    """The lines of a table, each as soon as its row is known: medians, and ratios within a round."""
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
