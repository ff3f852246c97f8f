"""Our own fast path: logistic regression by proximal Newton, one fit or a whole grid."""

from fvc_exp.training.solvers.estimator import ProxNewtonLogisticRegression, plain

__all__ = ["ProxNewtonLogisticRegression", "plain"]
