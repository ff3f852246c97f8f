"""Rows with their split: what all configurations share that are judged on the same folds, and what fits them."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Self

import numpy as np
import polars as pl
from joblib import cpu_count

from fvc_exp._typing import Array, Indices, Progress, no_progress
from fvc_exp.config.schema import AuditConfig, Config, Penalty, PenaltyConfig
from fvc_exp.config.validate import PROX_NEWTON, effective_c, effective_l1_ratio, needs_inner_folds, resolved_solver
from fvc_exp.data.columns import CLASSES, KEY, LABEL
from fvc_exp.data.dataset import Dataset
from fvc_exp.data.folds import CV, TEST, TRAIN, Split
from fvc_exp.data.group_folds import count_codes
from fvc_exp.data.splits import count_shared_groups, inner_parts, split_or_advise
from fvc_exp.evaluation import claims, floors, metrics, resampled
from fvc_exp.evaluation.leakage.certificate import Certificate, certify_run
from fvc_exp.io.tables import parquet_bytes
from fvc_exp.training.pipeline import FittedModel, fit_pipeline
from fvc_exp.training.solvers import wide
from fvc_exp.training.solvers.grid import PartFits, Point, fit_complements, fit_grid, numerical_libraries

_THREADS_PAY = 8_000_000  # bytes of X, 20,000 x 50
# What does not depend on a model, and may be worked out beside the fits.
WITHOUT_MODEL = ("certificate", "data_facts", "rule_scores", "auc_floors", "folds_parquet", "ranges")


@dataclass(frozen=True)
class SharedFits:
    """The fits of all ``points`` on all training parts, by a hash of their row numbers."""

    points: tuple[Point, ...]
    parts: dict[bytes, PartFits]
    is_grid: bool = True

    def model(self, config: Config, rows: Indices) -> FittedModel | None:
        """The model of one configuration and part; None where the grid lacks it or did not reach the tolerance."""
        part = self.parts.get(_hash(rows))
        fit = part.fits.get(_point(config)) if part else None
        if part is None or fit is None or not fit.converged:
            return None
        return FittedModel(
            config, part.standard, len(rows), fit.w, fit.b, fit.n_iter, True, (), gap=fit.gap, is_shared=self.is_grid
        )


@dataclass(frozen=True, eq=False)
class SplitDataset:
    """Rows, their split, and what follows from these two alone. The rows must not change any more.

    Each property is worked out once, when it is first read. ``shared_fits`` holds fits that were made together, by
    their ``grid_key``; several data sets may have the same dictionary.
    """

    dataset: Dataset
    split: Split
    audit: AuditConfig
    seed: int
    shared_fits: dict[str, SharedFits] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, config: Config, dataset: Dataset) -> Self:
        """Split the rows as configured.

        Raises:
            DataError: they cannot be split so.
        """
        return cls(dataset, split_or_advise(dataset, config), config.audit, config.seed)

    def without_price(self) -> Self:
        """The same for runs that need no price of a leak."""
        return replace(self, audit=replace(self.audit, price=False))

    def fit(self, config: Config, rows: Indices) -> FittedModel:
        """The pipeline of a configuration fitted to these rows, or what was fitted to them together with others."""
        shared, points = self._shared(config), points_of(config)
        if self._sections(config) and (shared is None or (len(shared.points) == 1 and shared.points != points)):
            self.fit_together(config, points)
            shared = self._shared(config)
        fitted = shared.model(config, rows) if shared else None
        if fitted is None:
            # The final model meets new rows, and any of their values may be missing; fold models meet these alone.
            needs_median = None if len(rows) == len(self.split.development) else self.dataset.has_gaps
            fitted = fit_pipeline(config, self.dataset.X[rows], self.dataset.y[rows], needs_median)
        return replace(fitted, fitted_with=shared.points) if shared else fitted

    @property
    def threads(self) -> int:
        """How many pay: with little to compute they wait for each other's Python, half as long again as one alone."""
        return cpu_count() if self.dataset.X.nbytes > _THREADS_PAY else 1

    def fit_together(self, config: Config, points: Iterable[Point], on_progress: Progress = no_progress) -> None:
        """Fit these penalties to all training parts; ``fit`` then gives the models to configurations of the grid.

        The parts are each fold's training rows, all development rows, and the inner parts of both if needed.
        ``config`` is one of the grid. Fits of the same grid with other penalties are replaced.
        """
        points, parts = tuple(points), [*(fold.train for fold in self.split.folds), self.split.development]
        if needs_inner_folds(config):
            inner = [inner_parts(self.dataset, rows, config.cv.inner_splits, config.seed) for rows in parts]
            parts += [train for each in inner for train, _ in each]
        X, y, tol, max_iter = self.dataset.X, self.dataset.y, config.solver.tol, config.solver.max_iter
        if sections := self._sections(config) if len(points) == 1 else []:
            with numerical_libraries().limit(limits=1):  # as in a run: with more threads other last digits come out
                fits = fit_complements(X, y, sections, points[0], tol=tol, max_iter=max_iter)
        else:
            fit = partial(fit_grid, class_weight=config.class_weight, n_threads=self.threads, on_progress=on_progress)
            fits = fit(X, y, parts, points, tol=tol, max_iter=max_iter)
        part_fits = {_hash(rows): fit for rows, fit in zip(parts, fits, strict=True)}
        self.shared_fits[grid_key(config)] = SharedFits(points, part_fits, is_grid=not sections)

    def _sections(self, config: Config) -> list[Indices]:
        """The test rows of all folds where our solver fits what is left after each in the same passes over the rows."""
        folds, n, p = self.split.folds, len(self.split.development), self.dataset.X.shape[1]
        solver, has_point = resolved_solver(config.penalty.name, config.solver.name), len(points_of(config)) == 1
        is_plain = solver == PROX_NEWTON and has_point and not (config.class_weight or needs_inner_folds(config))
        is_large = 8 * n * p > _THREADS_PAY and n >= wide.ROWS_PER_COLUMN * p and not self.dataset.has_gaps.any()
        sizes = {sum(len(fold.test) for fold in folds)} | {len(fold.train) + len(fold.test) for fold in folds}
        return [fold.test for fold in folds] if is_plain and is_large and sizes == {n} else []

    def refitted(self, config: Config, points: tuple[Point, ...]) -> Self:
        """The same rows and folds, which fit to the last digit as in a run that was fitted with these penalties."""
        again = replace(self, shared_fits={})
        if points:
            again.fit_together(config, points)
        return again

    def _shared(self, config: Config) -> SharedFits | None:
        return self.shared_fits.get(grid_key(config)) if self.shared_fits else None

    @cached_property
    def floor_columns(self) -> list[pl.Series]:
        """Probabilities of fake by each rule that looks at no feature, of the rows of ``scored_rows``."""
        sides = [*((fold.train, fold.test) for fold in self.split.folds), (self.split.development, self.split.test)]
        found = [floors.floor_probabilities(self.dataset, *side) for side in sides]
        return [pl.Series(floors.COLUMN + rule, np.concatenate([each[rule] for each in found])) for rule in found[0]]

    @cached_property
    def certificate(self) -> Certificate:
        """The leakage certificate, with random labels fitted by ridge regression."""
        return certify_run(self.dataset, self.split, self.audit, self.seed)

    @cached_property
    def fold_facts(self) -> tuple[dict[str, Any], ...]:
        """Name and size of each fold, as its record in ``metrics.json`` begins."""
        groups = self.dataset.groups
        return tuple(
            {
                "fold": fold.index,
                "repeat": fold.repeat,
                "n_train": len(fold.train),
                "n_test": len(fold.test),
                "n_groups_train": count_codes(groups[fold.train]),
                "n_groups_test": count_codes(groups[fold.test]),
                "n_groups_crossing": count_shared_groups(self.dataset, fold.train, fold.test),
            }
            for fold in self.split.folds
        )

    @cached_property
    def data_facts(self) -> dict[str, Any]:
        """What the data was, for ``results.json``."""
        dataset, split = self.dataset, self.split
        return {
            "sha256": dataset.content_hash,
            "rows": len(dataset.y),
            "groups": dataset.n_groups,
            "group_column": dataset.group_column,
            "class_counts": {name: int((dataset.y == label).sum()) for label, name in enumerate(CLASSES)},
            "development_rows": len(split.development),
            "test_rows": len(split.test),
            "features": dataset.feature_names,
            "constant_features": dataset.constant_features,
            "columns": {
                "used": dataset.feature_names,
                "ignored": dataset.ignored_columns,
                "constant": dataset.constant_features,
            },
            "missing_values": dataset.missing_values,
            "missing_by_class": {
                name: int(np.isnan(dataset.X[:, dataset.has_gaps][dataset.y == label]).sum())
                for label, name in enumerate(CLASSES)
            },
            "test_sha256": self.test_sha256,
            "unmatched": dataset.unmatched,
        }

    @cached_property
    def test_sha256(self) -> str | None:
        """A hash of names, labels and groups of the held-out rows, whatever their features; None without any."""
        if not len(self.split.test):
            return None
        rows = self._row_frame(self.split.test, TEST, None, None).sort(KEY)
        texts = rows.select(pl.concat_str(KEY, LABEL, "group", separator="\0") + "\0").to_series()
        return hashlib.sha256(str(texts.str.join().item()).encode()).hexdigest()

    @cached_property
    def ranges(self) -> tuple[Array, Array]:
        """Lowest and highest value of each feature in the development rows; NaN where it has none."""
        X, inside = self.dataset.X, np.zeros((len(self.dataset.y), 1), np.bool_)
        inside[self.split.development] = True  # a copy of these rows would take their memory once more
        lowest, highest = (each.reduce(X, axis=0, where=inside, initial=np.nan) for each in (np.fmin, np.fmax))
        return lowest, highest

    @cached_property
    def scored_rows(self) -> pl.DataFrame:
        """One row per video and split that it is scored in: out-of-fold rows, then the held-out test rows."""
        parts = [self._row_frame(fold.test, CV, fold.repeat, fold.index) for fold in self.split.folds]
        return pl.concat([*parts, self._row_frame(self.split.test, TEST, None, None)])

    @cached_property
    def judged(self) -> dict[str, resampled.Scored]:
        """The rows of each split that has any, scored by no model yet; see ``Scored.of_model``."""
        rows = self.scored_rows.with_columns(*self.floor_columns, probability=pl.lit(0.0), predicted=pl.lit(0))
        return {name: resampled.Scored.from_predictions(rows, name) for name in rows["split"].unique()}

    @cached_property
    def rule_scores(self) -> dict[str, dict[str, metrics.Scores]]:
        """What each rule that looks at no feature scores, in each split."""
        return {name: claims.rule_scores(rows) for name, rows in self.judged.items()}

    @cached_property
    def auc_floors(self) -> claims.Floors:
        """What the cross-validated AUC of a model is compared with."""
        return claims.Floors(self.judged[CV], ("auc",))

    @cached_property
    def folds(self) -> pl.DataFrame:
        """Which rows were tested in which fold; rows of split ``test`` were held out. See ``read_folds``.

        Of split ``train`` are development rows that are never tested, and all training rows of a fold that does not
        train on every other development row.
        """
        split = self.split
        tested = np.bincount(np.concatenate([fold.test for fold in split.folds]), minlength=len(self.dataset.y)) > 0
        untested = split.development[~tested[split.development]]
        parts = [self.scored_rows, self._row_frame(untested, TRAIN, None, None)]
        for fold in split.folds:
            if len(fold.train) + len(fold.test) < len(split.development):
                parts.append(self._row_frame(fold.train, TRAIN, fold.repeat, fold.index))
        return pl.concat(parts)

    @cached_property
    def folds_parquet(self) -> bytes:
        """The content of ``folds.parquet``."""
        return parquet_bytes(self.folds)

    @cached_property
    def _names(self) -> pl.DataFrame:
        """Video, group and label of each row of the data set."""
        labels = pl.Series(LABEL, CLASSES).gather(self.dataset.y)
        return pl.DataFrame([self.dataset.ids.alias(KEY), self.dataset.group_names.alias("group"), labels])

    def _row_frame(self, rows: Indices, name: str, repeat: int | None, fold: int | None) -> pl.DataFrame:
        return self._names[rows].with_columns(
            pl.lit(name).alias("split"), pl.lit(repeat, pl.Int64).alias("repeat"), pl.lit(fold, pl.Int64).alias("fold")
        )


