"""Leakage-free logistic-regression experiments on videos labelled real or fake.

``run`` and ``train_sklearn_logreg`` train, ``load_run`` and ``load_sweep`` read back, ``DuckDBAnalytics`` asks by SQL,
``ProxNewtonLogisticRegression`` is the solver as an estimator of scikit-learn. All that the others raise is a
``fvc_exp.errors.FvcError``.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pkgutil import resolve_name
from types import ModuleType
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


class _NoPandas:
    def find_spec(self, fullname: str, _path: object, _target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is not needed here", name=fullname)


class _Later(ModuleType):
    """scipy.stats, or something in it, which is imported when it is called."""

    def __getattr__(self, name: str) -> _Later:
        if name.startswith("__"):  # the import system looks for these, in vain in modules that have none
            raise AttributeError(name)
        return _Later(f"{self.__name__}.{name}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if isinstance(sys.modules.get("scipy.stats"), _Later):
            del sys.modules["scipy.stats"]
        return resolve_name(self.__name__)(*args, **kwargs)


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import and use scikit-learn in less time, in a process of our own, while the block runs.

    scikit-learn imports pandas wherever that is installed, to compare a missing value with that of pandas. Here it is
    not found, unless it is loaded already. scipy.stats, a fifth of all imports, is loaded when something in it is
    called, which a run does not do. The objects that imports make stay, so garbage is looked for less often.
    """
    import_module("polars")  # it looks for pandas when it is imported, and never again
    finder, thresholds = _NoPandas(), gc.get_threshold()
    sys.meta_path.insert(0, finder)
    sys.modules.setdefault("scipy.stats", _Later("scipy.stats"))
    gc.set_threshold(100_000)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        if isinstance(sys.modules.get("scipy.stats"), _Later):
            del sys.modules["scipy.stats"]
        sys.meta_path.remove(finder)


def __dir__() -> list[str]:
    """What completion in a notebook offers."""
    return [*__all__, "__version__"]
