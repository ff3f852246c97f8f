"""The documented grid search: 28 configurations on the same folds, the best refitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from fvc_exp._typing import Progress
from fvc_exp.config.compose import compose_configs
from fvc_exp.config.schema import Config, Penalty
from fvc_exp.data.dataset import Dataset
from fvc_exp.evaluation.metrics import Summary
from fvc_exp.training.experiment import RunResult, cross_validate, run
from fvc_exp.training.split_dataset import make_basis

C_VALUES = (0.01, 0.1, 1.0, 10.0)


L1_RATIOS = (0.1, 0.5, 0.9)


SELECTION_METRIC = "auc"


@dataclass(frozen=True)
class ScoredConfig:
    """One configuration of the grid and how it did in cross-validation."""

    config: Config
    summary: dict[str, Summary]
    flags: tuple[str, ...]


PAIRS = (("l1", "liblinear"), ("l1", "saga"), ("l2", "liblinear"), ("l2", "saga"), ("elasticnet", "saga"))


def documented_grid(shared: Sequence[str]) -> list[Config]:
    """The 28 distinct legal configurations: l1 and l2 by two solvers, the elastic net by saga, on ``shared`` overrides.

    Raises:
        ConfigError: an override is not allowed.
    """
    bases = compose_configs([[*shared, f"penalty={penalty}", f"solver={solver}"] for penalty, solver in PAIRS])
    grid = []
    for c, base in product(C_VALUES, bases):
        ratios = L1_RATIOS if base.penalty.name is Penalty.elasticnet else (base.penalty.l1_ratio,)
        grid += [replace(base, C=c, penalty=replace(base.penalty, l1_ratio=ratio)) for ratio in ratios]
    return grid


def search(
    configs: Sequence[Config], dataset: Dataset, on_progress: Progress | None = None
) -> tuple[list[ScoredConfig], RunResult]:
    """Cross-validate every configuration on the folds of the first; run the one with the best mean AUC.

    Equal scores go to the earlier configuration. The winner's cross-validated score is optimistic, since it was chosen
    by it; its held-out test score is not.

    Raises:
        DataError: the data cannot be split as configured.
    """
    basis = make_basis(configs[0], dataset)
    scored = []
    for done, config in enumerate(configs):
        found = cross_validate(config, dataset, basis.split)
        scored.append(ScoredConfig(config, found.summary, found.flags))
        if on_progress:
            on_progress(done + 1, len(configs))
    best = max(scored, key=lambda each: each.summary[SELECTION_METRIC]["mean"])
    return scored, run(best.config, basis)
