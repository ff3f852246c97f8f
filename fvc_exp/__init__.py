"""Leakage-free logistic-regression experiments on videos labelled real or fake."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fvc_exp.analytics import DuckDBAnalytics
    from fvc_exp.api import train_sklearn_logreg

__version__ = "0.1.0"
__all__ = ["DuckDBAnalytics", "__version__", "train_sklearn_logreg"]
_HOMES = {"DuckDBAnalytics": "fvc_exp.analytics", "train_sklearn_logreg": "fvc_exp.api"}


def __getattr__(name: str) -> Any:
    """Import scikit-learn and the rest when the first function is asked for, not before."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
