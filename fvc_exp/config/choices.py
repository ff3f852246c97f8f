"""The closed sets of names that can be chosen."""

from __future__ import annotations

from enum import Enum


class Penalty(Enum):
    """The norm that LogisticRegression is regularised with."""

    l1 = "l1"
    l2 = "l2"
    elasticnet = "elasticnet"
    none = "none"


# OmegaConf reads members by name, and some solver names hold a hyphen.
Solver = Enum(
    "Solver",
    {
        "auto": "auto",
        "lbfgs": "lbfgs",
        "liblinear": "liblinear",
        "newton-cg": "newton-cg",
        "newton-cholesky": "newton-cholesky",
        "prox-newton": "prox-newton",
        "sag": "sag",
        "saga": "saga",
    },
)


class Scheme(Enum):
    """How rows are dealt into folds."""

    grouped = "grouped"
    stratified = "stratified"
    leave_platform_out = "leave_platform_out"
    predefined = "predefined"


class Stage(Enum):
    """The steps of the pipeline, in their order; ``all`` chains them."""

    augment = "augment"
    features = "features"
    scale = "scale"
    scaled_features = "scaled_features"
    train = "train"
    all = "all"


class Table(Enum):
    """The feature tables; the value is the prefix that their columns carry in a Dataset."""

    stage2 = "stage2_"
    stage4 = "stage4_"
    forensic = "forensic_"
    original_stage2 = "original2_"
    original_stage4 = "original4_"


class ClassWeight(Enum):
    """Weights of the two classes in the loss; null in YAML means one each."""

    balanced = "balanced"


class Calibration(Enum):
    """How probabilities are mended on out-of-fold rows of the training part: not at all, by a slope, or by steps."""

    none = "none"
    sigmoid = "sigmoid"
    isotonic = "isotonic"


class NullScorer(Enum):
    """What is fitted to the permuted labels: a fast ridge regression, or the run's own model."""

    ridge = "ridge"
    model = "model"


class Search(Enum):
    """How the configurations of a multirun are fitted: each by itself, or the whole grid at once."""

    none = "none"
    grid = "grid"


class Choice(Enum):
    """Which configuration of a sweep is the best: the highest score, the simplest that ties, or within one SE of it."""

    best = "best"
    tied = "tied"
    one_se = "one_se"


class Tracker(Enum):
    """Where finished runs are shown beside their folders."""

    none = "none"
    mlflow = "mlflow"
