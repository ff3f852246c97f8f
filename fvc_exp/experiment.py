"""One configuration on one data set -> one result. No files, no console."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from fvc_exp.audit import floor_scores, model_flags
from fvc_exp.config import Config, Penalty, Scheme
from fvc_exp.data import CLASSES, KEY, LABEL, Dataset
from fvc_exp.evaluate import Scores, Summary, confusion, is_fake, score, summarise
from fvc_exp.model import FittedModel, fit
from fvc_exp.split import Fold, Indices, Split, crossing_groups, make_split

Probabilities = np.ndarray[tuple[int], np.dtype[np.float64]]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class RunResult:
    """Everything a run found out; ``artifacts`` writes it down."""

    config: Config
    dataset: Dataset
    split: Split
    fold_records: tuple[dict[str, Any], ...]
    fold_models: tuple[FittedModel, ...]
    fold_probabilities: tuple[Probabilities, ...]
    summary: dict[str, Summary]
    floors: dict[str, Scores]
    final: FittedModel
    test_scores: Scores | None
    test_probability: Probabilities
    test_floors: dict[str, Scores] | None
    flags: tuple[str, ...]
    notes: tuple[str, ...]

    def predictions(self) -> pl.DataFrame:
        """One row a video and split it was scored in: out-of-fold rows, then the held-out test rows."""
        parts = [
            self._prediction_rows("cv", fold.repeat, fold.index, fold.test, probability)
            for fold, probability in zip(self.split.folds, self.fold_probabilities, strict=True)
        ]
        parts.append(self._prediction_rows("test", None, None, self.split.test, self.test_probability))
        return pl.concat(parts)

    def _prediction_rows(
        self, name: str, repeat: int | None, fold: int | None, rows: Indices, probability: Probabilities
    ) -> pl.DataFrame:
        return _row_frame(self.dataset, rows, name, repeat, fold).with_columns(
            pl.Series("probability", probability, dtype=pl.Float64),
            pl.Series("predicted", is_fake(probability).astype(np.int64)),
        )

    def folds(self) -> pl.DataFrame:
        """Which rows were tested in which fold; rows of split ``test`` were held out."""
        parts = [_row_frame(self.dataset, fold.test, "cv", fold.repeat, fold.index) for fold in self.split.folds]
        parts.append(_row_frame(self.dataset, self.split.test, "test", None, None))
        return pl.concat(parts)


@dataclass(frozen=True)
class CrossValidation:
    """The model of each fold and its probabilities of the rows it has not seen."""

    models: tuple[FittedModel, ...]
    probabilities: tuple[Probabilities, ...]
    summary: dict[str, Summary]
    flags: tuple[str, ...]


def cross_validate(
    config: Config, dataset: Dataset, split: Split, on_progress: Progress | None = None
) -> CrossValidation:
    """Fit and score every fold of a split."""
    models, probabilities, scores = [], [], []
    flags: list[str] = []
    for done, fold in enumerate(split.folds):
        model = fit(config, dataset.X[fold.train], dataset.y[fold.train])
        probability = model.probability(dataset.X[fold.test])
        models.append(model)
        probabilities.append(probability)
        scores.append(score(dataset.y[fold.test], probability))
        flags += model_flags(model, probability)
        if on_progress:
            on_progress(done + 1, len(split.folds))
    return CrossValidation(tuple(models), tuple(probabilities), summarise(scores), tuple(dict.fromkeys(flags)))


def run(config: Config, dataset: Dataset, on_progress: Progress | None = None, split: Split | None = None) -> RunResult:
    """Cross-validate on the development rows, refit on all of them, score the held-out rows once.

    Raises:
        DataError: the data cannot be split as configured.
    """
    split = split or make_split(dataset, config.cv, config.seed)
    cv = cross_validate(config, dataset, split, on_progress)
    final = fit(config, dataset.X[split.development], dataset.y[split.development])
    test_y, test_probability = dataset.y[split.test], np.empty(0)
    if len(split.test):
        test_probability = final.probability(dataset.X[split.test])
    # Without a test set the final model is judged on what it was fitted on: good enough to see that it learned nothing.
    judged = test_probability if len(split.test) else final.probability(dataset.X)
    records = zip(split.folds, cv.models, cv.probabilities, strict=True)
    return RunResult(
        config=config,
        dataset=dataset,
        split=split,
        fold_records=tuple(_fold_record(dataset, *record) for record in records),
        fold_models=cv.models,
        fold_probabilities=cv.probabilities,
        summary=cv.summary,
        floors=floor_scores(dataset, [(fold.train, fold.test) for fold in split.folds]),
        final=final,
        test_scores=score(test_y, test_probability) if len(split.test) else None,
        test_probability=test_probability,
        test_floors=floor_scores(dataset, [(split.development, split.test)]) if len(split.test) else None,
        flags=tuple(dict.fromkeys([*cv.flags, *model_flags(final, judged)])),
        notes=tuple(_notes(config, dataset, final)),
    )


def _fold_record(dataset: Dataset, fold: Fold, fitted: FittedModel, probability: Probabilities) -> dict[str, Any]:
    y = dataset.y[fold.test]
    return {
        "fold": fold.index,
        "repeat": fold.repeat,
        "n_train": len(fold.train),
        "n_test": len(fold.test),
        "n_groups_train": len(np.unique(dataset.groups[fold.train])),
        "n_groups_test": len(np.unique(dataset.groups[fold.test])),
        "n_groups_crossing": crossing_groups(dataset, fold.train, fold.test),
        **{f"test_{name}": value for name, value in score(y, probability).items()},
        **confusion(y, probability),
        "n_iter": fitted.n_iter,
        "converged": fitted.converged,
    }


def _notes(config: Config, dataset: Dataset, final: FittedModel) -> list[str]:
    """Sentences the reader must not miss."""
    notes = []
    if dataset.group_column is None:
        notes.append(
            "NO GROUPS: the metadata names no group column, so near-copies of one video may leak between folds"
        )
    elif config.cv.scheme is Scheme.stratified:
        notes.append(
            "LEAKING SPLIT: cv=stratified deals rows, so near-copies stand in training and test; use cv=grouped"
        )
    if dataset.constant_features:
        notes.append(
            f"dropped {len(dataset.constant_features)} constant features: {', '.join(dataset.constant_features)}"
        )
    if dataset.unmatched:
        notes.append(f"left out {len(dataset.unmatched)} videos without features")
    if missing := sum(dataset.missing_values.values()):
        notes.append(f"{missing} missing values filled with the median of each training fold")
    if config.solver.name.value == "liblinear":
        notes.append("solver=liblinear penalises the intercept as well; the other solvers do not")
    if config.penalty.name is Penalty.none:
        notes.append(f"C={config.C} has no effect with penalty=none")
    notes += final.warnings
    return notes


def _row_frame(dataset: Dataset, rows: Indices, name: str, repeat: int | None, fold: int | None) -> pl.DataFrame:
    n = len(rows)
    return pl.DataFrame(
        {
            KEY: [dataset.ids[row] for row in rows],
            "group": [dataset.group_names[row] for row in rows],
            LABEL: [CLASSES[dataset.y[row]] for row in rows],
            "split": [name] * n,
            "repeat": pl.Series([repeat] * n, dtype=pl.Int64),
            "fold": pl.Series([fold] * n, dtype=pl.Int64),
        },
        schema_overrides={KEY: pl.String, "group": pl.String, LABEL: pl.String, "split": pl.String},
    )
