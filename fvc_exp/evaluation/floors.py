"""What a number is worth: the baselines (floors), scores of rules that look at no feature."""

from typing import Any

import numpy as np

from fvc_exp._typing import Array, Indices, Labels
from fvc_exp.data.columns import PLATFORM
from fvc_exp.data.dataset import Dataset
from fvc_exp.data.group_folds import dense_codes
from fvc_exp.evaluation.metrics import METRICS, Scores, divide, log_losses, metrics_from_counts

COLUMN = "floor_"  # begins the columns of ``predictions.parquet`` with the probabilities of the rules


def floor_probabilities(dataset: Dataset, train: Indices, test: Indices) -> dict[str, Array]:
    """Probabilities of fake of the ``test`` rows by each rule that looks at no feature.

    ``prior`` is the share of fakes among the training rows, ``all_fake`` what F1 has to beat. ``group_lookup`` is that
    share among training rows of the same group, else the prior: above it, groups leak. ``platform_only``, the same of a
    platform, is a shortcut, not skill; it needs the slice ``platform``.
    """
    y, keys = dataset.y, {"group_lookup": dataset.groups}
    if PLATFORM in dataset.slices:
        names = [platform or "" for platform in dataset.slices[PLATFORM]]
        keys["platform_only"] = np.unique(names, return_inverse=True)[1]
    looked_up = {name: fake_share_by_key(codes, y, train, test) for name, codes in keys.items()}
    return {"prior": np.full(len(test), y[train].mean()), "all_fake": np.ones(len(test)), **looked_up}


def fake_share_by_key(keys: Indices, y: Labels, train: Indices, test: Indices) -> Array:
    """The share of fakes among training rows with the same key, else among all of them.

    Keys, codes from 0 on, and labels are (n,).
    """
    sizes, fakes = (np.bincount(keys[train], each, int(keys.max()) + 1) for each in (None, y[train]))
    means = np.divide(fakes, sizes, out=np.full(len(sizes), y[train].mean()), where=sizes > 0)
    return np.asarray(means[keys[test]])


def chance_scores(y: Labels, probability: Array, predicted: Labels, groups: Indices) -> Scores:
    """Mean of each metric over all permutations of the labels of one part, which the scores then know nothing of.

    Labels, probabilities, decisions and group codes are (n,). Nothing is drawn: with the numbers of fakes and of
    decisions given, log loss and Brier score are sums over rows, and the metrics of counts are linear in the true
    positives. For average precision see ``chance_average_precision``.
    """
    base, n, called = float(y.mean()), len(y), float(predicted.sum())
    tp, fp = called * base, called * (1 - base)
    fakes, reals = np.ones_like(y), np.zeros_like(y)
    found: dict[str, Any] = {
        **metrics_from_counts(np.array([n * (1 - base) - fp, fp, n * base - tp, tp])),
        "mcc": 0.0,
        "auc": 0.5,
        "average_precision": chance_average_precision(y, probability, groups),
        "log_loss": float(np.mean(base * log_losses(fakes, probability) + (1 - base) * log_losses(reals, probability))),
        "brier": float(np.mean(base * (1 - probability) ** 2 + (1 - base) * probability**2)),
    }
    return {name: float(found[name]) for name in METRICS}


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
    within = divide(fakes_of @ (fakes_of - 1), sizes @ (sizes - 1))
    between = divide(fakes**2 - fakes_of @ fakes_of, n**2 - sizes @ sizes)
    return float(np.sum((fakes / n + (own - 1) * within + (above - own) * between) / above) / fakes)
