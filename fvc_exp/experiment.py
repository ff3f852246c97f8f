"""One configuration on one data set -> one result. No files, no console."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from fvc_exp.audit import edge_of_grid, floor_scores, model_flags
from fvc_exp.certificate import Certificate, certify_run
from fvc_exp.config import Config, NullScorer
from fvc_exp.data import CLASSES, KEY, LABEL, Dataset
from fvc_exp.evaluate import Scores, Summary, is_fake, score, summarise
from fvc_exp.folds import CV, TEST, TRAIN
from fvc_exp.model import FittedModel
from fvc_exp.nested import Nested, nested_result
from fvc_exp.permutation import Labels, Scorer
from fvc_exp.records import fold_record, run_notes
from fvc_exp.reliability import Reliability, reliability
from fvc_exp.split import Indices, Split, make_split
from fvc_exp.training import candidates, train

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
    certificate: Certificate
    reliability: Reliability
    test_reliability: Reliability | None
    nested: Nested | None

    def predictions(self) -> pl.DataFrame:
        """One row a video and split it was scored in: out-of-fold rows, then the held-out test rows."""
        parts = [
            _judged(_row_frame(self.dataset, fold.test, CV, fold.repeat, fold.index), model, probability)
            for fold, model, probability in zip(
                self.split.folds, self.fold_models, self.fold_probabilities, strict=True
            )
        ]
        held_out = _row_frame(self.dataset, self.split.test, TEST, None, None)
        return pl.concat([*parts, _judged(held_out, self.final, self.test_probability)])

    def folds(self) -> pl.DataFrame:
        """Which rows were tested in which fold; rows of split ``test`` were held out. See ``read_folds``.

        Of split ``train`` are development rows that are never tested, and all training rows of a fold that does not
        train on every other development row.
        """
        parts = [_row_frame(self.dataset, fold.test, CV, fold.repeat, fold.index) for fold in self.split.folds]
        parts.append(_row_frame(self.dataset, self.split.test, TEST, None, None))
        tested = np.concatenate([fold.test for fold in self.split.folds])
        parts.append(_row_frame(self.dataset, np.setdiff1d(self.split.development, tested), TRAIN, None, None))
        for fold in self.split.folds:
            if not self.split.trains_on_the_rest(fold):
                parts.append(_row_frame(self.dataset, fold.train, TRAIN, fold.repeat, fold.index))
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
    """Fit and score every fold of a split; what is chosen (C, threshold, calibration) is chosen inside each fold."""
    models, probabilities, scores = [], [], []
    flags: list[str] = []
    for done, fold in enumerate(split.folds):
        model = train(candidates(config), dataset, fold.train)
        probability = model.probability(dataset.X[fold.test])
        models.append(model)
        probabilities.append(probability)
        scores.append(score(dataset.y[fold.test], probability, model.threshold))
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
    final = train(candidates(config), dataset, split.development)
    nested = nested_result(config, dataset, split, cv.models, cv.summary, final) if config.cv.c_grid else None
    test_y, test_probability = dataset.y[split.test], np.empty(0)
    if len(split.test):
        test_probability = final.probability(dataset.X[split.test])
    # Without a test set the final model is judged on what it was fitted on: good enough to see that it learned nothing.
    judged = test_probability if len(split.test) else final.probability(dataset.X)
    records = zip(split.folds, cv.models, cv.probabilities, strict=True)
    flags = [*cv.flags, *model_flags(final, judged)]
    if edge_of_grid(final.C, config.cv.c_grid):
        flags.append("edge_of_grid")
    scored_y = np.concatenate([dataset.y[fold.test] for fold in split.folds])
    return RunResult(
        config=config,
        dataset=dataset,
        split=split,
        fold_records=tuple(fold_record(config, dataset, *record) for record in records),
        fold_models=cv.models,
        fold_probabilities=cv.probabilities,
        summary=cv.summary,
        floors=floor_scores(dataset, [(fold.train, fold.test) for fold in split.folds]),
        final=final,
        test_scores=score(test_y, test_probability, final.threshold) if len(split.test) else None,
        test_probability=test_probability,
        test_floors=floor_scores(dataset, [(split.development, split.test)]) if len(split.test) else None,
        flags=tuple(dict.fromkeys(flags)),
        notes=(*run_notes(config, dataset, final), *split.notes),
        certificate=certify_run(dataset, split, config.audit, config.seed, _own_scorer(config, dataset, split)),
        reliability=reliability(scored_y, np.concatenate(cv.probabilities)),
        test_reliability=reliability(test_y, test_probability) if len(split.test) else None,
        nested=nested,
    )


def _own_scorer(config: Config, dataset: Dataset, split: Split) -> Scorer | None:
    """What the run itself fits, as the scorer of permuted labels, if it is configured so."""
    if config.audit.scorer is not NullScorer.model:
        return None

    def scores(labels: Labels) -> Probabilities:
        relabelled = (replace(dataset, y=column.astype(np.int64)) for column in labels.T)
        return np.array([cross_validate(config, each, split).summary["auc"]["mean"] for each in relabelled])

    return scores


def _judged(rows: pl.DataFrame, model: FittedModel, probability: Probabilities) -> pl.DataFrame:
    return rows.with_columns(
        pl.Series("probability", probability, dtype=pl.Float64),
        pl.Series("predicted", is_fake(probability, model.threshold).astype(np.int64)),
    )


def _row_frame(dataset: Dataset, rows: Indices, name: str, repeat: int | None, fold: int | None) -> pl.DataFrame:
    columns = {
        KEY: np.array(dataset.ids, dtype=object)[rows],
        "group": np.array(dataset.group_names, dtype=object)[rows],
        LABEL: np.array(CLASSES, dtype=object)[dataset.y[rows]],
    }
    return pl.DataFrame([pl.Series(key, values, dtype=pl.String) for key, values in columns.items()]).with_columns(
        pl.lit(name).alias("split"),
        pl.lit(repeat, pl.Int64).alias("repeat"),
        pl.lit(fold, pl.Int64).alias("fold"),
    )
