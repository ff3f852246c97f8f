"""Which jobs make up a run."""

from __future__ import annotations

from typing import Any

from tests.benchmarks.solvers import race
from tests.benchmarks.solvers.data import LARGE

Job = dict[str, Any]
SMALL, MIDDLE, BIG = "3278x26", "6415x50", "60000x50"
# Where others may take very long, only those that were seen to end.
SURE = ("glum path", "glmnet path")
# adelie is left out: it runs in another interpreter.
METHODS = (
    "ours", "newton-cholesky", "lbfgs", "newton-cg", "sag", "saga", "liblinear", "glum", "glmnet", "glmnet-rs", "skglm",
    "celer",
)  # fmt: skip


def jobs(*, quick: bool, large: bool, adelie: str = "") -> list[Job]:
    """In the order in which they run."""
    chosen = _quick() if quick else _default()
    if large:
        chosen += _large()
    return [{"threads": 1, "adelie": adelie} | job for job in chosen]


def _single(shape: str, threads: int = 1, **more: object) -> Job:
    return {"part": "single", "threads": threads, "what": {"shape": shape, **more}}


def _grid(shape: str, n_cs: int, **more: object) -> Job:
    return {"part": "grid", "what": {"shape": shape, "n_cs": n_cs, **more}}


def _once(shape: str) -> list[Job]:
    return [{"part": "once", "what": {"shape": shape, "method": method}} for method in METHODS]


def _hard(n_cs: int, **more: object) -> list[Job]:
    common: dict[str, object] = {"methods": SURE, "limit": 15.0, "rounds": 2, "is_matched": True} | more
    return [
        _grid(SMALL, n_cs, signal="strong", **common),
        _grid(SMALL, n_cs, outlier=True, **common),
        _grid("330x400", min(n_cs, 5), **common),
    ]


def _quick() -> list[Job]:
    return [
        _grid(SMALL, 4, rounds=1),
        *_hard(4, rounds=1, repeats=1, is_matched=False),
        _single(SMALL, seeds=[0], Cs=[1.0], rounds=2, limit=2.0),
    ]


def _default() -> list[Job]:
    return [
        _grid(SMALL, 20, is_matched=True, limit=30.0),
        _grid(MIDDLE, 8, rounds=2, limit=60.0),
        _grid(BIG, 4, rounds=2, limit=30.0, methods=(*race.SCIKIT, *SURE)),
        *_hard(20),
        _grid(MIDDLE, 8, signal="strong", methods=SURE, rounds=2, limit=30.0),
        _single(SMALL, seeds=[0, 1, 2], rounds=5, limit=3.0),
        _single(MIDDLE, rounds=5, limit=4.0),
        _single(BIG, signals=["weak"], rounds=3, limit=5.0),
        _single(BIG, signals=["strong"], Cs=[0.01], rounds=3, limit=5.0),
        _single(BIG, 2, signals=["weak"], Cs=[1.0], rounds=3, limit=5.0),
        *_once(SMALL),
        *_once(BIG),
    ]


def _large() -> list[Job]:
    """Here the grids of the slower paths at 60,000 rows too."""
    wide, long = LARGE
    grid: dict[str, object] = {"methods": SURE, "rounds": 1, "limit": 600.0, "repeats": 1}
    return [
        _grid(BIG, 4, rounds=1, limit=600.0),
        _single(wide, signals=["weak"], rounds=2, limit=15.0),
        _single(long, signals=["weak"], Cs=[0.01], rounds=2, limit=30.0),
        _grid(wide, 4, **grid),
        _grid(long, 4, **grid),
        *_once(long),
    ]


def seconds(job: Job) -> float:
    """After how long a job is stopped: many times what it should take."""
    if job["what"]["shape"] in LARGE:
        return 4 * 3600
    return 300 if job["part"] == "once" else 1800


def broken(job: Job, reason: str) -> Job:
    """The row of a job that did not end by itself."""
    what = job["what"]
    row: Job = {
        "part": job["part"], "shape": what["shape"], "threads": job["threads"], "signal": what.get("signal", ""),
        "method": what.get("method", "the whole job"), "family": "", "outcome": "stopped", "reason": reason,
    }  # fmt: skip
    match job["part"]:
        case "grid":
            return row | {"outlier": what.get("outlier", False), "points": 0}
        case "single":
            return row | {"penalty": "", "C": 0.0, "target": 0.0, "objective": "", "tol": None, "seed": 0}
    return row
