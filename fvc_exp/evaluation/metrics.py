"""Labels and probabilities -> metrics and reliability curve. Pure functions; the positive class is fake (1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from fvc_exp._typing import Array, Indices, Labels, Mask
from fvc_exp.config import schema
from fvc_exp.data.group_folds import dense_codes

Scores = dict[str, float]

THRESHOLD = 0.5
BINS = 10  # of a reliability curve
_CELLS = 300_000  # rows times drawn label sets of a calibrated model
# Of a regression on log odds; the last is their spread, to their size, that may be rounding.
_MOST_STEPS, _CLOSE, _SINGULAR, _CONSTANT = 100, 1e-10, 1e-14, 1e-9

METRICS = tuple(schema.Metric.__members__)
TITLES = {
    "auc": "AUC", "average_precision": "average precision", "f1": "F1 (fake)", "f1_real": "F1 (real)",
    "precision": "precision (fake)", "recall": "recall (fake)", "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy", "mcc": "MCC", "log_loss": "log loss", "brier": "Brier score",
}  # fmt: skip


def direction(metric: str) -> float:
    """1 where a higher score is better, -1 where a lower one is."""
    return -1.0 if metric in schema.LOWER_IS_BETTER else 1.0


class Summary(TypedDict):
    """A metric over folds; a single fold has no standard deviation."""

    mean: float
    std: float | None


def is_fake(probability: Array, threshold: float = THRESHOLD) -> Mask:
    """The decision: fake where the probability is above the threshold."""
    return probability > threshold


def confusion(y: Labels, probability: Array, threshold: float = THRESHOLD) -> dict[str, int]:
    """Counts of true/false negatives/positives; fake is positive."""
    cells = np.bincount(2 * y.astype(np.int64) + is_fake(probability, threshold), minlength=4)
    return dict(zip(("tn", "fp", "fn", "tp"), cells.tolist(), strict=True))


def score(y: Labels, probability: Array, threshold: float = THRESHOLD) -> Scores:
    """All of ``METRICS`` for labels (n,) of both classes and probabilities of fake (n,).

    ``precision``, ``recall`` and ``f1`` are of the class fake, the ``_real`` ones of the class real. A ratio whose
    denominator is zero (nothing was predicted as that class) is 0, as in scikit-learn. Log loss in nats, Brier score
    as the mean squared error of the probability.
    """
    counts = np.array(list(confusion(y, probability, threshold).values()), np.float64)
    found: dict[str, Any] = {
        **metrics_from_counts(counts),
        "auc": auc(y, probability),
        "average_precision": _average_precision(*count_positives(y, probability)),
        "log_loss": float(np.mean(log_losses(y, probability))),
        "brier": float(np.mean((probability - y) ** 2)),
    }
    return {name: float(found[name]) for name in METRICS}


def metrics_from_counts(counts: Array) -> dict[str, Array]:
    """The metrics of true/false negatives/positives (4, ...) in the order of ``confusion``, or of their weights.

    NaN where a rate lacks all rows of its class; 0 where nothing was predicted as a class, as in scikit-learn.
    """
    tn, fp, fn, tp = counts
    recall, recall_real = divide(tp, tp + fn, np.nan), divide(tn, tn + fp, np.nan)
    return {
        "accuracy": divide(tp + tn, counts.sum(axis=0), np.nan),
        "balanced_accuracy": (recall + recall_real) / 2,
        "precision": divide(tp, tp + fp),
        "recall": recall,
        "f1": divide(2 * tp, 2 * tp + fp + fn),
        "precision_real": divide(tn, tn + fn),
        "recall_real": recall_real,
        "f1_real": divide(2 * tn, 2 * tn + fn + fp),
        "mcc": divide(tp * tn - fp * fn, np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))),
    }


def divide(numerator: ArrayLike, denominator: Array, empty: float = 0.0) -> Array:
    """The quotients, ``empty`` where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.full_like(denominator, empty), where=denominator != 0)


