"""What a number is worth: the baselines (floors), scores of rules that look at no feature."""

from collections.abc import Callable, Sequence

import numpy as np

from fvc_exp._typing import Array, Indices, Labels
from fvc_exp.data.columns import PLATFORM
from fvc_exp.data.dataset import Dataset
from fvc_exp.evaluation.metrics import Scores, score, summarise

Rule = Callable[[Dataset, Indices, Indices], Array]


def prior(dataset: Dataset, train: Indices, test: Indices) -> Array:
    """The share of fakes among the training rows, for every row."""
    return np.full(len(test), dataset.y[train].mean())


def all_fake(_dataset: Dataset, _train: Indices, test: Indices) -> Array:
    """Everything is fake: what F1 has to beat."""
    return np.ones(len(test))


def group_lookup(dataset: Dataset, train: Indices, test: Indices) -> Array:
    """The share of fakes among training rows of the same group, else the prior: above it, groups leak."""
    return fake_share_by_key(dataset.groups, dataset.y, train, test)


def platform_only(dataset: Dataset, train: Indices, test: Indices) -> Array:
    """The share of fakes among training rows of the same platform, else the prior: a shortcut, not skill."""
    _, codes = np.unique([platform or "" for platform in dataset.slices[PLATFORM]], return_inverse=True)
    return fake_share_by_key(codes, dataset.y, train, test)


def fake_share_by_key(keys: Indices, y: Labels, train: Indices, test: Indices) -> Array:
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
    """Mean metrics of each baseline rule over (train, test) parts, the same ones the model was scored on."""
    floors = {}
    for name, rule in floor_rules(dataset).items():
        records = [score(dataset.y[test], rule(dataset, train, test)) for train, test in parts]
        floors[name] = {metric: value["mean"] for metric, value in summarise(records).items()}
    return floors
