"""The documented grid search: 28 configurations on the same folds, the best refitted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import yaml

from fvc_exp._typing import Progress, no_progress
from fvc_exp.config import hydra_app, schema, validate
from fvc_exp.evaluation.metrics import Summary
from fvc_exp.training import experiment, notes, split_dataset


@dataclass(frozen=True)
class ScoredConfig:
    """One configuration of the grid and how it did in cross-validation."""

    config: schema.Config
    summary: dict[str, Summary]
    flags: tuple[str, ...]


def documented_grid(overrides: Sequence[str]) -> list[schema.Config]:
    """The 28 distinct legal configurations of ``conf/experiment/grid_5alpha.yaml``, all with these overrides.

    Raises:
        ConfigError: an override is not allowed.
    """
    grid_file = hydra_app.conf_folder() / "experiment" / "grid_5alpha.yaml"
    params = yaml.safe_load(grid_file.read_text())["hydra"]["sweeper"]["params"]
    axes = {key: str(values).split(",") for key, values in params.items()}
    pairs = [
        [f"penalty={penalty}", f"solver={solver}"]
        for penalty, solver in product(axes["penalty"], axes["solver"])
        if solver in validate.LEGAL_SOLVERS[schema.Penalty[penalty]]
    ]
    grid = []
    for c, config in product(axes["C"], hydra_app.compose_configs([[*overrides, *pair] for pair in pairs])):
        is_mixed = config.penalty.name is schema.Penalty.elasticnet
        ratios = map(float, axes["penalty.l1_ratio"]) if is_mixed else [config.penalty.l1_ratio]
        grid += [replace(config, C=float(c), penalty=replace(config.penalty, l1_ratio=ratio)) for ratio in ratios]
    return grid


def search(
    configs: Sequence[schema.Config], data: split_dataset.SplitDataset, on_progress: Progress = no_progress
) -> tuple[list[ScoredConfig], experiment.RunResult]:
    """Cross-validate every configuration on the folds of ``data``; run the one with the best mean AUC.

    Equal scores go to the earlier configuration. The winner's cross-validated score is optimistic, since it was chosen
    by it; its held-out test score is not.
    """
    scored = []
    for done, config in enumerate(configs, start=1):
        found = experiment.cross_validate(config, data)
        scored.append(ScoredConfig(config, found.summary, tuple(notes.raised_flags(found.flags))))
        on_progress(done, len(configs))
    best = max(scored, key=lambda each: each.summary["auc"]["mean"])
    return scored, experiment.run_experiment(best.config, data)
