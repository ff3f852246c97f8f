"""The one comparison of a model with the best floor: rules that use no feature, scored on the same rows."""

from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from fvc_exp.evaluation.statistics import ALPHA


@dataclass(frozen=True)
class Claim:
    """A score minus that of the best floor, counted so that more than 0 is better for every metric.

    ``low`` and ``high`` are the interval of the difference at the level 1 - 0.05 / ``selected_from``, and ``p_value``
    the two-sided p-value of no difference times ``selected_from`` (Bonferroni): the interval leaves out 0 exactly where
    the p-value is below 0.05. ``selected_from`` is how many configurations the model was chosen from by this score.
    """

    metric: str
    score: float
    floor: str
    floor_score: float
    difference: float
    low: float
    high: float
    p_value: float
    selected_from: int = 1

    @property
    def beats(self) -> bool:
        """Whether the model is shown to be better than the best floor."""
        return self.difference > 0 and self.p_value < ALPHA

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``results.json``."""
        return {**asdict(self), "beats": self.beats}


def claim_against_floor(
    predictions: pl.DataFrame, metric: str = "auc", split: str = "cv", *, selected_from: int = 1
) -> Claim | None:
    """Compare a model with the best floor by the rows of one split of its ``predictions.parquet``.

    Returns None where the groups are too few for an interval.

    Raises:
        ArtifactError: the predictions hold no row of this split, or not those of the floors.
    """
    raise NotImplementedError
