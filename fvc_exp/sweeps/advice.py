"""Is this grid worth a cluster? Measured, not guessed: a few fits here and now tell what all of them will take."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from fvc_exp.sweeps.folder import Member

_SAMPLES = 3


_LARGEST = 5_000_000  # values; with more of them nobody takes the grid for a small one


_SMALL_SECONDS = 300.0  # of computing in all, below which queueing and start-up cost more than they save


_SHORT_SECONDS = 60.0  # of computing a job, below which a cluster mostly schedules


_GOOD_SECONDS = 600.0


def seconds_each(members: Sequence[Member]) -> float | None:
    """About how long one configuration computes: the mean of a few of them, each by a single fit.

    None where there are too many data to try.
    """
    from fvc_exp.runs.execute import load
    from fvc_exp.training.pipeline import fit_pipeline

    chosen = members[:: math.ceil(len(members) / _SAMPLES)]
    seconds = []
    for member in chosen:
        config = member.typed()
        dataset = load(config)
        if dataset.X.size > _LARGEST:
            return None
        began = time.perf_counter()
        fit_pipeline(config, dataset.X, dataset.y)
        seconds.append((time.perf_counter() - began) * (config.cv.n_splits * config.cv.n_repeats + 1))
    return sum(seconds) / len(seconds)


def advice(seconds: float, members: Sequence[Member], pack: int) -> str | None:
    """What to do instead, for a grid or for jobs that are too small for a cluster."""
    total = seconds * len(members)
    folds = members[0].typed().cv
    if total < _SMALL_SECONDS:
        return (
            f"hint: {len(members)} configurations x {folds.n_splits * folds.n_repeats} folds take about "
            f"{max(total, 1):.0f} s on one core: run locally, without hydra/launcher"
        )
    if seconds * pack < _SHORT_SECONDS:
        better = min(math.ceil(_GOOD_SECONDS / seconds), len(members))
        return f"hint: a job computes about {seconds * pack:.0f} s: sweep.pack={better} makes fewer and longer ones"
    return None
