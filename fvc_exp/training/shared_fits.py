"""Fits that many configurations share: everything a grid of penalties needs on one basis, made in one go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from joblib import cpu_count
from sklearn.pipeline import Pipeline

from fvc_exp._typing import Indices, Progress
from fvc_exp.config.schema import Config, Penalty
from fvc_exp.config.validate import effective_c, effective_l1_ratio
from fvc_exp.data.columns import CLASSES
from fvc_exp.data.dataset import Dataset
from fvc_exp.data.splits import inner_parts
from fvc_exp.training.fit import candidates, fit_rows, needs_inner_folds
from fvc_exp.training.pipeline import FittedModel, build_pipeline
from fvc_exp.training.solvers.estimator import plain
from fvc_exp.training.solvers.grid import GridFit, Point, fit_grid
from fvc_exp.training.split_dataset import Basis

THREADS_PAY = 8_000_000  # bytes of X, 20,000 x 50


def points_of(config: Config) -> tuple[Point, ...]:
    """Penalty and strength of all fits that a configuration needs: several where C is searched, none without a penalty.

    Without one there may be no minimum, and each fit has to see that for itself.
    """
    if config.penalty.name is Penalty.none:
        return ()
    return tuple(Point(effective_c(each), effective_l1_ratio(each)) for each in candidates(config))


@dataclass(frozen=True)
class SharedFits:
    """A ``training.Fit`` that fits all ``points`` to all training parts of a basis, when it is first asked or told to.

    ``config`` says all the rest: class weights, tolerance, inner folds. What the grid does not hold, or has not brought
    to the tolerance, is fitted alone.
    """

    basis: Basis
    config: Config
    points: tuple[Point, ...]

    def __call__(self, config: Config, dataset: Dataset, rows: Indices) -> FittedModel:
        """The model of one configuration and part."""
        point = Point(effective_c(config), effective_l1_ratio(config))
        part = self._part_numbers.get(rows.tobytes())
        if dataset is self.basis.dataset and part is not None and point in self.points:
            number = self.points.index(point)
            if self._grid.converged[part, number]:
                return self._model(config, part, number)
        return replace(fit_rows(config, dataset, rows), fitted_with=self._names)

    def make(self, on_progress: Progress | None = None) -> None:
        """Fit everything now."""
        if "_grid" not in self.__dict__:
            self.__dict__["_grid"] = self._fit(on_progress)

    @cached_property
    def _grid(self) -> GridFit:
        return self._fit(None)

    def _fit(self, on_progress: Progress | None) -> GridFit:
        weight, solver = self.config.class_weight, self.config.solver
        return fit_grid(
            self.basis.dataset.X,
            self.basis.dataset.y,
            self._parts,
            self.points,
            class_weight=weight.value if weight else None,
            tol=solver.tol,
            max_iter=solver.max_iter,
            n_threads=self._threads,
            on_progress=on_progress,
        )

    @property
    def _threads(self) -> int:
        """Parts at a time, each with one thread, or its last digits would vary.

        With little to compute threads wait for each other's Python, which may take half as long again as one alone.
        """
        is_large = self.basis.dataset.X.nbytes > THREADS_PAY
        return min(cpu_count(), len(self._parts)) if is_large else 1

    @cached_property
    def _parts(self) -> list[Indices]:
        """Each fold's training rows, all development rows, and the inner parts of both where something needs them."""
        split, cv = self.basis.split, self.config.cv
        outer = [*(fold.train for fold in split.folds), split.development]
        if not needs_inner_folds(candidates(self.config)):
            return outer
        inner = (inner_parts(self.basis.dataset, rows, cv.inner_splits, self.config.seed) for rows in outer)
        return [*outer, *(train for parts in inner for train, _ in parts)]

    @cached_property
    def _part_numbers(self) -> dict[bytes, int]:
        return {rows.tobytes(): number for number, rows in enumerate(self._parts)}

    @cached_property
    def _before(self) -> dict[int, Pipeline]:
        """Imputer and scaler of the parts that were asked for."""
        return {}

    def _model(self, config: Config, part: int, number: int) -> FittedModel:
        grid, pipeline = self._grid, build_pipeline(config)
        if part not in self._before:
            self._before[part] = pipeline[:-1].fit(self.basis.dataset.X[self._parts[part]])
        classifier = pipeline.named_steps["classifier"]
        classifier.classes_ = np.arange(len(CLASSES))
        classifier.n_features_in_ = grid.coef.shape[2]
        classifier.coef_ = grid.coef[part, number][None].copy()
        classifier.intercept_ = grid.intercept[part, [number]]
        classifier.n_iter_ = grid.n_iter[part, [number]].astype(np.int32)
        fitted = Pipeline([*self._before[part].steps, ("classifier", plain(classifier))])
        return FittedModel(fitted, int(classifier.n_iter_[0]), True, (), effective_c(config), fitted_with=self._names)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(write_point(point) for point in self.points)


def write_point(point: Point) -> str:
    """A point as text that loses no digit."""
    return f"C={point.C!r} l1_ratio={point.l1_ratio!r}"


def read_points(texts: Sequence[str]) -> tuple[Point, ...]:
    """Points as ``write_point`` wrote them, such as ``fitted_with`` in ``provenance.json``."""
    pairs = (text.removeprefix("C=").split(" l1_ratio=") for text in texts)
    return tuple(Point(float(c), float(ratio)) for c, ratio in pairs)
