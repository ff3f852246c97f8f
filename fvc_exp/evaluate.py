"""Labels and probabilities -> metrics. Pure functions; the positive class is fake (1)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

Scores = dict[str, float]
THRESHOLD = 0.5
METRICS = (
    *("accuracy", "balanced_accuracy", "precision", "recall", "f1"),
    *("precision_real", "recall_real", "f1_real"),
    *("auc", "average_precision", "log_loss", "brier", "mcc"),
)


class Summary(TypedDict):
    """A metric over folds; a single fold has no standard deviation."""

    mean: float
    std: float | None


def is_fake(probability: NDArray[np.float64], threshold: float = THRESHOLD) -> NDArray[np.bool_]:
    """The decision: fake where the probability is above the threshold."""
    return probability > threshold


def confusion(y: NDArray[np.int64], probability: NDArray[np.float64], threshold: float = THRESHOLD) -> dict[str, int]:
    """Counts of true/false negatives/positives; fake is positive."""
    predicted = is_fake(probability, threshold)
    actual = y.astype(bool)
    return {
        "tn": int(np.sum(~actual & ~predicted)),
        "fp": int(np.sum(~actual & predicted)),
        "fn": int(np.sum(actual & ~predicted)),
        "tp": int(np.sum(actual & predicted)),
    }


def score(y: NDArray[np.int64], probability: NDArray[np.float64], threshold: float = THRESHOLD) -> Scores:
    """All of ``METRICS`` for labels (n,) of both classes and probabilities of fake (n,).

    ``precision``, ``recall`` and ``f1`` are of the class fake, the ``_real`` ones of the class real. A ratio whose
    denominator is zero (nothing was predicted as that class) is 0, as in scikit-learn. Log loss in nats, Brier score
    as the mean squared error of the probability.
    """
    count = confusion(y, probability, threshold)
    auc, average_precision = ranking(y, probability)
    tn, fp, fn, tp = count["tn"], count["fp"], count["fn"], count["tp"]
    recall, recall_real = _ratio(tp, tp + fn), _ratio(tn, tn + fp)
    product = math.sqrt(float(tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return {
        "accuracy": _ratio(tp + tn, len(y)),
        "balanced_accuracy": (recall + recall_real) / 2,
        "precision": _ratio(tp, tp + fp),
        "recall": recall,
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
        "precision_real": _ratio(tn, tn + fn),
        "recall_real": recall_real,
        "f1_real": _ratio(2 * tn, 2 * tn + fn + fp),
        "auc": auc,
        "average_precision": average_precision,
        "log_loss": log_loss(y, probability),
        "brier": float(np.mean((probability - y) ** 2)),
        "mcc": _ratio(float(tp) * tn - float(fp) * fn, product),
    }


def ranking(y: NDArray[np.int64], values: NDArray[np.float64]) -> tuple[float, float]:
    """Area under the ROC curve, and average precision, of labels (n,) of both classes and any scores of fake (n,).

    The area counts (fake, real) pairs in the right order, ties half; average precision is the sum of precision x gain
    in recall over the distinct scores, as in scikit-learn.
    """
    order = np.argsort(-values, kind="stable")
    ends = np.r_[np.flatnonzero(np.diff(values[order])), len(y) - 1]  # of rows with equal scores
    caught = np.cumsum(y[order])[ends]
    gained = np.diff(caught, prepend=0)
    false_alarms = ends + 1 - caught
    fakes, reals = int(caught[-1]), int(false_alarms[-1])
    beaten = reals - false_alarms + np.diff(false_alarms, prepend=0) / 2
    return float(np.sum(gained * beaten) / (fakes * reals)), float(np.sum(gained * caught / (ends + 1)) / fakes)


def log_loss(y: NDArray[np.int64], probability: NDArray[np.float64]) -> float:
    """Mean of -log of the probability that the true class was given, in nats, clipped where scikit-learn clips."""
    smallest = np.finfo(np.float64).eps
    of_truth = np.clip(np.where(y == 1, probability, 1 - probability), smallest, 1 - smallest)
    return float(-np.mean(np.log(of_truth)))


def summarise(records: Sequence[Mapping[str, float]]) -> dict[str, Summary]:
    """Mean and sample standard deviation (n - 1) of each metric over folds."""
    table = {name: np.array([record[name] for record in records]) for name in METRICS}
    return {
        name: {"mean": float(values.mean()), "std": float(values.std(ddof=1)) if len(values) > 1 else None}
        for name, values in table.items()
    }


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else 0.0
