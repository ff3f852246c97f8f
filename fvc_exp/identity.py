"""When two runs are the same experiment: the canonical configuration and its hash."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

from fvc_exp.config import Config, Penalty, effective_l1_ratio, resolved_solver

_ID_LENGTH = 12


def canonical(config: Config) -> dict[str, Any]:
    """The configuration without what cannot change a number: paths, launcher, plots, and parameters that do nothing.

    ``solver=auto`` becomes the solver it picks, an elastic net with ``l1_ratio`` 0 or 1 becomes l2 or l1, and C is
    dropped where there is no penalty.
    """
    ratio = effective_l1_ratio(config)
    penalty = config.penalty.name
    if penalty is Penalty.elasticnet and ratio in (0.0, 1.0):
        penalty = Penalty.l1 if ratio else Penalty.l2
    model: dict[str, Any] = {"penalty": penalty.name}
    if penalty is not Penalty.none:
        model["C"] = config.C
    if penalty is Penalty.elasticnet:
        model["l1_ratio"] = ratio
    return {
        **model,
        "solver": resolved_solver(config.penalty.name, config.solver.name),
        "max_iter": config.solver.max_iter,
        "tol": config.solver.tol,
        "class_weight": config.class_weight.name if config.class_weight else None,
        "features": [table.name for table in config.features.tables],
        "cv": {key: value for key, value in asdict(config.cv).items() if key not in ("name", "scheme")}
        | {"scheme": config.cv.scheme.name},
        "seed": config.seed,
    }


def run_id(config: Config, data_hash: str) -> str:
    """Twelve hex digits naming the experiment; equal for equal experiments on equal data."""
    text = json.dumps([canonical(config), data_hash], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_LENGTH]
