"""The price of a leak: what cross-validation would gain if copies of one video could be in training and test."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from scipy.special import stdtrit
from sklearn.model_selection import StratifiedKFold

from fvc_exp._typing import Array
from fvc_exp.config.schema import Config, Scheme
from fvc_exp.data.columns import CLASSES, KEY
from fvc_exp.data.folds import CV, Fold, Split, sample_groups
from fvc_exp.data.group_folds import count_codes
from fvc_exp.evaluation import bootstrap, resampled
from fvc_exp.training.split_dataset import SplitDataset

MOST_ROWS = 20_000
REPLICATES = 200  # enough for a standard error that is within 5 %
_SEED = 0  # of the sample and the replicates: equal runs get equal prices


@dataclass(frozen=True)
class Price:
    """Mean AUC over folds of single rows and over folds of whole groups, of the same configuration and rows.

    ``low`` and ``high`` bound the 95 % interval of their difference, by resampling groups. ``rows`` of the
    ``of_rows`` development rows were used.
    """

    rows: int
    of_rows: int
    auc_rows: float
    auc_groups: float
    difference: float
    low: float
    high: float

    @property
    def sentence(self) -> str:
        """What the two scores mean; recognition is claimed only where the whole interval is above 0."""
        claim = f"{self.difference:.3f} of it is recognition" if self.low > 0 else "no recognition shown"
        part = "" if self.rows == self.of_rows else f", on {self.rows} of {self.of_rows} videos"
        return (
            f"AUC with rows dealt at random {self.auc_rows:.3f}, groups kept together {self.auc_groups:.3f}: {claim} "
            f"(95 % interval of the difference {self.low:z.3f} to {self.high:z.3f}{part})"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``results.json``."""
        return {**asdict(self), "sentence": self.sentence}


def row_folds(config: Config, data: SplitDataset) -> SplitDataset | None:
    """The development rows in stratified folds that ignore groups, also inside the training parts.

    Of more than ``MOST_ROWS`` rows, a random sample of whole groups. None where ``audit.price`` is off, folds do not
    keep groups together, no group has two rows, or the sample has too few rows of a class.
    """
    rows, cv = data.split.development, config.cv
    groups = data.dataset.groups[rows]
    grouped = data.dataset.group_column is not None and cv.scheme is Scheme.grouped
    if not (data.audit.price and grouped and count_codes(groups) < len(rows)):
        return None
    rows = rows[sample_groups(groups, MOST_ROWS, _SEED)]
    y = data.dataset.y[rows]
    enough = max(cv.n_splits, 2 * cv.inner_splits)  # all rows are enough, since their groups were
    if len(rows) < len(groups) and np.bincount(y, minlength=len(CLASSES)).min() < enough:
        return None
    parts = StratifiedKFold(cv.n_splits, shuffle=True, random_state=config.seed).split(rows, y)
    folds = tuple(Fold(0, index, rows[train], rows[test]) for index, (train, test) in enumerate(parts))
    single = replace(data.dataset, groups=np.arange(len(data.dataset.y)))
    return SplitDataset(single, Split(rows, rows[:0], folds), data.audit, data.seed)


def price_of(data: SplitDataset, probability: Array, dealt: SplitDataset, dealt_probability: Array) -> Price:
    """Compare out-of-fold probabilities of one configuration: of the first repeat of ``data``, and of ``row_folds``.

    Both are (rows,), those of all folds in turn. Each replicate weighs the groups equally in both, so that the interval
    is one of paired differences. It does not see that other folds would give other models; the factor sqrt(k / (k - 1))
    for k folds stands for that, and gives the coverage in ``docs/statistics.md``.
    """
    parts = dealt.scored_rows.with_columns(pl.Series("probability", dealt_probability))
    whole = data.scored_rows.filter(split=CV).with_columns(pl.Series("probability", probability))
    whole = whole.filter(repeat=data.split.folds[0].repeat).join(parts, on=KEY, how="semi", maintain_order="left")
    scored = [resampled.Scored.from_predictions(rows.with_columns(predicted=pl.lit(0)), CV) for rows in (parts, whole)]
    folds, strata = scored[0].folds, scored[0].strata
    weights = resampled.cluster_weights(strata, REPLICATES, np.random.default_rng(_SEED))
    by_rows, by_groups = (resampled.Draws(each, weights).scores(each, ("auc",))["auc"] for each in scored)
    difference = by_rows - by_groups
    error = resampled.replicate_error(difference) * np.sqrt(folds / (folds - 1))
    reach = error * stdtrit(max(len(strata) - 2, 1), (1 + bootstrap.LEVEL) / 2)
    scores = (by_rows[0], by_groups[0], difference[0], difference[0] - reach, difference[0] + reach)
    return Price(len(parts), len(data.split.development), *map(float, scores))
