"""How methods are measured: one rule of accuracy for all, and turns in rounds."""

import resource
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np

from tests.benchmarks.solvers.objective import Array

T = TypeVar("T")
TOLS = tuple(10.0**-power for power in range(1, 16))
# What a library may raise on a problem that it cannot solve; it becomes a row, not the end of the benchmark.
FAILURES = (ArithmeticError, AttributeError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True)
class Job:
    """One table with its cells.

    ``limit`` is seconds that a method may spend before it sits out what follows: in a single fit's search for its
    tolerance, in a grid's rounds. ``methods`` of a grid are those of other libraries, all if empty; with saga come the
    searches of scikit-learn.
    """

    part: str
    shape: str
    Cs: Sequence[float]
    signal: str = "weak"
    outlier: bool = False
    seed: int = 0
    rounds: int = 3
    limit: float = 5.0
    methods: Sequence[str] = ()


def now() -> Array:
    """CPU seconds, of this process and of the children that have ended, and wall seconds."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return np.array([sum(each.ru_utime + each.ru_stime for each in used), time.perf_counter()])


def measure(call: Callable[[], T], least: float = 0.0, most: int = 1) -> tuple[T, Array]:
    """The result, and the mean CPU and wall seconds of as many calls as take ``least`` seconds, ``most`` at most.

    Warnings are silent, as what counts is the value that was reached.
    """
    began, count = now(), 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while count < 1 or (count < most and (now() - began)[1] < least):
            result = call()
            count += 1
    return result, (now() - began) / count


class Rung(NamedTuple):
    """The tolerance that reached a target, or why there is none: ``outcome`` is reached, not reached or failed."""

    tol: float | None
    outcome: str
    reason: str = ""


def climb(
    fit: Callable[[float], T], suboptimality: Callable[[T], float], targets: Sequence[float], limit: float
) -> dict[float, Rung]:
    """For each target the loosest tolerance that meets it, within ``limit`` CPU seconds of fits for all of them."""
    found: dict[float, Rung] = {}
    last, best, spent = Rung(None, "not reached"), float("inf"), 0.0
    for tol in TOLS:
        try:
            result, cost = measure(partial(fit, tol))
            reached = suboptimality(result)
        except FAILURES as error:
            last = failed(error)
            break
        best, spent = min(best, reached), spent + cost[0]
        last = Rung(None, "not reached", f"best {best:.1e} down to tol {tol:.0e} after {spent:.1f} CPU s")
        found |= {each: Rung(tol, "reached", f"tol {tol:.0e}") for each in targets if reached <= each} | found
        if len(found) == len(targets) or spent > limit:
            break
    return {target: found.get(target, last) for target in targets}


def failed(error: Exception) -> Rung:
    """An exception in one line."""
    return Rung(None, "failed", f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:120]}")


@dataclass
class Entrant:
    """A method in a race; ``outcome`` and ``reason`` say why one without a ``call`` takes no part."""

    name: str
    family: str
    call: Callable[[], Any] | None
    outcome: str = "done"
    reason: str = ""
    result: Any = None
    costs: dict[int, Array] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """Its name, outcome and costs, one per round."""
        costs = {clock: [cost[number] for cost in self.costs.values()] for number, clock in enumerate(("cpu", "wall"))}
        names = {"method": self.name, "family": self.family, "outcome": self.outcome, "reason": self.reason}
        return names | costs | {"rounds": list(self.costs)}


def race(field: Sequence[Entrant], rounds: int, limit: float, least: float, most: int) -> None:
    """All take turns, another one first in each round; who has used ``limit`` seconds sits out what follows."""
    for number in range(rounds):
        start = number % max(len(field), 1)
        for entrant in [*field[start:], *field[:start]]:
            if entrant.call and sum(cost[1] for cost in entrant.costs.values()) < limit:
                try:
                    entrant.result, entrant.costs[number] = measure(entrant.call, least, most)
                except FAILURES as error:
                    entrant.call, entrant.outcome, entrant.reason = failed(error)  # None: it takes no further turn
