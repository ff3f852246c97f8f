"""One configuration on one split data set -> one result. No files, no console."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit

from fvc_exp._typing import Array, Indices, Labels, Progress, no_progress
from fvc_exp.config import schema, validate
from fvc_exp.data import folds, splits
from fvc_exp.data.dataset import Dataset
from fvc_exp.evaluation import bootstrap, claims, metrics, resampled
from fvc_exp.training import calibration, notes
from fvc_exp.training.pipeline import FittedModel
from fvc_exp.training.price import Price, price_of, row_folds
from fvc_exp.training.split_dataset import WITHOUT_MODEL, SplitDataset, candidates

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CrossValidation:
    """The model of each fold, its probabilities of the rows it has not seen, their scores, and its flags."""

    models: tuple[FittedModel, ...]
    probabilities: tuple[Array, ...]
    scores: tuple[metrics.Scores, ...]
    summary: dict[str, metrics.Summary]
    flags: tuple[dict[str, str], ...]


@dataclass(frozen=True)
class Nested:
    """A search judged twice on the same outer folds, by mean AUC.

    ``plain`` has the score of each C used everywhere; its best one was chosen by these very scores. In ``auc`` each
    fold's C was chosen without the rows that it is scored on (Varma and Simon 2006). ``optimism`` is the difference.
    ``chosen`` are the folds' choices, ``final`` that of the final model.
    """

    plain: dict[float, float]
    best: float
    chosen: tuple[float, ...]
    final: float
    auc: float
    optimism: float

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``results.json``."""
        return {**asdict(self), "plain": [{"C": c, "auc": auc} for c, auc in self.plain.items()]}


@dataclass(frozen=True)
class RunResult:
    """Everything a run found out; ``artifacts`` writes it down. ``flag_details`` tell which models raise each flag."""

    config: schema.Config
    data: SplitDataset
    cv: CrossValidation
    final: FittedModel
    test_scores: metrics.Scores | None
    test_probability: Array
    flag_details: dict[str, str]
    notes: tuple[str, ...]
    reliability: metrics.Reliability
    test_reliability: metrics.Reliability | None
    nested: Nested | None
    price: Price | None

    @property
    def dataset(self) -> Dataset:
        """The rows."""
        return self.data.dataset

    @property
    def split(self) -> folds.Split:
        """Folds and held-out rows."""
        return self.data.split

    @property
    def summary(self) -> dict[str, metrics.Summary]:
        """Mean and deviation of each metric over the folds."""
        return self.cv.summary

    @cached_property
    def _judged(self) -> dict[str, resampled.Scored]:
        predictions = self.predictions()
        return {split: rows.of_model(predictions, split) for split, rows in self.data.judged.items()}

    @cached_property
    def floors(self) -> dict[str, metrics.Scores]:
        """What the cross-validated scores have to beat."""
        return {**self.data.rule_scores[folds.CV], claims.CHANCE: claims.chance(self._judged[folds.CV])}

    @cached_property
    def test_floors(self) -> dict[str, metrics.Scores] | None:
        """What the held-out scores have to beat."""
        rows = self._judged.get(folds.TEST)
        return {**self.data.rule_scores[folds.TEST], claims.CHANCE: claims.chance(rows)} if rows else None

    @cached_property
    def claim(self) -> claims.FloorClaim | None:
        """The cross-validated AUC compared with the best floor; None where the groups are too few."""
        return self.data.auc_floors.claims(self._judged[folds.CV]).get("auc")

    def auc_intervals(self, dependence: float) -> dict[str, bootstrap.Interval | None]:
        """Of the mean AUC over the folds (``cv``), whose ``fold_dependence`` is given, and of the held-out ``test``.

        They have the errors of ``bootstrap.draws_of``; None where too few groups were scored.
        """
        claim, counts = self.claim, self._judged[folds.CV].group_counts
        cv = bootstrap.interval_of("auc", claim.score, claim.standard_error, dependence, counts) if claim else None
        test = None
        if rows := self._judged.get(folds.TEST):
            drawn = bootstrap.draws_of(rows).scores(rows, ("auc",))["auc"]
            error = resampled.replicate_error(drawn)
            test = bootstrap.interval_of("auc", float(drawn[0]), error, 0.0, rows.group_counts)
        return {folds.CV: cv, folds.TEST: test}

    def predictions(self) -> pl.DataFrame:
        """One row per video and split that it was scored in: out-of-fold rows, then the held-out test rows.

        Beside the model's probability and decision stands the probability of each floor rule, ``floor_<rule>``.
        """
        models = (*self.cv.models, self.final)
        parts = (*self.cv.probabilities, self.test_probability)
        judged = [metrics.is_fake(part, model.threshold) for part, model in zip(parts, models, strict=True)]
        return self.data.scored_rows.with_columns(
            pl.Series("probability", np.concatenate(parts), dtype=pl.Float64),
            pl.Series("predicted", np.concatenate(judged).astype(np.int64)),
            *self.data.floor_columns,
        )

    @property
    def fold_records(self) -> list[dict[str, Any]]:
        """The content of ``metrics.json``; with C and threshold where they may differ between folds."""
        cv, y, records = self.cv, self.dataset.y, []
        parts = zip(self.data.fold_facts, self.split.folds, cv.models, cv.probabilities, cv.scores, strict=True)
        for facts, fold, model, probability, scores in parts:
            record: dict[str, Any] = {
                **facts,
                **{f"test_{name}": value for name, value in scores.items()},
                **metrics.confusion(y[fold.test], probability, model.threshold),
                "n_iter": model.n_iter,
                "converged": model.converged,
            }
            if self.config.cv.c_grid:
                record["C"] = model.C
            if self.config.threshold != str(metrics.THRESHOLD):
                record["threshold"] = model.threshold
            if fold.held_out is not None:
                record["held_out"] = fold.held_out
            records.append(record)
        return records


