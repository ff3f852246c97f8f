"""How methods are measured: one rule of accuracy for all, and turns in rounds."""

import resource
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")
TOLS = tuple(10.0**-power for power in range(1, 16))
# What a library may raise on a problem that it cannot solve; it becomes a row, not the end of the benchmark.
FAILURES = (ArithmeticError, AttributeError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError)


class Cost(NamedTuple):
    """Seconds; CPU seconds are those of this process and of the children that have ended."""

    cpu: float
    wall: float


def now() -> Cost:
    """What was used so far."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return Cost(sum(each.ru_utime + each.ru_stime for each in used), time.perf_counter())


def measure(call: Callable[[], T], least: float = 0.0, most: int = 1) -> tuple[T, Cost]:
    """The result, and the mean cost of as many calls as take ``least`` seconds, ``most`` at most.

    Warnings are silent, as what counts is the value that was reached.
    """
    began, count = now(), 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while count < 1 or (count < most and now().wall - began.wall < least):
            result = call()
            count += 1
    ended = now()
    return result, Cost((ended.cpu - began.cpu) / count, (ended.wall - began.wall) / count)


def reason_of(error: Exception) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:120]}"


@dataclass(frozen=True)
class Rung:
    """``outcome`` is reached, not reached or failed; ``tol`` is the tolerance that reached the target."""

    outcome: str
    tol: float | None = None
    suboptimality: float | None = None
    reason: str = ""


def climb(
    fit: Callable[[float], T], suboptimality: Callable[[T], float], targets: Sequence[float], limit: float,
    tols: Sequence[float] = TOLS,
) -> dict[float, Rung]:  # fmt: skip
    """For each target the loosest tolerance that meets it, within ``limit`` CPU seconds of fits for all of them."""
    found: dict[float, Rung] = {}
    outcome, reason, best, spent = "not reached", "no tolerance was tried", float("inf"), 0.0
    for tol in tols:
        try:
            result, cost = measure(lambda tol=tol: fit(tol))  # type: ignore[misc]
            reached = suboptimality(result)
        except FAILURES as error:
            outcome, reason = "failed", reason_of(error)
            break
        best, spent = min(best, reached), spent + cost.cpu
        reason = f"best {best:.1e} down to tol {tol:.0e}"
        found |= {each: Rung("reached", tol, reached) for each in targets if each not in found and reached <= each}
        if len(found) == len(targets):
            break
        if spent > limit:
            reason += f", stopped after {spent:.0f} CPU s"
            break
    return {target: found.get(target, Rung(outcome, None, best, reason)) for target in targets}


@dataclass
class Entrant:
    """A method in a race; ``outcome`` and ``reason`` say why one without a ``call`` takes no part."""

    name: str
    family: str
    call: Callable[[], Any] | None
    outcome: str
    reason: str = ""
    result: Any = None
    costs: dict[int, Cost] = field(default_factory=dict)

    def take_turn(self, number: int, least: float, most: int) -> None:
        """Measure one round; an exception ends the method's part in the race."""
        if self.call is None:
            return
        try:
            self.result, self.costs[number] = measure(self.call, least, most)
        except FAILURES as error:
            self.call, self.outcome, self.reason = None, "failed", reason_of(error)

    def row(self) -> dict[str, Any]:
        """Its name, outcome and costs, one per round."""
        costs = self.costs.values()
        return {
            "method": self.name, "family": self.family, "outcome": self.outcome, "reason": self.reason,
            "rounds": list(self.costs), "cpu": [cost.cpu for cost in costs], "wall": [cost.wall for cost in costs],
        }  # fmt: skip


def race(field: Sequence[Entrant], rounds: int, limit: float, least: float, most: int) -> None:
    """All take turns, another one first in each round; who has used ``limit`` seconds sits out what follows."""
    for number in range(rounds):
        start = number % max(len(field), 1)
        for entrant in [*field[start:], *field[:start]]:
            if sum(cost.wall for cost in entrant.costs.values()) < limit:
                entrant.take_turn(number, least, most)
