"""Leakage-free logistic-regression experiments on videos labelled real or fake.

``run`` and ``train_sklearn_logreg`` train, ``load_run`` and ``load_sweep`` read back, ``DuckDBAnalytics`` asks by SQL,
``ProxNewtonLogisticRegression`` is the solver as an estimator of scikit-learn. All that the others raise is a
``fvc_exp.errors.FvcError``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # "as" tells type checkers that they are for others
    from fvc_exp.analytics.sql import DuckDBAnalytics as DuckDBAnalytics
    from fvc_exp.api import run as run
    from fvc_exp.api import train_sklearn_logreg as train_sklearn_logreg
    from fvc_exp.runs.load import LoadedRun as LoadedRun
    from fvc_exp.runs.load import load_run as load_run
    from fvc_exp.sweeps.results import load_sweep as load_sweep
    from fvc_exp.training.experiment import RunResult as RunResult
    from fvc_exp.training.solvers.estimator import ProxNewtonLogisticRegression as ProxNewtonLogisticRegression

__version__ = "0.1.0"
_HOMES = {
    "DuckDBAnalytics": "fvc_exp.analytics.sql",
    "LoadedRun": "fvc_exp.runs.load",
    "ProxNewtonLogisticRegression": "fvc_exp.training.solvers.estimator",
    "RunResult": "fvc_exp.training.experiment",
    "load_run": "fvc_exp.runs.load",
    "load_sweep": "fvc_exp.sweeps.results",
    "run": "fvc_exp.api",
    "train_sklearn_logreg": "fvc_exp.api",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Import scikit-learn and the rest when the first function is asked for, not before."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """What completion in a notebook offers."""
    return [*__all__, "__version__"]
