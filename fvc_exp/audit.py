"""What a number is worth: scores of rules that look at no feature, and flags for models that learned nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fvc_exp.data import Dataset
from fvc_exp.evaluate import Scores, is_fake, score, summarise
from fvc_exp.model import FittedModel
from fvc_exp.split import Indices

Probabilities = NDArray[np.float64]
Rule = Callable[[Dataset, Indices, Indices], Probabilities]


def prior(dataset: Dataset, train: Indices, test: Indices) -> Probabilities:
    """The share of fakes among the training rows, for every row."""
    return np.full(len(test), dataset.y[train].mean())


def all_fake(dataset: Dataset, train: Indices, test: Indices) -> Probabilities:  # noqa: ARG001 - a Rule
    """Everything is fake: what F1 has to beat."""
    return np.ones(len(test))


def group_lookup(dataset: Dataset, train: Indices, test: Indices) -> Probabilities:
    """The share of fakes among training rows of the same group, else the prior: above it, groups leak."""
    known, codes = np.unique(dataset.groups[train], return_inverse=True)
    means = np.bincount(codes, weights=dataset.y[train]) / np.bincount(codes)
    place = np.minimum(np.searchsorted(known, dataset.groups[test]), len(known) - 1)
    found = known[place] == dataset.groups[test]
    return np.where(found, means[place], dataset.y[train].mean())


FLOORS: dict[str, Rule] = {"prior": prior, "all_fake": all_fake, "group_lookup": group_lookup}


def floor_scores(dataset: Dataset, parts: Sequence[tuple[Indices, Indices]]) -> dict[str, Scores]:
    """Mean metrics of each floor rule over (train, test) parts, the same ones the model was scored on."""
    floors = {}
    for name, rule in FLOORS.items():
        records = [score(dataset.y[test], rule(dataset, train, test)) for train, test in parts]
        floors[name] = {metric: value["mean"] for metric, value in summarise(records).items()}
    return floors


def model_flags(fitted: FittedModel, probability: Probabilities) -> list[str]:
    """Short codes: ``not_converged``, ``null_model`` (no coefficient but the intercept), ``one_class_predicted``."""
    predicted = is_fake(probability)
    found = {
        "not_converged": not fitted.converged,
        "null_model": not np.any(fitted.classifier.coef_),
        "one_class_predicted": bool(predicted.all() or not predicted.any()),
    }
    return [flag for flag, raised in found.items() if raised]
