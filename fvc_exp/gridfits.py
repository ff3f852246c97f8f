"""Fits that many configurations share: everything a grid of penalties needs on one basis, made in one go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from sklearn.pipeline import Pipeline

from fvc_exp.basis import Basis
from fvc_exp.config import Config, effective_c, effective_l1_ratio
from fvc_exp.data import Dataset
from fvc_exp.model import FittedModel, build_pipeline
from fvc_exp.solvers.grid import GridFit, Point, fit_grid
from fvc_exp.split import Indices, inner_parts
from fvc_exp.training import candidates, fit_rows, needs_inner_folds

OnProgress = Callable[[int, int], None]


def points_of(config: Config) -> tuple[Point, ...]:
    """Penalty and strength of all fits that a configuration needs; several where C is searched."""
    return tuple(Point(effective_c(each), effective_l1_ratio(each)) for each in candidates(config))


@dataclass(frozen=True)
class SharedFits:
    """A ``training.Fit`` that fits all ``points`` to all training parts of a basis, when it is first asked or told to.

    ``config`` says all the rest: class weights, tolerance, inner folds. What the grid does not hold is fitted alone.
    """

    basis: Basis
    config: Config
    points: tuple[Point, ...]

    def __call__(self, config: Config, dataset: Dataset, rows: Indices) -> FittedModel:
        """The model of one configuration and part."""
        (point,) = points_of(replace(config, cv=replace(config.cv, c_grid=[])))
        part = self._part_numbers.get(rows.tobytes())
        if dataset is not self.basis.dataset or part is None or point not in self.points:
            return fit_rows(config, dataset, rows)
        return self._model(config, part, self.points.index(point))

    def make(self, on_progress: OnProgress | None = None) -> None:
        """Fit everything now."""
        if "_grid" not in self.__dict__:
            self.__dict__["_grid"] = self._fit(on_progress)

    @cached_property
    def _grid(self) -> GridFit:
        return self._fit(None)

    def _fit(self, on_progress: OnProgress | None) -> GridFit:
        weight, solver = self.config.class_weight, self.config.solver
        return fit_grid(
            self.basis.dataset.X,
            self.basis.dataset.y,
            self._parts,
            self.points,
            class_weight=weight.value if weight else None,
            tol=solver.tol,
            max_iter=solver.max_iter,
            on_progress=on_progress,
        )

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
        grid = self._grid
        if part not in self._before:
            self._before[part] = build_pipeline(config)[:-1].fit(self.basis.dataset.X[self._parts[part]])
        classifier = build_pipeline(config).named_steps["classifier"]
        classifier.classes_ = np.array([0, 1])
        classifier.n_features_in_ = grid.coef.shape[2]
        classifier.coef_ = grid.coef[part, number][None, :].copy()
        classifier.intercept_ = np.array([grid.intercept[part, number]])
        classifier.n_iter_ = np.array([grid.n_iter[part, number]], dtype=np.int32)
        pipeline = Pipeline([*self._before[part].steps, ("classifier", classifier)])
        converged = bool(grid.converged[part, number])
        n_iter, c = int(grid.n_iter[part, number]), effective_c(config)
        return FittedModel(pipeline, n_iter, converged, (), c, fitted_with=self._names)

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
