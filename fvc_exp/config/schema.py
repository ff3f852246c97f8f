"""The types of everything that can be configured; the values live in ``conf/``.

Hydra composes YAML against these dataclasses (``Config`` stands first in the defaults list).
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast

# The norm that LogisticRegression is regularised with.
Penalty = StrEnum("Penalty", "l1 l2 elasticnet none")


# OmegaConf reads members by name, and some solver names hold a hyphen.
Solver = StrEnum("Solver", "auto lbfgs liblinear newton-cg newton-cholesky prox-newton sag saga")


# How rows are assigned to folds.
Scheme = StrEnum("Scheme", "grouped stratified leave_platform_out predefined")


# The steps of the pipeline, in their order; ``all`` chains them.
Stage = StrEnum("Stage", "augment features scale scaled_features train all")


class Table(StrEnum):
    """The feature tables; ``table`` is the one of ``data.path``, which holds labels, too."""

    stage2 = "stage2"
    stage4 = "stage4"
    forensic = "forensic"
    original_stage2 = "original_stage2"
    original_stage4 = "original_stage4"
    table = "table"

    @property
    def prefix(self) -> str:
        """What the names of its columns begin with in a Dataset."""
        return "" if self is Table.table else self.replace("_stage", "") + "_"


# How probabilities are corrected on out-of-fold rows of the training part: not at all, Platt scaling, isotonic.
Calibration = StrEnum("Calibration", "none sigmoid isotonic")


# How the configurations of a multirun are fitted: each by itself, or the whole grid at once.
Search = StrEnum("Search", "none grid")


# Which configuration of a sweep is the best: the highest score, the simplest that ties, or within one SE of it.
Choice = StrEnum("Choice", "best tied one_se")


# Which finished configurations of a sweep are run again: those made by other code than the present one.
Rerun = StrEnum("Rerun", "none code")


# The scores of a run, see ``evaluation/metrics``.
Metric = StrEnum(
    "Metric",
    "accuracy balanced_accuracy precision recall f1 precision_real recall_real f1_real"
    " auc average_precision log_loss brier mcc",
)

LOWER_IS_BETTER = frozenset(("log_loss", "brier"))


# Where finished runs are imported, beside their folders.
Tracker = StrEnum("Tracker", "none mlflow")


@dataclass
class DemoConfig:
    """Size and seed of the demo corpus: ``events`` groups of ``uploads`` near-copies each, every second one fake."""

    events: int
    uploads: int
    seed: int


@dataclass
class DataConfig:
    """Where videos and tables lie, and which columns to take. Relative paths are below ``root``.

    ``path`` is one table with labels and features. ``columns`` are names and patterns (``dct_*``) of the columns to
    learn from; none means all. ``label``, ``key`` and ``group`` name columns that are not called as usual, ``positive``
    the labels that mean fake; the last two are a name or a list of names, and lists when they are checked. All of these
    have defaults, so that folders from before there was a choice can still be read. ``made`` is the folder of what is
    made from the videos, if not ``root``; with ``prepare``, and if it is not named, one below ``outputs``.
    ``max_rows`` is about how many rows are taken, in whole groups; None means all.
    """

    name: str
    root: str
    videos: str | None
    scaled_metadata: str
    features_stage2: str | None
    features_stage4: str | None
    features_forensic: str | None
    features_original_stage2: str | None
    features_original_stage4: str | None
    prepare: bool
    max_unmatched: float
    shard: int
    num_shards: int
    demo: DemoConfig | None
    columns: list[str] = field(default_factory=list)
    path: str | None = None
    label: str | None = None
    key: str | None = None
    group: Any = field(default_factory=list)
    positive: Any = field(default_factory=list)
    made: str | None = None
    max_rows: int | None = None

    def table(self, table: Table) -> str | None:
        """The configured path of a feature table, or None where the data set has none."""
        return self.path if table is Table.table else cast("str | None", getattr(self, f"features_{table.name}"))


@dataclass
class FeaturesConfig:
    """Which feature tables a model is trained on."""

    name: str
    tables: list[Table]


@dataclass
class SamplingConfig:
    """How many frames of a video are measured, spread evenly over it."""

    fraction: float
    min_frames: int
    max_frames: int


@dataclass
class LimitsConfig:
    """The limits of one video; one that exceeds a limit gets an error row.

    ``wall_seconds`` None means ten times ``cpu_seconds``.
    """

    max_pixels: int
    cpu_seconds: float
    wall_seconds: float | None
    memory_mb: int


@dataclass
class VideoConfig:
    """How the video stages work."""

    sampling: SamplingConfig
    limits: LimitsConfig
    augmentations: int
    max_size: int
    workers: int | None
    retry_failed: bool


@dataclass
class PenaltyConfig:
    """The penalty and, for the elastic net, its mix (0 = l2, 1 = l1)."""

    name: Penalty
    l1_ratio: float


@dataclass
class SolverConfig:
    """The optimiser of LogisticRegression and when it stops."""

    name: Solver
    max_iter: int
    tol: float


@dataclass
class CVConfig:
    """Cross-validation on the development rows, and the share of groups held out for the final test.

    ``inner_splits`` is for what is chosen inside a training part: C among ``c_grid`` (empty: not searched), the
    threshold and the calibration. ``folds`` is the file that scheme ``predefined`` reads.
    """

    scheme: Scheme
    n_splits: int
    n_repeats: int
    test_size: float
    inner_splits: int
    c_grid: list[float]
    folds: str | None


@dataclass
class AuditConfig:
    """The leakage certificate and the price of a leak; nothing here changes a score.

    ``price`` has a default, so that folders from before it can still be read.
    """

    allow_fail: bool
    permutations: int
    price: bool = True


@dataclass
class SearchConfig:
    """Whether the configurations of a sweep share their fits; nothing here changes a number beyond the solver's tol."""

    name: Search


@dataclass
class SweepConfig:
    """How a multirun becomes jobs; nothing here changes a number. What has a default is missing in older plans."""

    name: str | None
    pack: int
    dry: bool
    wait: bool
    fail_fast: bool
    choice: Choice
    rerun: Rerun = Rerun.none
    allow_code_change: bool = False
    objective: Metric = Metric.auc


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
    """The whole configuration of one run.

    ``class_weight`` are the weights of the classes in the loss: None (one each), ``balanced``, or a number each for 0
    (real) and 1 (fake). ``threshold`` is a number as text, or a rule. ``name`` and ``tags`` are for people: they change
    no number, and have defaults, so that folders from before them can still be read.
    """

    data: DataConfig
    features: FeaturesConfig
    video: VideoConfig
    penalty: PenaltyConfig
    solver: SolverConfig
    cv: CVConfig
    audit: AuditConfig
    stage: Stage
    search: SearchConfig
    sweep: SweepConfig
    C: float
    class_weight: Any
    threshold: str
    calibration: Calibration
    seed: int
    plots: bool
    verbose: bool
    outputs: str
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    name: str | None = None
    tags: list[str] = field(default_factory=list)
