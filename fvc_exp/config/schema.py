"""The types of everything that can be configured; the values live in ``conf/``.

Hydra composes YAML against these dataclasses (``Config`` stands first in the defaults list).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import cast

from omegaconf import MISSING


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


@dataclass
class DemoConfig:
    """Size and seed of the demo corpus: ``events`` groups of ``uploads`` near-copies each, every second one fake."""

    events: int = MISSING
    uploads: int = MISSING
    seed: int = MISSING


@dataclass
class DataConfig:
    """Where videos and tables lie. Relative paths are below ``root``."""

    name: str = MISSING
    root: str = MISSING
    videos: str | None = MISSING
    scaled_metadata: str = MISSING
    features_stage2: str | None = MISSING
    features_stage4: str | None = MISSING
    features_forensic: str | None = MISSING
    features_original_stage2: str | None = MISSING
    features_original_stage4: str | None = MISSING
    prepare: bool = MISSING
    max_unmatched: float = MISSING
    shard: int = MISSING
    num_shards: int = MISSING
    demo: DemoConfig | None = MISSING

    def table(self, table: Table) -> str | None:
        """The configured path of a feature table, or None where the data set has none."""
        return cast("str | None", getattr(self, f"features_{table.name}"))


@dataclass
class FeaturesConfig:
    """Which feature tables a model is trained on."""

    name: str = MISSING
    tables: list[Table] = MISSING


@dataclass
class SamplingConfig:
    """How many frames of a video are measured, spread evenly over it."""

    fraction: float = MISSING
    min_frames: int = MISSING
    max_frames: int = MISSING


@dataclass
class LimitsConfig:
    """What one video may cost before it is given up with an error row."""

    max_pixels: int = MISSING
    cpu_seconds: float = MISSING
    wall_seconds: float = MISSING
    memory_mb: int = MISSING


@dataclass
class VideoConfig:
    """How the video stages work."""

    sampling: SamplingConfig = MISSING
    limits: LimitsConfig = MISSING
    augmentations: int = MISSING
    max_size: int = MISSING
    workers: int | None = MISSING
    retry_failed: bool = MISSING


@dataclass
class PenaltyConfig:
    """The penalty and, for the elastic net, its mix (0 = l2, 1 = l1)."""

    name: Penalty = MISSING
    l1_ratio: float = MISSING


@dataclass
class SolverConfig:
    """The optimiser of LogisticRegression and when it stops."""

    name: Solver = MISSING
    max_iter: int = MISSING
    tol: float = MISSING


@dataclass
class CVConfig:
    """Cross-validation on the development rows, and the share of groups held out for the final test.

    ``inner_splits`` is for what is chosen inside a training part: C among ``c_grid`` (empty: not searched), the
    threshold and the calibration. ``folds`` is the file that scheme ``predefined`` reads.
    """

    name: str = MISSING
    scheme: Scheme = MISSING
    n_splits: int = MISSING
    n_repeats: int = MISSING
    test_size: float = MISSING
    inner_splits: int = MISSING
    c_grid: list[float] = MISSING
    folds: str | None = MISSING


@dataclass
class AuditConfig:
    """The leakage certificate; nothing here changes a score."""

    allow_fail: bool = MISSING
    tolerance: float = MISSING
    permutations: int = MISSING
    scorer: NullScorer = MISSING


@dataclass
class StageConfig:
    """Which step of the pipeline to run."""

    name: Stage = MISSING


@dataclass
class SearchConfig:
    """Whether the configurations of a sweep share their fits; nothing here changes a number beyond the solver's tol."""

    name: Search = MISSING


@dataclass
class SweepConfig:
    """How a multirun becomes jobs; nothing here changes a number."""

    name: str | None = MISSING
    pack: int = MISSING
    dry: bool = MISSING
    wait: bool = MISSING
    choice: Choice = MISSING


EXPERIMENT = "fvc-exp"  # of MLflow, unless another one is named


@dataclass
class TrackingConfig:
    """Import into MLflow at the end; nothing here changes a number. See ``fvc track``.

    With defaults, so that folders from before there was tracking can still be read.
    """

    name: Tracker = Tracker.none
    uri: str | None = None
    experiment: str = EXPERIMENT


@dataclass
class Config:
    """The whole configuration of one run."""

    data: DataConfig = MISSING
    features: FeaturesConfig = MISSING
    video: VideoConfig = MISSING
    penalty: PenaltyConfig = MISSING
    solver: SolverConfig = MISSING
    cv: CVConfig = MISSING
    audit: AuditConfig = MISSING
    stage: StageConfig = MISSING
    search: SearchConfig = MISSING
    sweep: SweepConfig = MISSING
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    C: float = MISSING
    class_weight: ClassWeight | None = MISSING
    threshold: str = MISSING
    calibration: Calibration = MISSING
    seed: int = MISSING
    plots: bool = MISSING
    outputs: str = MISSING
