"""Fits of one grid that were made together: all penalties on all training parts of a split."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from joblib import cpu_count

from fvc_exp._typing import Indices, Progress, no_progress
from fvc_exp.config.schema import Config, Penalty, PenaltyConfig
from fvc_exp.config.validate import effective_c, effective_l1_ratio, needs_inner_folds
from fvc_exp.data import folds, splits
from fvc_exp.data.dataset import Dataset
from fvc_exp.training.pipeline import FittedModel
from fvc_exp.training.solvers.grid import PartFits, Point, fit_grid

THREADS_PAY = 8_000_000  # bytes of X, 20,000 x 50


@dataclass(frozen=True)
class SharedFits:
    """The fits of all ``points`` on all training parts, by the bytes of their row numbers."""

    points: tuple[Point, ...]
    parts: dict[bytes, PartFits]

    def model(self, config: Config, rows: Indices) -> FittedModel | None:
        """The model of one configuration and part; None where the grid lacks it or did not reach the tolerance."""
        if (part := self.parts.get(rows.tobytes())) is None:
            return None
        found = part.fits.get(Point(effective_c(config), effective_l1_ratio(config)))
        if found is None or not found.converged:
            return None
        numbers = (found.w, found.b, found.n_iter)
        return FittedModel(
            config, part.standard, len(rows), *numbers, True, (), fitted_with=self.points, gap=found.gap, is_shared=True
        )


def candidates(config: Config) -> list[Config]:
    """The configurations that a training part chooses between: one for each C to be searched, else the one."""
    return [replace(config, C=c) for c in sorted(config.cv.c_grid)] or [config]


def points_of(config: Config) -> tuple[Point, ...]:
    """Penalty and strength of all fits that a configuration needs: several where C is searched, none without a penalty.

    Without a penalty there may be no minimum, and each fit has to find that out for itself.
    """
    if config.penalty.name is Penalty.none:
        return ()
    return tuple(Point(effective_c(each), effective_l1_ratio(each)) for each in candidates(config))


def grid_key(config: Config) -> str:
    """What the configurations of one grid have in common: everything but the penalty, and what people call them."""
    return repr(replace(config, C=0.0, penalty=PenaltyConfig(Penalty.none, 0.0), plots=False, name=None, tags=[]))


def fit_together(
    config: Config, dataset: Dataset, split: folds.Split, points: Iterable[Point], on_progress: Progress = no_progress
) -> SharedFits:
    """Fit all points on each training part of a split; ``config`` gives class weights, tolerance and inner folds."""
    points, parts = tuple(points), _training_parts(config, dataset, split)
    # One thread per part, or its last digits would vary. With little to compute threads wait for each other's Python,
    # which may take half as long again as one alone.
    threads = min(cpu_count(), len(parts)) if dataset.X.nbytes > THREADS_PAY else 1
    fits = fit_grid(
        dataset.X,
        dataset.y,
        parts,
        points,
        class_weight=config.class_weight,
        tol=config.solver.tol,
        max_iter=config.solver.max_iter,
        n_threads=threads,
        on_progress=on_progress,
    )
    return SharedFits(points, {rows.tobytes(): fit for rows, fit in zip(parts, fits, strict=True)})


def _training_parts(config: Config, dataset: Dataset, split: folds.Split) -> list[Indices]:
    """Each fold's training rows, all development rows, and the inner parts of both where something needs them."""
    outer = [*(fold.train for fold in split.folds), split.development]
    if not needs_inner_folds(config):
        return outer
    inner = (splits.inner_parts(dataset, rows, config.cv.inner_splits, config.seed) for rows in outer)
    return [*outer, *(train for parts in inner for train, _ in parts)]


def write_point(point: Point) -> str:
    """A point as text that loses no digit."""
    return f"C={point.C!r} l1_ratio={point.l1_ratio!r}"


def read_points(texts: Sequence[str]) -> tuple[Point, ...]:
    """Points as ``write_point`` wrote them, such as ``fitted_with`` in ``provenance.json``."""
    pairs = (text.removeprefix("C=").split(" l1_ratio=") for text in texts)
    return tuple(Point(float(c), float(ratio)) for c, ratio in pairs)
