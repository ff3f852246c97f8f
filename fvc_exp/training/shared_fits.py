"""Fits of one grid that were made together: all penalties on all training parts of a split."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from joblib import cpu_count
from sklearn.pipeline import Pipeline

from fvc_exp._typing import Indices, Progress, no_progress
from fvc_exp.config.schema import Config, Penalty, PenaltyConfig
from fvc_exp.config.validate import effective_c, effective_l1_ratio, needs_inner_folds
from fvc_exp.data import folds, splits
from fvc_exp.data.dataset import Dataset
from fvc_exp.data.standard import Standard
from fvc_exp.training.pipeline import FittedModel, fitted_classifier, fitted_transforms
from fvc_exp.training.solvers.grid import Point, PointFits, fit_grid

THREADS_PAY = 8_000_000  # bytes of X, 20,000 x 50


@dataclass(frozen=True)
class SharedFits:
    """The fits of all ``points`` on all training parts; ``parts`` numbers these by the bytes of their row numbers."""

    points: tuple[Point, ...]
    parts: dict[bytes, int]
    grid: PointFits

    @property
    def names(self) -> tuple[str, ...]:
        """The points as text, for ``fitted_with``."""
        return tuple(write_point(point) for point in self.points)

    def model(self, config: Config, rows: Indices) -> FittedModel | None:
        """The model of one configuration and part; None where the grid lacks it or did not reach the tolerance."""
        point, part = Point(effective_c(config), effective_l1_ratio(config)), self.parts.get(rows.tobytes())
        if part is None or point not in self.points:
            return None
        number, grid = self.points.index(point), self.grid
        if not grid.converged[part, number]:
            return None
        coef, intercept = grid.coef[part, number].copy(), float(grid.intercept[part, number])
        classifier = fitted_classifier(config, coef, intercept)
        classifier.n_iter_ = grid.n_iter[part, [number]].astype(np.int32)
        transforms = fitted_transforms(config, Standard(*grid.standard[part]), len(rows))
        fitted = Pipeline([*transforms, ("classifier", classifier)])
        n_iter, gap = int(classifier.n_iter_[0]), float(grid.gap[part, number])
        return FittedModel(
            fitted, n_iter, True, (), effective_c(config), fitted_with=self.names, gap=gap, is_shared=True
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
    grid = fit_grid(
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
    return SharedFits(points, {rows.tobytes(): number for number, rows in enumerate(parts)}, grid)


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