def run_experiment(config: schema.Config, data: SplitDataset, on_progress: Progress = no_progress) -> RunResult:
    """Cross-validate on the development rows, refit on all of them, score the held-out rows once.

    Raises:
        DataError: there are too few groups of a class for what is chosen inside a training part.
    """
    dataset, split, has_test = data.dataset, data.split, len(data.split.test) > 0
    # Warnings are recorded for the whole process, and those of the thread would be taken for a model's.
    with ThreadPoolExecutor(1, initializer=partial(np.seterr, all="ignore")) as pool:
        for name in WITHOUT_MODEL if data.threads > 1 else ():
            pool.submit(getattr, data, name)
        cv = cross_validate(config, data, on_progress)
        probability = np.concatenate(cv.probabilities)
        final = fit_configuration(candidates(config), data, split.development)
        price = leak_price(config, data, probability)
        log.info("final model: %s", final.solver_line())
        test_y, test_probability = dataset.y[split.test], final.probability(dataset.X[split.test])
        # Without a test set the final model is judged on its training rows: enough to see that it learned nothing.
        flags = notes.model_flags(final, test_probability if has_test else final.probability(dataset.X))
        if notes.edge_of_grid(final.C, config.cv.c_grid):
            flags["edge_of_grid"] = f"C={final.C:g}"
        scored, groups = np.concatenate([fold.test for fold in split.folds]), dataset.groups
        found = RunResult(
            config=config,
            data=data,
            cv=cv,
            final=final,
            test_scores=metrics.score(test_y, test_probability, final.threshold) if has_test else None,
            test_probability=test_probability,
            flag_details=notes.raised_flags(cv.flags, flags),
            notes=(*notes.run_notes(config, dataset, final), *split.notes),
            reliability=metrics.reliability(dataset.y[scored], probability, groups[scored]),
            test_reliability=metrics.reliability(test_y, test_probability, groups[split.test]) if has_test else None,
            nested=nested_result(config, data, cv, final) if config.cv.c_grid else None,
            price=price,
        )
    log.info("audit: %s", data.certificate.verdict)
    return found


def cross_validate(config: schema.Config, data: SplitDataset, on_progress: Progress = no_progress) -> CrossValidation:
    """Fit and score every fold of a split; what is chosen (C, threshold, calibration) is chosen inside each fold."""
    X, y = data.dataset.X, data.dataset.y
    judged = []
    for done, fold in enumerate(data.split.folds, start=1):
        model = fit_configuration(candidates(config), data, fold.train)
        probability = model.probability(X[fold.test])
        scores = metrics.score(y[fold.test], probability, model.threshold)
        judged.append((model, probability, scores, notes.model_flags(model, probability)))
        log.info("fold %d of %d: AUC %.3f; %s", done, len(data.split.folds), scores["auc"], model.solver_line())
        on_progress(done, len(data.split.folds))
    models, probabilities, of_folds, flags = zip(*judged, strict=True)
    return CrossValidation(models, probabilities, of_folds, metrics.summarise(of_folds), flags)


