"""Leakage-free logistic-regression experiments on videos labelled real or fake."""

__version__ = "0.1.0"
__all__ = ["__version__"]
