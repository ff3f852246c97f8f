"""What can be configured, and which values are allowed.

The types live here, the values live in ``conf/``. Hydra composes YAML against these dataclasses (``Config`` stands
first in the defaults list), ``to_typed`` makes one checked ``Config`` of the result, and below ``run.py`` nothing else
travels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, is_dataclass
from enum import Enum
from functools import cache
from typing import cast, get_type_hints

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fvc_exp.errors import ConfigError, IncompatibleError


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
    demo_events: int | None = MISSING
    demo_uploads: int | None = MISSING
    demo_seed: int | None = MISSING

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


class Search(Enum):
    """How the configurations of a multirun are fitted: each by itself, or the whole grid at once."""

    none = "none"
    grid = "grid"


@dataclass
class SearchConfig:
    """Whether the configurations of a sweep share their fits; nothing here changes a number beyond the solver's tol."""

    name: Search = MISSING


class Choice(Enum):
    """Which configuration of a sweep is the best: the highest score, the simplest that ties, or within one SE of it."""

    best = "best"
    tied = "tied"
    one_se = "one_se"


@dataclass
class SweepConfig:
    """How a multirun becomes jobs; nothing here changes a number."""

    name: str | None = MISSING
    pack: int = MISSING
    dry: bool = MISSING
    wait: bool = MISSING
    choice: Choice = MISSING


EXPERIMENT = "fvc-exp"  # of MLflow, unless another one is named


class Tracker(Enum):
    """Where finished runs are shown beside their folders."""

    none = "none"
    mlflow = "mlflow"


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


THRESHOLDS = ("0.5", "f1", "youden")  # above which probability a video is called fake
MIN_PERMUTATIONS = 19  # with fewer, no p-value can be as low as 0.05
MIN_SCALED_SIZE = 32  # pixels; below it an 8 x 8 block grid says nothing

PROX_NEWTON = "prox-newton"  # our own (fvc_exp.solvers); every penalty
# scikit-learn's own rules (LogisticRegression, "solver"), checked against it by a test. Order = preference for auto.
LEGAL_SOLVERS: dict[Penalty, tuple[str, ...]] = {
    Penalty.l2: (PROX_NEWTON, "newton-cholesky", "lbfgs", "newton-cg", "liblinear", "sag", "saga"),
    Penalty.none: (PROX_NEWTON, "newton-cholesky", "lbfgs", "newton-cg", "sag", "saga"),
    Penalty.l1: (PROX_NEWTON, "saga", "liblinear"),
    Penalty.elasticnet: (PROX_NEWTON, "saga"),
}


def to_typed(composed: DictConfig) -> Config:
    """Turn Hydra's composed configuration into a checked ``Config``.

    Values go through a plain container, so that a key added with ``+`` is refused like any other unknown key.

    Raises:
        ConfigError: an unknown or missing key, a wrong type, or a value out of range; all ranges are checked at once.
        IncompatibleError: the solver cannot fit the penalty.
    """
    try:
        plain = OmegaConf.to_container(composed, resolve=True)
        # What Hydra composed on the schema has its types; merging checks them again, at many times the price.
        is_typed = OmegaConf.get_type(composed) is Config and _keys(plain) == _schema_keys()
        typed = OmegaConf.to_object(composed if is_typed else OmegaConf.merge(OmegaConf.structured(Config), plain))
    except OmegaConfBaseException as error:
        raise ConfigError(_one_line(error)) from error
    config = cast(Config, typed)
    if problems := list(_range_problems(config)):
        raise ConfigError("; ".join(problems))
    _check_pair(config.penalty.name, config.solver.name)
    _check_cv(config)
    _check_search(config)
    return config


def _keys(value: object) -> object:
    """The keys of a container, and of those in it."""
    return {key: _keys(item) for key, item in value.items()} if isinstance(value, dict) else None


@cache
def _schema_keys(schema: type = Config) -> object:
    return {key: _schema_keys(kind) for key, kind in get_type_hints(schema).items()} if is_dataclass(schema) else None


def _one_line(error: OmegaConfBaseException) -> str:
    """OmegaConf spreads a message over several lines; the first says what, ``full_key`` says where."""
    what = str(error).splitlines()[0]
    key = error.full_key or ""
    return what if not key or key in what else f"{key}: {what}"


