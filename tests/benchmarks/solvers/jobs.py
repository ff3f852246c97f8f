"""Which jobs make up a run, and how each runs in a process of its own."""

import json
import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.solvers import grid, single
from tests.benchmarks.solvers.data import EMBEDDINGS, LARGE
from tests.benchmarks.solvers.measure import Job

SMALL, MIDDLE, BIG, WIDE = "3278x26", "6415x50", "60000x50", "330x400"
EMBEDDED = "154x512", "500x2000", "2000x2000"  # rows of as many numbers as an embedding has
PATHS = "glum", "glmnet", "glmnet-rs", "skglm", "adelie"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS")


def jobs(*, quick: bool, large: bool) -> Iterator[Job]:
    """In the order in which they run; where other libraries may take very long, only those that were seen to end."""
    fits, whole, sure = partial(Job, "single"), partial(Job, "grid"), ("glum", "glmnet")
    Cs = {count: np.logspace(-3, 2, count).tolist() for count in (4, 5, 8, 20)}
    points, rounds = (4, 1) if quick else (20, 2)
    hard = partial(whole, rounds=rounds, limit=15.0, methods=sure)
    yield whole(SMALL, Cs[points], rounds=1 if quick else 3, limit=30.0)
    yield hard(SMALL, Cs[points], "strong")
    yield hard(SMALL, Cs[points], outlier=True)
    yield hard(WIDE, Cs[4 if quick else 5])
    yield from wide_jobs(quick=quick)
    if quick:
        yield from (fits(SMALL, [1.0], signal, rounds=2, limit=2.0) for signal in ("weak", "strong"))
    else:
        yield whole(MIDDLE, Cs[8], rounds=2, limit=60.0)
        yield whole(MIDDLE, Cs[8], "strong", rounds=2, limit=30.0, methods=sure)
        yield whole(BIG, Cs[4], rounds=2, limit=30.0, methods=(*sure, "saga"))
        for signal in ("weak", "strong"):
            yield from (fits(SMALL, [0.01, 1.0], signal, seed=seed, rounds=5, limit=3.0) for seed in range(3))
            yield fits(MIDDLE, [0.01, 1.0], signal, rounds=5, limit=4.0)
        yield fits(BIG, [0.01, 1.0])
        yield fits(BIG, [0.01], "strong")
    if large:
        yield whole(BIG, Cs[4], rounds=1, limit=600.0)  # the slower paths too
        yield fits(LARGE[0], [0.01, 1.0], rounds=2, limit=15.0)
        yield fits(LARGE[1], [0.01], rounds=2, limit=30.0)
        yield from (whole(shape, Cs[4], rounds=1, limit=600.0, methods=sure) for shape in LARGE)


def wide_jobs(*, quick: bool) -> Iterator[Job]:
    """Single fits of embeddings, and grids of all but the largest."""
    for shape in EMBEDDED[: 1 if quick else None]:
        yield Job("single", shape, [0.1, 1.0], EMBEDDINGS, limit=3.0)
        if shape != EMBEDDED[-1]:
            yield Job("grid", shape, [0.01, 0.1, 1.0, 10.0], EMBEDDINGS, limit=30.0, methods=PATHS)


def in_this_process(job: Job, path: str) -> None:
    """Run a job; its rows go to a file, line by line, as they are ready."""
    multiprocessing.set_start_method("fork", force=True)  # joblib's processes are copies that import nothing anew
    with Path(path).open("a") as file:
        for row in {"single": single.run, "grid": grid.run}[job.part](job):
            print(json.dumps(asdict(job) | row, default=float), file=file, flush=True)


def run_job(job: Job, seconds: float) -> list[dict[str, Any]]:
    """The rows of a job in a process of its own; one that dies or takes too long adds a row that says so."""
    os.environ |= dict.fromkeys(THREADS, "1")  # which the process reads when it starts
    with tempfile.NamedTemporaryFile("r") as rows:
        process = multiprocessing.get_context("spawn").Process(target=in_this_process, args=(job, rows.name))
        process.start()
        process.join(seconds)
        code = process.exitcode
        process.kill()
        found = [json.loads(row) for row in rows]
    if code == 0:
        return found
    reason = f"stopped after {seconds:.0f} s" if code is None else f"exit code {code}"
    names = {"method": "the whole job", "family": "", "outcome": "stopped", "reason": reason}
    return [*found, asdict(job) | names | {"rounds": [], "cpu": [], "wall": []}]
