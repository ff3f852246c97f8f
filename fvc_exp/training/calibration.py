"""Better probabilities and thresholds, learned from out-of-fold scores of training rows alone.

scikit-learn is imported where it is used: a saved model needs only ``IsotonicMap``.
"""

from dataclasses import dataclass

import numpy as np

from fvc_exp._typing import Array, Labels
from fvc_exp.config.validate import THRESHOLD_RULES
from fvc_exp.evaluation.metrics import THRESHOLD, logistic_line


@dataclass(frozen=True)
class IsotonicMap:
    """Knots of a non-decreasing map from probability to probability; linear between them, constant beyond."""

    x: tuple[float, ...]
    y: tuple[float, ...]

    def __call__(self, probability: Array) -> Array:
        """The calibrated probabilities, shape (n,)."""
        return np.asarray(np.interp(probability, self.x, self.y))


def fit_platt(y: Labels, log_odds: Array) -> tuple[float, float]:
    """Slope and intercept of Platt scaling (1999) with his smoothed targets.

    New log odds = slope x log odds + intercept. A negative slope, which would invert the ranking, becomes 0: all rows
    then have the same probability. Labels are (n,), log odds of fake (n,).
    """
    fakes, reals = int(np.sum(y == 1)), int(np.sum(y == 0))
    target = np.where(y == 1, (fakes + 1) / (fakes + 2), 1 / (reals + 2))
    slope, intercept = logistic_line(target, log_odds) or (0.0, 0.0)
    if slope <= 0:
        share = float(target.mean())
        return 0.0, float(np.log(share / (1 - share)))
    return slope, intercept


def fit_isotonic(y: Labels, probability: Array) -> IsotonicMap:
    """Isotonic regression of the labels (n,) on the probabilities of fake (n,) (Zadrozny and Elkan 2002)."""
    from sklearn.isotonic import IsotonicRegression

    found = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(probability, y)
    return IsotonicMap(tuple(found.X_thresholds_.tolist()), tuple(found.y_thresholds_.tolist()))


def best_threshold(rule: str, y: Labels, probability: Array) -> float:
    """The threshold: ``rule`` if it is a number, else that with the highest F1 (``f1``) or Youden's J (``youden``).

    That lies midway between two neighbouring probabilities (below all of them: half the lowest); of equally good ones
    the one nearest to 0.5 is taken. Youden's J is recall of fakes + recall of reals - 1.
    """
    if rule not in THRESHOLD_RULES:
        return float(rule)
    values, place = np.unique(probability, return_inverse=True)
    fakes = np.bincount(place, weights=y)
    reals = np.bincount(place) - fakes
    # Counts above each candidate: below all values, then between each two neighbours.
    caught = fakes.sum() - np.r_[0.0, np.cumsum(fakes)[:-1]]
    false_alarms = reals.sum() - np.r_[0.0, np.cumsum(reals)[:-1]]
    candidates = np.r_[values[0] / 2, (values[1:] + values[:-1]) / 2]
    if rule == "f1":
        gain = 2 * caught / (caught + false_alarms + fakes.sum())
    else:
        gain = caught / fakes.sum() - false_alarms / reals.sum()
    gain = np.where(candidates > 0, gain, -1.0)  # no threshold is below a probability of 0
    best = np.flatnonzero(gain >= gain.max() - 1e-12)
    return float(candidates[best[np.argmin(np.abs(candidates[best] - THRESHOLD))]])
