"""How much better the best C looks than it is: the best plain cross-validated score less the nested one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fvc_exp.config import Config
from fvc_exp.data import Dataset
from fvc_exp.evaluate import Summary, auc
from fvc_exp.model import FittedModel
from fvc_exp.split import Split
from fvc_exp.training import Fit, candidates, fit_rows, train


@dataclass(frozen=True)
class Nested:
    """A search judged twice on the same outer folds, by mean AUC.

    ``plain`` has the score of each C used everywhere; its best one was chosen by these very scores. In ``auc`` each
    fold's C was chosen without the rows that it is scored on (Varma and Simon 2006). ``optimism`` is the difference.
    ``chosen`` are the folds' choices, ``final`` that of the final model.
    """

    plain: dict[float, float]
    best: float
    chosen: tuple[float, ...]
    final: float
    auc: float
    optimism: float

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``results.json``."""
        return {**asdict(self), "plain": [{"C": c, "auc": auc} for c, auc in self.plain.items()]}


def nested_result(
    config: Config,
    dataset: Dataset,
    split: Split,
    models: Sequence[FittedModel],
    summary: Mapping[str, Summary],
    final: FittedModel,
    fitted_to: Fit = fit_rows,
) -> Nested:
    """Compare the nested run, which these models and this summary are of, with plain cross-validation of each C."""
    plain = {each.C: plain_auc(each, dataset, split, fitted_to) for each in candidates(config)}
    best = max(plain, key=lambda c: plain[c])
    auc = summary["auc"]["mean"]
    return Nested(plain, best, tuple(model.C for model in models), final.C, auc, plain[best] - auc)


def plain_auc(config: Config, dataset: Dataset, split: Split, fitted_to: Fit = fit_rows) -> float:
    """Mean AUC of one configuration over the folds."""
    scores = []
    for fold in split.folds:
        model = train([config], dataset, fold.train, fitted_to)
        scores.append(auc(dataset.y[fold.test], model.probability(dataset.X[fold.test])))
    return float(np.mean(scores))