def _range_problems(config: Config) -> Iterator[str]:
    cv, data, audit = config.cv, config.data, config.audit
    rules: list[tuple[str, float, bool, str]] = [
        ("C", config.C, 0 < config.C < math.inf, "a finite number above 0 (no regularisation: penalty=none)"),
        ("seed", config.seed, 0 <= config.seed < 2**32, "an integer from 0 to 2**32 - 1"),
        ("penalty.l1_ratio", config.penalty.l1_ratio, 0 <= config.penalty.l1_ratio <= 1, "a number from 0 to 1"),
        ("solver.max_iter", config.solver.max_iter, config.solver.max_iter >= 1, "an integer of at least 1"),
        ("solver.tol", config.solver.tol, config.solver.tol > 0, "a number above 0"),
        ("cv.n_splits", cv.n_splits, cv.n_splits >= 2, "an integer of at least 2"),
        ("cv.n_repeats", cv.n_repeats, cv.n_repeats >= 1, "an integer of at least 1"),
        ("cv.test_size", cv.test_size, cv.test_size == 0 or 0.05 <= cv.test_size <= 0.5,
         "0 (no test set) or a share from 0.05 to 0.5"),
        ("cv.inner_splits", cv.inner_splits, cv.inner_splits >= 2, "an integer of at least 2"),
        ("audit.tolerance", audit.tolerance, 0 < audit.tolerance < 1, "a number above 0, below 1"),
        ("audit.permutations", audit.permutations, audit.permutations == 0 or audit.permutations >= MIN_PERMUTATIONS,
         f"0 (no null distribution) or an integer of at least {MIN_PERMUTATIONS}"),
        ("sweep.pack", config.sweep.pack, config.sweep.pack >= 1, "an integer of at least 1"),
        ("data.max_unmatched", data.max_unmatched, 0 <= data.max_unmatched < 1, "a share of at least 0, below 1"),
        ("data.num_shards", data.num_shards, data.num_shards >= 1, "an integer of at least 1"),
        ("data.shard", data.shard, 0 <= data.shard < max(data.num_shards, 1),
         f"an integer from 0 to data.num_shards - 1 = {data.num_shards - 1}"),
    ]  # fmt: skip
    for key, value, allowed, meaning in rules:
        if not allowed:
            yield f"{key}={value} is not allowed: it must be {meaning}"
    if config.threshold not in THRESHOLDS:
        yield f"threshold={config.threshold} is not allowed: it must be one of {', '.join(THRESHOLDS)}"
    if wrong := [c for c in cv.c_grid if not 0 < c < math.inf]:
        yield f"cv.c_grid={cv.c_grid} is not allowed: {wrong[0]} must be a finite number above 0"
    yield from _video_problems(config.video)


def _video_problems(video: VideoConfig) -> Iterator[str]:
    sampling = video.sampling
    if not 0 < sampling.fraction <= 1:
        yield f"video.sampling.fraction={sampling.fraction} is not allowed: it must be a share above 0, up to 1"
    if not 1 <= sampling.min_frames <= sampling.max_frames:
        yield (
            f"video.sampling.min_frames={sampling.min_frames} and max_frames={sampling.max_frames} are not allowed: "
            "they must be integers with 1 <= min_frames <= max_frames"
        )
    for name, value in vars(video.limits).items():
        if value <= 0:
            yield f"video.limits.{name}={value} is not allowed: it must be above 0"
    if video.augmentations < 0:
        yield f"video.augmentations={video.augmentations} is not allowed: it must be an integer of at least 0"
    if video.max_size < MIN_SCALED_SIZE or video.max_size % 2:
        yield f"video.max_size={video.max_size} is not allowed: it must be even and at least {MIN_SCALED_SIZE}"
    if video.workers is not None and video.workers < 1:
        yield f"video.workers={video.workers} is not allowed: it must be an integer of at least 1, or null"


def _check_pair(penalty: Penalty, solver: Solver) -> None:
    if solver.value == "auto" or solver.value in LEGAL_SOLVERS[penalty]:
        return
    penalties = [other.name for other, solvers in LEGAL_SOLVERS.items() if solver.value in solvers]
    raise IncompatibleError(
        f"penalty={penalty.name} cannot be fitted by solver={solver.value}: penalty={penalty.name} allows "
        f"solver={'|'.join(('auto', *LEGAL_SOLVERS[penalty]))}, and solver={solver.value} allows "
        f"penalty={'|'.join(penalties)}"
    )


def _check_cv(config: Config) -> None:
    cv = config.cv
    if (cv.scheme is Scheme.predefined) != (cv.folds is not None):
        raise IncompatibleError(
            f"cv.scheme={cv.scheme.name} and cv.folds={cv.folds} do not fit: cv.folds names the file that "
            "cv.scheme=predefined reads, and is null for the other schemes"
        )
    if cv.c_grid and config.penalty.name is Penalty.none:
        raise IncompatibleError(
            f"cv.c_grid={cv.c_grid} cannot be searched with penalty=none, where C has no effect: use another "
            "penalty, or cv.c_grid=[]"
        )


def _check_search(config: Config) -> None:
    search, solver = config.search.name.name, resolved_solver(config.penalty.name, config.solver.name)
    if config.search.name is Search.none:
        return
    if solver != PROX_NEWTON:
        raise IncompatibleError(
            f"search={search} cannot use solver={solver}: only solver={PROX_NEWTON} shares its fits; leave out solver, "
            "or use -m without search"
        )
    if config.stage.name is not Stage.train:
        raise IncompatibleError(f"search={search} cannot use stage={config.stage.name.name}: it needs stage=train")


def resolved_solver(penalty: Penalty, solver: Solver) -> str:
    """The solver's name; ``auto`` is the first legal solver of the penalty."""
    return LEGAL_SOLVERS[penalty][0] if solver.value == "auto" else str(solver.value)


def effective_l1_ratio(config: Config) -> float:
    """The mix scikit-learn gets: fixed by l1 and l2, tuned by ``penalty.l1_ratio`` for the elastic net only."""
    fixed = {Penalty.l1: 1.0, Penalty.l2: 0.0, Penalty.none: 0.0}
    return fixed.get(config.penalty.name, config.penalty.l1_ratio)


def effective_c(config: Config) -> float:
    """Inverse regularisation strength; infinite where there is no penalty."""
    return math.inf if config.penalty.name is Penalty.none else config.C
