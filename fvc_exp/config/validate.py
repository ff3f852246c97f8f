"""Which values are allowed, and which go together; all of it is checked before any work begins."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import is_dataclass
from functools import cache
from typing import cast, get_args, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fvc_exp.config.schema import Config, Penalty, Scheme, Search, Solver, Stage, VideoConfig
from fvc_exp.errors import ConfigError, IncompatibleError

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
        is_typed = OmegaConf.get_type(composed) is Config and _has_keys_of(Config, plain)
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


def _has_keys_of(schema: object, value: object) -> bool:
    """Whether a container has the fields of a dataclass and no other key, and so have those in it."""
    if not isinstance(value, dict):
        return True
    fields = _fields(schema)
    return value.keys() == fields.keys() and all(_has_keys_of(fields[key], item) for key, item in value.items())


@cache
def _fields(schema: object) -> dict[str, object]:
    """The types of a dataclass by field, that of an optional dataclass too."""
    (dataclass,) = [kind for kind in (schema, *get_args(schema)) if is_dataclass(kind)]
    return get_type_hints(dataclass)


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
    if data.demo is not None:
        for name, least in (("events", 2), ("uploads", 1), ("seed", 0)):
            if (value := getattr(data.demo, name)) < least:
                yield f"data.demo.{name}={value} is not allowed: it must be an integer of at least {least}"
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
