"""Which jobs make up a run; each is a process of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tests.benchmarks.solvers.data import LARGE

SMALL, MIDDLE, BIG, WIDE = "3278x26", "6415x50", "60000x50", "330x400"
# Where others may take very long, only those that were seen to end.
SURE = ("glum path", "glmnet path")
SCIKIT = ("GridSearchCV saga", "LogisticRegressionCV saga", "GridSearchCV newton-cholesky, l2 only")


@dataclass(frozen=True)
class Job:
    """One table with its cells.

    ``limit`` is seconds that a method may spend before it sits out what follows: in a single fit's search for its
    tolerance, in a grid's rounds. ``methods`` of a grid: those of others, all if empty. ``is_matched``: the paths take
    part in a grid a second time, with the tolerance that brings all their fits to 1e-9.
    """

    part: str
    shape: str
    Cs: Sequence[float]
    signal: str = "weak"
    outlier: bool = False
    seed: int = 0
    rounds: int = 3
    limit: float = 5.0
    threads: int = 1
    methods: Sequence[str] = ()
    is_matched: bool = False

    @property
    def seconds(self) -> int:
        """After how long the job is stopped: many times what it should take."""
        return 4 * 3600 if self.shape in LARGE else 1800


def grid(shape: str, points: int, **more: object) -> Job:
    """The grid from C = 0.001 to 100."""
    return replace(Job("grid", shape, np.logspace(-3, 2, points).tolist(), limit=30.0), **more)  # type: ignore[arg-type]


def hard(points: int, **more: object) -> list[Job]:
    """What our shared models do not help with."""
    common = {"methods": SURE, "limit": 15.0, "rounds": 2, "is_matched": True} | more
    return [
        grid(SMALL, points, signal="strong", **common),
        grid(SMALL, points, outlier=True, **common),
        grid(WIDE, min(points, 5), **common),
    ]


def jobs(*, quick: bool, large: bool) -> Iterator[Job]:
    """In the order in which they run."""
    if quick:
        yield grid(SMALL, 4, rounds=1)
        yield from hard(4, rounds=1, is_matched=False)
        yield from (Job("single", SMALL, [1.0], signal, rounds=2, limit=2.0) for signal in ("weak", "strong"))
    else:
        yield grid(SMALL, 20, is_matched=True)
        yield grid(MIDDLE, 8, rounds=2, limit=60.0)
        yield grid(BIG, 4, rounds=2, methods=(*SCIKIT, *SURE))
        yield from hard(20)
        yield grid(MIDDLE, 8, signal="strong", methods=SURE, rounds=2)
        for signal in ("weak", "strong"):
            yield from (Job("single", SMALL, [0.01, 1.0], signal, seed=seed, rounds=5, limit=3.0) for seed in range(3))
            yield Job("single", MIDDLE, [0.01, 1.0], signal, rounds=5, limit=4.0)
        yield Job("single", BIG, [0.01, 1.0])
        yield Job("single", BIG, [0.01], "strong")
        yield Job("single", BIG, [1.0], threads=2)
    if large:
        wide, long = LARGE
        yield grid(BIG, 4, rounds=1, limit=600.0)  # the slower paths too
        yield Job("single", wide, [0.01, 1.0], rounds=2, limit=15.0)
        yield Job("single", long, [0.01], rounds=2, limit=30.0)
        yield from (grid(shape, 4, methods=SURE, rounds=1, limit=600.0) for shape in LARGE)
