"""What a number is worth: the baselines (floors), scores of rules that look at no feature."""

from collections.abc import Callable

import numpy as np

from fvc_exp._typing import Array, Indices, Labels
from fvc_exp.data.columns import PLATFORM
from fvc_exp.data.dataset import Dataset
from fvc_exp.data.group_folds import dense_codes
from fvc_exp.evaluation.metrics import METRICS, Scores, log_losses, metrics_from_counts, safe_ratio

COLUMN = "floor_"  # begins the columns of ``predictions.parquet`` with the probabilities of the rules

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
    """The share of fakes among training rows with the same key, else among all of them.

    Keys, codes from 0 on, and labels are (n,).
    """
    sizes, fakes = (np.bincount(keys[train], each, int(keys.max()) + 1) for each in (None, y[train]))
    means = np.divide(fakes, sizes, out=np.full(len(sizes), y[train].mean()), where=sizes > 0)
    return np.asarray(means[keys[test]])


FLOORS: dict[str, Rule] = {"prior": prior, "all_fake": all_fake, "group_lookup": group_lookup}


def floor_rules(dataset: Dataset) -> dict[str, Rule]:
    """The rules that a data set allows: ``platform_only`` needs the slice ``platform``."""
    return FLOORS | ({"platform_only": platform_only} if PLATFORM in dataset.slices else {})


def chance_scores(y: Labels, probability: Array, predicted: Labels, groups: Indices) -> Scores:
    """Mean of each metric over all permutations of the labels of one part, which the scores then know nothing of.

    Labels, probabilities, decisions and group codes are (n,). Nothing is drawn: with the numbers of fakes and of
    decisions given, log loss and Brier score are sums over rows, and the metrics of counts are linear in the true
    positives. For average precision see ``chance_average_precision``.
    """
    base, n, called = float(y.mean()), len(y), float(predicted.sum())
    tp, fp = called * base, called * (1 - base)
    fakes, reals = np.ones_like(y), np.zeros_like(y)
    found: dict[str, float] = {
        **metrics_from_counts(tp, fp, n * base - tp, n * (1 - base) - fp, rate=safe_ratio, ratio=safe_ratio),
        "mcc": 0.0,
        "auc": 0.5,
        "average_precision": chance_average_precision(y, probability, groups),
        "log_loss": float(np.mean(base * log_losses(fakes, probability) + (1 - base) * log_losses(reals, probability))),
        "brier": float(np.mean(base * (1 - probability) ** 2 + (1 - base) * probability**2)),
    }
    return {name: found[name] for name in METRICS}


def chance_average_precision(y: Labels, scores: Array, groups: Indices) -> float:
    """Expected average precision of scores that know nothing of the labels, all (n,); more than the share of fakes.

    The sum over rows of P(fake) and of P(fake, and so is another row at or above it), divided by the rank; for rows
    that are their own groups that is the formula of Bestgen (Prague Bull. Math. Linguistics 103, 2015), here with ties.
    Rows of one group have equal labels and alike scores, so pairs within groups and between them have their own shares.
    Exact for groups of equal size.
    """
    n, fakes = len(y), float(y.sum())
    _, codes = dense_codes(groups)
    values, ranks = np.unique(scores, return_inverse=True)
    above = n - np.searchsorted(np.sort(scores), scores, side="left")
    keys = codes * len(values) + ranks
    ordered = np.sort(keys)
    own = np.searchsorted(ordered, (codes + 1) * len(values)) - np.searchsorted(ordered, keys)
    sizes, fakes_of = np.bincount(codes).astype(float), np.bincount(codes, weights=y)
    within = safe_ratio(float(fakes_of @ (fakes_of - 1)), float(sizes @ (sizes - 1)))
    between = safe_ratio(fakes**2 - float(fakes_of @ fakes_of), n**2 - float(sizes @ sizes))
    return float(np.sum((fakes / n + (own - 1) * within + (above - own) * between) / above) / fakes)
