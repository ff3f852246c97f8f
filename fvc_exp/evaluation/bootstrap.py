"""How sure a score is: intervals by resampling whole groups of its out-of-fold or held-out rows.

The models are not fitted again; ``fold_dependence`` adds the variance that the folds share.

Coverage of the 95 % interval of a cross-validated AUC in 500 simulated data sets each
(``tests/evaluation/test_bootstrap.py``), in brackets without the dependence: 100 groups of 5 copies and 5 features
without signal 94.2 % (83.4), with signal 96.4 % (92.6), with a strong one 97.0 % (95.0); 26 features and a weak signal
97.8 % (89.8); 300 groups of 3 copies and 26 features without signal 95.0 % (85.6), 5 features with signal 95.8 %
(92.0).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl

from fvc_exp._typing import Array
from fvc_exp.evaluation.metrics import METRICS, direction
from fvc_exp.evaluation.resampled import Draws, GroupCounts, Scored, cluster_weights, replicate_error

REPLICATES = 2000
LEVEL = 0.95
_CELLS = 100_000  # groups times replicates
_BOUNDS = {"log_loss": (0.0, np.inf), "mcc": (-1.0, 1.0)}  # all other metrics lie from 0 to 1


@dataclass(frozen=True)
class Interval:
    """A score, its confidence interval of nominal coverage ``level``, and its standard error.

    ``low`` and ``high`` are None where there are too few groups, as ``reason`` says.
    """

    estimate: float
    low: float | None
    high: float | None
    standard_error: float
    level: float
    reason: str | None = None


def fold_dependence(log_odds: Sequence[Array]) -> float:
    """How much more a cross-validated score varies than its test rows show, as a share of that variance; 0 to k/(k-1).

    ``log_odds`` holds those of the same rows by each of the k models of one repeat. A pair of groups counts twice in
    cross-validation, once each way round, as far as the models follow their training groups: not at all with a strong
    signal, fully with none (the term is that of a degenerate U-statistic). The share is that of the models' variance,
    by the jackknife over folds, in the variance of the log odds. Its bound gives the variance of Nadeau and Bengio.
    """
    k = len(log_odds)
    bound = no_signal_dependence(k)
    spread = float(np.mean([np.var(values) for values in log_odds]))
    if k == 1 or spread == 0.0:
        return bound
    between = float(np.mean([np.var(one - other) for one, other in combinations(log_odds, 2)]))
    return min((k - 1) / 2 * between / spread, bound)


def no_signal_dependence(folds: int) -> float:
    """``fold_dependence`` of models that have nothing to follow but their training rows."""
    return folds / (folds - 1) if folds > 1 else 0.0


def intervals(
    predictions: pl.DataFrame,
    split: str,
    dependence: float,
    *,
    metrics: Sequence[str] = METRICS,
    replicates: int = REPLICATES,
) -> dict[str, Interval]:
    """Interval of each metric of ``predictions.parquet``: of the mean over folds (split cv), or of the test rows.

    ``dependence`` is that of the folds (see ``fold_dependence``); for the test rows, which no model has seen, it is 0.
    Equal rows give the same replicates, whatever the model.

    Raises:
        ArtifactError: the predictions hold no row of this split.
    """
    scored = Scored.from_predictions(predictions, split)
    found, counts = draws_of(scored, replicates).scores(scored, metrics), scored.group_counts
    errors = {name: replicate_error(scores) for name, scores in found.items()}
    return {name: interval_of(name, float(found[name][0]), errors[name], dependence, counts) for name in metrics}


def few_replicates(groups: int) -> int:
    """Of how many replicates a standard error is that must not take long.

    It has an error of 2 % up to 50 groups, 4 % at 300, 10 % from 2,000 on.
    """
    return int(np.clip(_CELLS // groups, 50, REPLICATES))


def draws_of(scored: Scored, replicates: int | None = None) -> Draws:
    """Resampled groups of these rows, equal ones for equal rows; without a number, ``few_replicates``."""
    groups = len(scored.strata)
    return Draws(scored, cluster_weights(scored.strata, replicates or few_replicates(groups), np.random.default_rng(0)))


def interval_of(name: str, estimate: float, error: float, dependence: float, counts: GroupCounts) -> Interval:
    """The interval of one metric from its ``replicate_error`` under ``cluster_weights``.

    The standard error is widened for the ``dependence`` of the folds. Percentiles of the draws
    would cover too seldom with few groups (``docs/statistics.md`` has the coverage), so the interval is symmetric after
    a transformation: see ``_share_limits`` and ``_loss_limits``. It always holds the estimate.
    """
    error *= float(np.sqrt(1.0 + dependence))
    if counts.reason:
        return Interval(estimate, None, None, error, LEVEL, counts.reason)
    lowest, highest = _BOUNDS.get(name, (0.0, 1.0))
    if direction(name) < 0:
        low, high = _loss_limits(estimate, error, counts)
    else:
        width = highest - lowest
        fewest = min(counts.effective - 2, counts.reals - 1, counts.fakes - 1)
        freedom = fewest if name == "average_precision" else np.inf
        limits = _share_limits((estimate - lowest) / width, error / width, counts.effective, freedom)
        low, high = (lowest + width * limit for limit in limits)
    return Interval(estimate, max(min(low, estimate), lowest), min(max(high, estimate), highest), error, LEVEL)


def _share_limits(share: float, error: float, groups: float, freedom: float) -> tuple[float, float]:
    """Interval of a score from 0 to 1, symmetric in its log odds.

    One group is added whose score is 0 or 1 with equal probability, as in Agresti and Coull (Am. Stat. 52, 1998) for
    shares: else a score of 1 would have no error. The quantile is the normal one but for average precision, whose
    standard error is less sure (Student's t).
    """
    total = groups + 1
    centre = (groups * share + 0.5) / total
    variance = (groups**2 * error**2 + 0.25 + groups / total * (share - 0.5) ** 2) / total**2
    reach = _quantile(freedom) * np.sqrt(variance) / (centre * (1 - centre))
    low, high = (centre / (1 - centre) * np.exp(step) for step in (-reach, reach))
    return float(low / (1 + low)), float(high / (1 + high))


def _loss_limits(loss: float, error: float, counts: GroupCounts) -> tuple[float, float]:
    """Interval of a mean loss, which has a long tail: symmetric in loss^(-1/2), by Student's t.

    The degrees of freedom are those of the class with fewer groups, since its errors may be nearly all of the loss; so
    is the correction of the variance where groups have unequal sizes, k / (k - 1) in place of m / (m - 1).
    """
    if loss == 0.0:
        return 0.0, 0.0
    fewest, effective = min(counts.reals, counts.fakes), max(counts.effective_class, 2.0)
    error *= np.sqrt((1 - 1 / fewest) / (1 - 1 / effective))
    step = _quantile(effective - 1) * error / (2 * loss)
    return float(loss * (1 + step) ** -2), float(loss * max(1 - step, 0.1) ** -2)


def _quantile(freedom: float) -> float:
    from scipy.special import stdtrit  # planning a sweep has no use for scipy

    return float(stdtrit(max(freedom, 1.0), 0.5 + LEVEL / 2))
