"""Leakage-free logistic-regression experiments on videos labelled real or fake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fvc_exp.api import train_sklearn_logreg

__version__ = "0.1.0"
__all__ = ["__version__", "train_sklearn_logreg"]


def __getattr__(name: str) -> Any:
    """Import scikit-learn and the rest when the first function is asked for, not before."""
    if name in __all__:
        from fvc_exp import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