def fit_configuration(choices: Sequence[schema.Config], data: SplitDataset, rows: Indices) -> FittedModel:
    """Choose a configuration, fit it, calibrate it and set its threshold, all on these rows of the data set.

    What cannot be judged on the rows that a model was fitted to is judged on grouped inner folds of them: the choice
    by the mean AUC (of equal ones the first is taken), calibration and threshold by the pooled out-of-fold scores.

    Raises:
        DataError: there are too few groups of a class for the inner folds.
    """
    if len(choices) == 1 and not validate.looks_inside(choices[0]):
        return replace(data.fit(choices[0], rows), threshold=float(choices[0].threshold))
    X, y = data.dataset.X, data.dataset.y
    parts = splits.inner_parts(data.dataset, rows, choices[0].cv.inner_splits, choices[0].seed)
    inner = [[data.fit(config, part) for part, _ in parts] for config in choices]
    scored = [[model.log_odds(X[test]) for (_, test), model in zip(parts, models, strict=True)] for models in inner]
    tested = [y[test] for _, test in parts]
    best = int(np.argmax([np.mean(list(map(metrics.auc, tested, log_odds))) for log_odds in scored]))
    fitted = data.fit(choices[best], rows)
    if stopped := sum(not model.converged for models in inner for model in models):
        warning = f"{stopped} of {len(parts) * len(choices)} fits of inner folds did not converge"
        fitted = replace(fitted, warnings=(*fitted.warnings, warning))
    return _calibrated(choices[best], fitted, np.concatenate(tested), np.concatenate(scored[best]))


def _calibrated(config: schema.Config, fitted: FittedModel, y: Labels, log_odds: Array) -> FittedModel:
    """The model with its calibration and threshold, both learned from out-of-fold scores; y and log odds are (n,)."""
    probability = expit(log_odds)
    if config.calibration is schema.Calibration.sigmoid:
        slope, intercept = calibration.fit_platt(y, log_odds)
        fitted = replace(fitted, coef=fitted.coef * slope, intercept=fitted.intercept * slope + intercept)
        probability = expit(slope * log_odds + intercept)
    elif config.calibration is schema.Calibration.isotonic:
        isotonic = calibration.fit_isotonic(y, probability)
        fitted, probability = replace(fitted, isotonic=isotonic), isotonic(probability)
    return replace(fitted, threshold=calibration.best_threshold(config.threshold, y, probability))


def nested_result(config: schema.Config, data: SplitDataset, cv: CrossValidation, final: FittedModel) -> Nested:
    """Compare a nested run, with its final model, with plain cross-validation of each C."""
    plain = {
        each.C: float(fold_aucs(data, partial(fit_configuration, [each], data)).mean()) for each in candidates(config)
    }
    best = max(plain, key=lambda c: plain[c])
    auc = cv.summary["auc"]["mean"]
    return Nested(plain, best, tuple(model.C for model in cv.models), final.C, auc, plain[best] - auc)


def leak_price(config: schema.Config, data: SplitDataset, probability: Array) -> Price | None:
    """Cross-validate once more on folds of single rows; ``probability`` (rows,) is of all folds of ``data`` in turn.

    None where that shows nothing, see ``row_folds``.
    """
    if (dealt := row_folds(config, data)) is None:
        return None
    log.info("price of a leak: the same configuration on folds that ignore groups")
    return price_of(data, probability, dealt, np.concatenate(cross_validate(config, dealt).probabilities))


def fold_aucs(data: SplitDataset, fit: Callable[[Indices], FittedModel]) -> Array:
    """AUC of each fold's test rows, shape (folds,), by the model that ``fit`` makes of its training rows."""
    X, y = data.dataset.X, data.dataset.y
    return np.array([metrics.auc(y[fold.test], fit(fold.train).probability(X[fold.test])) for fold in data.split.folds])