def auc(y: Labels, scores: Array) -> float:
    """Area under the ROC curve of labels (n,) of both classes: the share of pairs in which the fake scores higher."""
    is_fake_row = y == 1
    fakes, reals = np.sort(scores[is_fake_row]), np.sort(scores[~is_fake_row])
    below, not_above = (np.searchsorted(reals, fakes, side).sum() for side in ("left", "right"))
    return float(below + not_above) / (2 * len(fakes) * len(reals))


def log_losses(y: Labels, probability: Array) -> Array:
    """Log loss of each row, in nats."""
    from scipy.special import xlogy  # here, since a saved model is applied without scipy

    smallest = np.finfo(np.float64).eps  # where scikit-learn clips
    return np.asarray(-xlogy(1.0, np.clip(np.where(y == 1, probability, 1 - probability), smallest, 1 - smallest)))


def summarise(records: Sequence[Mapping[str, float]]) -> dict[str, Summary]:
    """Mean and sample standard deviation (n - 1) of each metric over folds."""
    table = {name: np.array([record[name] for record in records]) for name in METRICS}
    return {
        name: {"mean": float(values.mean()), "std": float(values.std(ddof=1)) if len(values) > 1 else None}
        for name, values in table.items()
    }


@dataclass(frozen=True)
class Bin:
    """Rows of neighbouring probabilities: their number, mean probability of fake and share of fakes."""

    count: int
    probability: float
    fakes: float


@dataclass(frozen=True)
class Reliability:
    """Calibration of probabilities, from bins of about equal numbers of rows.

    ``ece`` is the expected calibration error, the mean distance of a bin's probability from its share of fakes (Naeini
    et al. 2015), and ``ece_floor`` its mean for a perfectly calibrated model with these probabilities.
    ``brier = reliability - resolution + uncertainty + within_bins`` (Murphy 1973; the last term, from Stephenson et al.
    2008, is what rows of one bin differ in). Small reliability and large resolution are good. ``slope`` and
    ``intercept`` are those of ``recalibration``: 1 and 0 for calibrated probabilities, a slope below 1 for too extreme
    ones.
    """

    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within_bins: float
    ece: float
    ece_floor: float
    slope: float | None
    intercept: float | None
    curve: tuple[Bin, ...]


def calibration_lines(method: str, found: Mapping[str, Any]) -> tuple[str, str]:
    """Plain values of a ``Reliability`` as lines, of probabilities that were corrected by this method."""
    slope, intercept = ("-" if found[name] is None else f"{found[name]:.3f}" for name in ("slope", "intercept"))
    return (
        f"calibration ({method}): ECE {found['ece']:.3f} ({found['ece_floor']:.3f} if it were calibrated perfectly); "
        f"slope {slope}, intercept {intercept} (ideal: 1, 0)",
        f"  Brier {found['brier']:.3f} = reliability {found['reliability']:.3f} - resolution {found['resolution']:.3f} "
        f"+ uncertainty {found['uncertainty']:.3f} + within bins {found['within_bins']:.3f}",
    )


def reliability(y: Labels, probability: Array, groups: Indices | None = None) -> Reliability:
    """Compare probabilities of fake with labels, by groups of near-copies, all (n,).

    Equal probabilities share a bin, so there may be fewer. Without groups, every row is one.
    """
    edges = np.unique(np.quantile(probability, np.linspace(0, 1, BINS + 1)[1:-1], method="lower"))
    _, number = dense_codes(np.searchsorted(edges, probability, side="left"))
    counts = np.bincount(number)
    predicted, observed = (np.bincount(number, weights=each) / counts for each in (probability, y))
    share, base = counts / len(y), float(np.mean(y))
    brier = float(np.mean((probability - y) ** 2))
    distance = float(np.sum(share * (predicted - observed) ** 2))
    resolution = float(np.sum(share * (observed - base) ** 2))
    uncertainty = base * (1 - base)
    slope, intercept = recalibration(y, probability) or (None, None)
    return Reliability(
        brier=brier,
        reliability=distance,
        resolution=resolution,
        uncertainty=uncertainty,
        within_bins=brier - (distance - resolution + uncertainty),
        ece=float(np.sum(share * np.abs(predicted - observed))),
        ece_floor=_calibrated_ece(y, probability, np.arange(len(y)) if groups is None else groups, number),
        slope=slope,
        intercept=intercept,
        curve=tuple(map(Bin, counts.tolist(), predicted.tolist(), observed.tolist())),
    )


