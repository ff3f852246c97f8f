"""What a number is worth: scores of rules that look at no feature, and flags for models not to be trusted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fvc_exp.data import Dataset
from fvc_exp.evaluate import Scores, is_fake, score, summarise
from fvc_exp.model import FittedModel
from fvc_exp.slices import PLATFORM
from fvc_exp.split import Indices

FLAGS = {
    "not_converged": "the optimiser stopped at solver.max_iter: raise it, or take another solver",
    "null_model": "every coefficient but the intercept is zero: the model has learned nothing",
    "one_class_predicted": "every video of a test part was given the same class",
    "edge_of_grid": "the best C is the smallest or largest of those tried: try further ones",
}
_SMALLEST_GRID = 3  # of two values each is an edge

Probabilities = NDArray[np.float64]
Rule = Callable[[Dataset, Indices, Indices], Probabilities]


def prior(dataset: Dataset, train: Indices, test: Indices) -> Probabilities:
    """The share of fakes among the training rows, for every row."""
    return np.full(len(test), dataset.y[train].mean())


def all_fake(_dataset: Dataset, _train: Indices, test: Indices) -> Probabilities:
    """Everything is fake: what F1 has to beat."""
    return np.ones(len(test))


def group_lookup(dataset: Dataset, train: Indices, test: Indices) -> Probabilities:
    """The share of fakes among training rows of the same group, else the prior: above it, groups leak."""
    return lookup(dataset.groups, dataset.y, train, test)


def platform_only(dataset: Dataset, train: Indices, test: Indices) -> Probabilities:
    """The share of fakes among training rows of the same platform, else the prior: a shortcut, no skill."""
    _, codes = np.unique([platform or "" for platform in dataset.slices[PLATFORM]], return_inverse=True)
    return lookup(codes, dataset.y, train, test)


def lookup(keys: NDArray[np.int64], y: NDArray[np.int64], train: Indices, test: Indices) -> Probabilities:
    """The share of fakes among training rows with the same key, else among all of them; keys and labels are (n,)."""
    known, codes = np.unique(keys[train], return_inverse=True)
    means = np.bincount(codes, weights=y[train]) / np.bincount(codes)
    place = np.minimum(np.searchsorted(known, keys[test]), len(known) - 1)
    found = known[place] == keys[test]
    return np.where(found, means[place], y[train].mean())


FLOORS: dict[str, Rule] = {"prior": prior, "all_fake": all_fake, "group_lookup": group_lookup}


def floor_rules(dataset: Dataset) -> dict[str, Rule]:
    """The rules that a data set allows: ``platform_only`` needs the slice ``platform``."""
    return FLOORS | ({"platform_only": platform_only} if PLATFORM in dataset.slices else {})


def floor_scores(dataset: Dataset, parts: Sequence[tuple[Indices, Indices]]) -> dict[str, Scores]:
    """Mean metrics of each floor rule over (train, test) parts, the same ones the model was scored on."""
    floors = {}
    for name, rule in floor_rules(dataset).items():
        records = [score(dataset.y[test], rule(dataset, train, test)) for train, test in parts]
        floors[name] = {metric: value["mean"] for metric, value in summarise(records).items()}
    return floors


def model_flags(fitted: FittedModel, probability: Probabilities) -> list[str]:
    """Those of ``FLAGS`` that one model and its probabilities of the rows it is judged on show."""
    predicted = is_fake(probability, fitted.threshold)
    found = {
        "not_converged": not fitted.converged,
        "null_model": not np.any(fitted.classifier.coef_),
        "one_class_predicted": bool(predicted.all() or not predicted.any()),
    }
    return [flag for flag, raised in found.items() if raised]


def edge_of_grid(chosen: float, tried: Sequence[float]) -> bool:
    """Whether the chosen value is the smallest or largest of at least three different ones that were tried."""
    values = set(tried)
    return len(values) >= _SMALLEST_GRID and chosen in (min(values), max(values))