def candidates(config: Config) -> list[Config]:
    """The configurations that a training part chooses between: one for each C to be searched, else the one."""
    return [replace(config, C=c) for c in sorted(config.cv.c_grid)] or [config]


def _hash(rows: Indices) -> bytes:
    return hashlib.sha256(rows.tobytes()).digest()


def points_of(config: Config) -> tuple[Point, ...]:
    """Penalty and strength of all fits that a configuration needs: several where C is searched, none without a penalty.

    Without a penalty there may be no minimum, and each fit has to find that out for itself.
    """
    return () if config.penalty.name is Penalty.none else tuple(map(_point, candidates(config)))


def _point(config: Config) -> Point:
    return Point(effective_c(config), effective_l1_ratio(config))


def grid_key(config: Config) -> str:
    """What the configurations of one grid have in common: everything but the penalty, and what people call them."""
    return repr(replace(config, C=0.0, penalty=PenaltyConfig(Penalty.none, 0.0), plots=False, name=None, tags=[]))


def write_point(point: Point) -> str:
    """A point as text that loses no digit."""
    return f"C={point.C!r} l1_ratio={point.l1_ratio!r}"


def read_points(texts: Sequence[str]) -> tuple[Point, ...]:
    """Points as ``write_point`` wrote them, such as ``fitted_with`` in ``provenance.json``."""
    pairs = (text.removeprefix("C=").split(" l1_ratio=") for text in texts)
    return tuple(Point(float(c), float(ratio)) for c, ratio in pairs)
