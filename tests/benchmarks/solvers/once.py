"""A process for one fit: what the first one costs from nothing, and how much memory a fit adds."""

from __future__ import annotations

import ctypes
import time
from pathlib import Path

from tests.benchmarks.solvers.competitor import Competitor, penalty_name
from tests.benchmarks.solvers.data import make_table, standardised
from tests.benchmarks.solvers.ladder import FAILURES
from tests.benchmarks.solvers.objective import Problem
from tests.benchmarks.solvers.single import _shared

Row = dict[str, object]
# Elastic net where a solver has it, else the nearest it has.
RATIOS = {"elasticnet": 0.5, "l2": 0.0, "l1": 1.0}


def _megabytes(entry: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(entry):
            return int(line.split()[1]) / 1024
    raise OSError(f"/proc/self/status has no {entry}")


def run(who: Competitor, shape: str) -> Row:
    """One row: CPU seconds from the start of this process to the end of the first fit, of a second fit, and memory.

    The memory is the highest resident size during a third fit less the one before it; X is there already.
    """
    import numpy as np

    before = time.process_time()
    table = make_table(shape)
    X = standardised(table.X)
    ratio = next(RATIOS[name] for name in RATIOS if name in who.penalties)
    problem = _shared(Problem(X, table.y, 0.01, ratio), np.asfortranarray(X) if who.columns else X, who)
    making = time.process_time() - before
    row: Row = {"part": "once", "shape": shape, "method": who.name, "penalty": penalty_name(ratio)}
    try:
        who.fit(problem, who.default_tol)
        cold = time.process_time() - making
        before = time.process_time()
        who.fit(problem, who.default_tol)
        warm = time.process_time() - before
        # What earlier fits freed goes back to the system first, or a fit could hide in it.
        ctypes.CDLL(None).malloc_trim(0)
        resident = _megabytes("VmRSS")
        # Sets the highest size back to the present one (proc(5)).
        Path("/proc/self/clear_refs").write_text("5")
        who.fit(problem, who.default_tol)
        memory = _megabytes("VmHWM") - resident
    except FAILURES as error:
        return row | {"outcome": "failed", "reason": f"{type(error).__name__}: {str(error)[:120]}"}
    return row | {
        "outcome": "done", "reason": "", "cold_cpu": cold, "warm_cpu": warm, "memory_mb": memory,
        "x_mb": X.nbytes / 2**20,
    }  # fmt: skip
