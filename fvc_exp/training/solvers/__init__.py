"""Our own fast path: logistic regression by proximal Newton, one fit or a whole grid."""
