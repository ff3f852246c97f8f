"""One rule of accuracy for all: the loosest tolerance, in steps of ten, whose result is near enough to the minimum."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from tests.benchmarks.solvers.timing import measure

T = TypeVar("T")
TOLS = tuple(10.0**-power for power in range(1, 16))
# What a library may raise on a problem that it cannot solve; it becomes a row, not the end of the benchmark.
FAILURES = (ArithmeticError, AttributeError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True)
class Rung:
    """``outcome`` is reached, not reached or failed; ``tol`` the tolerance that reached the target."""

    outcome: str
    tol: float | None = None
    suboptimality: float | None = None
    reason: str = ""


def climb(
    fit: Callable[[float], T],
    suboptimality: Callable[[T], float],
    targets: Sequence[float],
    limit: float,
    tols: Sequence[float] = TOLS,
) -> dict[float, Rung]:
    """For each target the first tolerance that meets it, within ``limit`` CPU seconds of fits for the whole ladder."""
    found: dict[float, Rung] = {}
    best = Rung("not reached", reason="no tolerance was tried")
    spent = 0.0
    for tol in tols:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of iterations: what counts is the value reached
                result, cost = measure(partial(fit, tol))
                reached = suboptimality(result)
        except FAILURES as error:
            text = (str(error).splitlines() or [""])[0]
            best = Rung("failed", tol, best.suboptimality, f"{type(error).__name__}: {text[:120]}")
            break
        if best.suboptimality is None or reached < best.suboptimality:
            best = Rung("not reached", tol, reached, f"best {reached:.1e} down to tol {tol:.0e}")
        for target in targets:
            if target not in found and reached <= target:
                found[target] = Rung("reached", tol, reached)
        if len(found) == len(targets):
            break
        spent += cost.cpu
        if spent > limit:
            best = replace(best, reason=f"{best.reason}, stopped after {spent:.0f} CPU s")
            break
    return {target: found.get(target, best) for target in targets}
