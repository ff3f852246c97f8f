"""CPU and wall seconds of a call, its children's and its remote solver's included."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Cost:
    """Seconds."""

    cpu: float
    wall: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.cpu + other.cpu, self.wall + other.wall)

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.cpu - other.cpu, self.wall - other.wall)


_elsewhere = [Cost(0, 0)]


def correct(cost: Cost) -> None:
    """Add what a call cost in another process, less what waiting for it cost here."""
    _elsewhere[0] += cost


def _living_children() -> float:
    """CPU seconds of child processes that still run (joblib keeps its workers), to a hundredth of a second."""
    ticks = os.sysconf("SC_CLK_TCK")
    total = 0.0
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            stat = Path("/proc", child, "stat")
            if stat.exists():
                fields = stat.read_text().rpartition(")")[2].split()
                total += (int(fields[11]) + int(fields[12])) / ticks
    return total


def now(*, children: bool = False) -> Cost:
    """What this process has used; ``children`` costs a millisecond to add, so only for calls that have some."""
    cpu = time.process_time()
    if children:
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu += ended.ru_utime + ended.ru_stime + _living_children()
    return Cost(cpu, time.perf_counter())


def measure(call: Callable[[], T], *, children: bool = False) -> tuple[T, Cost]:
    """The result of one call, and its cost."""
    before, elsewhere = now(children=children), _elsewhere[0]
    result = call()
    return result, now(children=children) - before + (_elsewhere[0] - elsewhere)


def repeated(call: Callable[[], object], least: float = 0.02, most: int = 10) -> Cost:
    """The mean cost of so many calls that clocks and caches do not matter."""
    total, count = Cost(0, 0), 0
    while count < most and (count == 0 or total.wall < least):
        total += measure(call)[1]
        count += 1
    return Cost(total.cpu / count, total.wall / count)