def _calibrated_ece(y: Labels, probability: Array, groups: Indices, bins: Indices) -> float:
    """Mean ``ece`` of labels drawn with these probabilities, all (n,); ``bins`` number the rows' bins.

    Rows of a group whose labels are equal are drawn together. The standard error of the mean is about 2 % of it with
    300 draws, as of up to 1,000 rows, 4 % at 5,000, and 7 % from 15,000 rows on.
    """
    _, codes = dense_codes(groups)
    sizes, fakes = np.bincount(codes), np.bincount(codes, weights=y)
    apart = (fakes % sizes != 0)[codes]
    _, units = dense_codes(np.where(apart, len(sizes) + np.arange(len(y)), codes))
    order = np.argsort(bins, kind="stable")
    units, probability = units[order], probability[order]
    starts = np.flatnonzero(np.r_[True, np.diff(bins[order]) > 0])
    expected = np.add.reduceat(probability, starts)
    random, errors = np.random.default_rng(0), []
    for _ in range(int(np.clip(_CELLS // len(y), 20, 300))):
        drawn = np.add.reduceat(random.random(units.max() + 1)[units] < probability, starts, dtype=np.int64)
        errors.append(np.abs(drawn - expected).sum() / len(y))
    return float(np.mean(errors))


def recalibration(y: Labels, probability: Array) -> tuple[float, float] | None:
    """Slope and intercept of the logistic regression of labels (n,) on the log odds of the probabilities (Cox 1958).

    None where it has no finite solution: no log odds of one class lies among those of the other.
    """
    smallest = np.finfo(np.float64).eps
    clipped = np.clip(probability, smallest, 1 - smallest)
    log_odds = np.log(clipped) - np.log1p(-clipped)
    fakes, reals = log_odds[y == 1], log_odds[y == 0]
    if not len(fakes) or not len(reals) or fakes.min() >= reals.max() or reals.min() >= fakes.max():
        return None
    return logistic_line(y.astype(np.float64), log_odds)


def logistic_line(target: Array, x: Array) -> tuple[float, float] | None:
    """Slope and intercept of the logistic regression, without a penalty, of targets from 0 to 1 on x, both (n,).

    By Newton's method with halved steps. None where x is constant up to rounding, or the solution is hardly finite.
    """
    from scipy.special import expit  # here, since a saved model is applied without scipy

    def loss(weights: Array) -> float:
        z = weights @ columns
        return float(np.logaddexp(0.0, z).sum() - target @ z)

    spread = float(x.std())
    if spread <= _CONSTANT * float(np.abs(x).max()):
        return None
    columns, weights = np.stack([(x - x.mean()) / spread, np.ones(len(x))]), np.zeros(2)
    for _ in range(_MOST_STEPS):
        probability = expit(weights @ columns)
        slope = columns @ (probability - target)
        curvature = (columns * (probability * (1 - probability))) @ columns.T
        if np.linalg.det(curvature) <= _SINGULAR * curvature[0, 0] * curvature[1, 1]:
            return None
        step = np.linalg.solve(curvature, slope)
        if slope @ step < _CLOSE:  # the next would be as small as rounding
            slope, intercept = (weights - step).tolist()
            return slope / spread, intercept - slope * float(x.mean()) / spread
        while loss(weights - step) > loss(weights) - 0.1 * float(slope @ step):
            step /= 2
        weights -= step
    return None


def count_positives(y: Labels, scores: Array) -> tuple[Array, Array]:
    """True and false positives at each distinct score, from the highest down.

    Without scikit-learn's checks of labels and scores, which take most of the time on a few hundred rows.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.r_[np.flatnonzero(np.diff(scores[order])), len(y) - 1]
    tp = np.cumsum(y[order], dtype=np.float64)[ends]
    return tp, 1.0 + ends - tp


def _average_precision(tp: Array, fp: Array) -> float:
    """Mean precision over the steps of recall."""
    precision = (tp / (tp + fp))[::-1]
    return max(0.0, float(-np.sum(np.diff(np.r_[(tp / tp[-1])[::-1], 0.0]) * precision)))
