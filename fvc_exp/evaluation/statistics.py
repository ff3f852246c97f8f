"""Tests between configurations that were scored on the same folds. Pure functions of scores."""

import numpy as np

from fvc_exp._typing import Array

ALPHA = 0.05  # the error that a claim may have
_ROUNDING = 1e-12  # a smaller standard error is none


def corrected_t_test(differences: Array, test_train_ratio: float, distinct: int | None = None) -> float:
    """Two-sided p-value of the corrected resampled t-test on the paired differences of all folds and repeats, (J,).

    The variance is (1/J + test rows / training rows) times the sample variance, for folds share their training rows
    (Nadeau and Bengio, Machine Learning 52, 2003); for repeats see Bouckaert and Frank, PAKDD 2004. Where some repeats
    are equal, ``distinct`` is how many of the folds differ, and takes the place of J. Differences that are all zero
    have p = 1, those that are all equal otherwise p = 0.
    """
    from scipy.special import stdtr  # planning a sweep has no use for scipy

    n = distinct or len(differences)
    mean, variance = float(differences.mean()), float(differences.var()) * n / (n - 1)
    if variance == 0.0:
        return 1.0 if mean == 0.0 else 0.0
    statistic = mean / np.sqrt((1 / n + test_train_ratio) * variance)
    return float(2 * stdtr(n - 1, -abs(statistic)))


def holm(p_values: Array) -> Array:
    """Adjusted p-values of a family of tests, (n,), in their order (Holm, Scand. J. Statist. 6, 1979)."""
    order = np.argsort(p_values, kind="stable")
    steps = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def standard_error(scores: Array, folds: int) -> float:
    """Standard error of the mean of all folds' scores; ``folds`` of them are one repeat.

    As in the one-standard-error rule of Breiman et al. (Classification and Regression Trees, 1984). Repeats share
    their rows, so they do not make it smaller.
    """
    return float(scores.std(ddof=1) / np.sqrt(folds))


def difference_test(
    difference: float, standard_error: float, degrees_of_freedom: float, family: int = 1
) -> tuple[float, float, float]:
    """Interval and one-sided p-value of a difference by Student's t, for one of ``family`` differences (Bonferroni).

    The p-value is that of "no more than 0". The interval, of the level 1 - 2 ``ALPHA`` / ``family``, lies above 0
    exactly where it is below ``ALPHA``. If nothing varies, nothing is shown: p = 1.
    """
    from scipy.special import stdtr, stdtrit  # planning a sweep has no use for scipy

    if standard_error < _ROUNDING:
        return difference, difference, 1.0
    freedom = max(degrees_of_freedom, 1.0)
    reach = -float(stdtrit(freedom, ALPHA / family)) * standard_error
    p_value = min(1.0, family * float(stdtr(freedom, -difference / standard_error)))
    return difference - reach, difference + reach, p_value
