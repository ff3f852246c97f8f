"""Which values are allowed, and which go together; all of it is checked before any work begins."""

import math
from collections.abc import Iterator
from operator import attrgetter
from typing import TYPE_CHECKING, cast

from fvc_exp.config import hints, schema
from fvc_exp.errors import ConfigError, IncompatibleError, MissingExtraError
from fvc_exp.io.console import without_passwords

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from omegaconf.errors import OmegaConfBaseException

THRESHOLD_RULES = ("f1", "youden")  # by which the probability is chosen above which a video is called fake
_CLASS_CODES = {"0": 0, "real": 0, "1": 1, "fake": 1}
MIN_PERMUTATIONS = 19  # with fewer, no p-value can be as low as 0.05
MIN_SCALED_SIZE = 32  # pixels; smaller frames have too few blocks of 8 x 8
_OLDEST_MLFLOW = 3  # major version; some resolutions of other packages bring 1.x back
PROX_NEWTON = "prox-newton"  # our own (fvc_exp.training.solvers); every penalty

# scikit-learn's own rules (LogisticRegression, "solver"), checked against it by a test. Order = preference for auto.
LEGAL_SOLVERS: dict[schema.Penalty, tuple[str, ...]] = {
    schema.Penalty.l2: (PROX_NEWTON, "newton-cholesky", "lbfgs", "newton-cg", "liblinear", "sag", "saga"),
    schema.Penalty.none: (PROX_NEWTON, "newton-cholesky", "lbfgs", "newton-cg", "sag", "saga"),
    schema.Penalty.l1: (PROX_NEWTON, "saga", "liblinear"),
    schema.Penalty.elasticnet: (PROX_NEWTON, "saga"),
}

_LEAST = {
    **{"solver.max_iter": 1, "cv.n_splits": 2, "cv.n_repeats": 1, "cv.inner_splits": 2, "sweep.pack": 1},
    **{"data.num_shards": 1, "data.demo.events": 2, "data.demo.uploads": 1, "data.demo.seed": 0},
    "video.augmentations": 0,
}

Rule = tuple[str, object, bool, str]  # key, value, whether it is allowed, what is allowed


def to_typed(composed: "DictConfig") -> schema.Config:
    """Turn Hydra's composed configuration into a checked ``Config``.

    Values go through a plain container, so that a key added with ``+`` is refused like any other unknown key.

    Raises:
        ConfigError: an unknown or missing key, a wrong type, or a value out of range; all ranges are checked at once.
        IncompatibleError: the solver cannot fit the penalty.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        plain = OmegaConf.to_container(composed, resolve=True)
        # What Hydra composed on the schema has its types; merging checks them again, which takes many times as long.
        is_typed = OmegaConf.get_type(composed) is schema.Config and has_keys_of(schema.Config, plain)
        merged = composed if is_typed else OmegaConf.merge(OmegaConf.structured(schema.Config), plain)
        config = cast(schema.Config, OmegaConf.to_object(merged))
    except OmegaConfBaseException as error:
        raise ConfigError(_one_line(error)) from error
    return checked(config)


def checked(config: schema.Config) -> schema.Config:
    """The configuration, whose values have their types, with values in range that go together; it is changed in place.

    Raises:
        ConfigError: a value is out of range; all ranges are checked at once.
        IncompatibleError: the solver cannot fit the penalty, or other values do not go together.
    """
    data = config.data
    data.root, data.group, data.positive = data.root or ".", _texts(data.group), _texts(data.positive)
    if problems := list(_range_problems(config)):
        raise ConfigError("; ".join(problems))
    config.threshold = str(fixed_threshold(config) or config.threshold)  # .50 is 0.5
    config.class_weight = _class_weights(config.class_weight)
    _check_pair(config.penalty.name, config.solver.name)
    _check_data(config)
    _check_cv(config)
    _check_search(config)
    refuse_password("tracking.uri", config.tracking.uri)
    if config.stage is schema.Stage.all:
        config.data.scaled_metadata = "scaled_metadata"  # it trains on the rows of its own stage scale
    if data.demo is not None and data.max_rows is not None:
        data.demo.events = min(data.demo.events, max(2, data.max_rows // data.demo.uploads))
    return config


def refuse_password(key: str, value: str | None) -> None:
    """Do nothing unless an address holds a password, which would be stored with the run.

    Raises:
        ConfigError: it does; the message does not repeat it.
    """
    if value is not None and (shown := without_passwords(value)) != value:
        raise ConfigError(
            f"{key}={shown} holds a password, which would be stored with the run: set the environment variables "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, and name the server without it"
        )


def _texts(value: object) -> list[str]:
    """One name or a list of them; an empty one or null is none."""
    return [str(each) for each in (value if isinstance(value, list) else [] if value in (None, "") else [value])]


def has_keys_of(kind: object, value: object) -> bool:
    """Whether a container has the fields of a dataclass and no other key, and so have those in it."""
    fields = hints.field_types(kind)
    if not isinstance(value, dict) or not fields:
        return True
    return value.keys() == fields.keys() and all(has_keys_of(fields[key], item) for key, item in value.items())


def _one_line(error: "OmegaConfBaseException") -> str:
    """OmegaConf spreads a message over several lines; the first says what, ``full_key`` says where."""
    what = str(error).splitlines()[0]
    key = error.full_key or ""
    return "; ".join(filter(None, [what if not key or key in what else f"{key}: {what}", hints.hint_of(error)]))


def _range_problems(config: schema.Config) -> Iterator[str]:
    for key, value, allowed, meaning in range_rules(config):
        if not allowed:
            yield f"{key}={value} is not allowed: it must be {meaning}"
    if wrong := [c for c in config.cv.c_grid if not 0 < c < math.inf]:
        yield f"cv.c_grid={config.cv.c_grid} is not allowed: {wrong[0]} must be a finite number above 0"


def range_rules(config: schema.Config) -> list[Rule]:
    """Every key with a range, its value, whether that is allowed, and what is."""
    return [*_number_rules(config), *_least_rules(config), *_video_rules(config.video)]


def _number_rules(config: schema.Config) -> list[Rule]:
    cv, data, audit = config.cv, config.data, config.audit
    return [
        ("C", config.C, 0 < config.C < math.inf, "a finite number above 0 (no regularisation: penalty=none)"),
        ("seed", config.seed, 0 <= config.seed < 2**32, "an integer from 0 to 2**32 - 1"),
        ("penalty.l1_ratio", config.penalty.l1_ratio, 0 <= config.penalty.l1_ratio <= 1, "a number from 0 to 1"),
        ("solver.tol", config.solver.tol, config.solver.tol > 0, "a number above 0"),
        ("cv.test_size", cv.test_size, cv.test_size == 0 or 0.05 <= cv.test_size <= 0.5,
         "0 (no test set) or a share from 0.05 to 0.5"),
        ("audit.permutations", audit.permutations, audit.permutations == 0 or audit.permutations >= MIN_PERMUTATIONS,
         f"0 (no null distribution) or an integer of at least {MIN_PERMUTATIONS}"),
        ("data.max_unmatched", data.max_unmatched, 0 <= data.max_unmatched < 1, "a share of at least 0, below 1"),
        ("data.max_rows", data.max_rows, data.max_rows is None or data.max_rows >= 2,
         "an integer of at least 2, or null"),
        ("data.columns", data.columns, all(map(str.strip, data.columns)),
         "a list of names and patterns, none of them empty"),
        ("data.group", data.group, all(map(str.strip, data.group)), "a name or a list of names, none of them empty"),
        ("data.shard", data.shard, 0 <= data.shard < max(data.num_shards, 1),
         f"an integer from 0 to data.num_shards - 1 = {data.num_shards - 1}"),
        ("threshold", config.threshold, config.threshold in THRESHOLD_RULES or 0 < (fixed_threshold(config) or 0) < 1,
         f"a number above 0, below 1, or one of {', '.join(THRESHOLD_RULES)}"),
    ]  # fmt: skip


def _least_rules(config: schema.Config) -> list[Rule]:
    there = {key: least for key, least in _LEAST.items() if config.data.demo or not key.startswith("data.demo")}
    values = {key: attrgetter(key)(config) for key in there}
    return [(key, values[key], values[key] >= least, f"an integer of at least {least}") for key, least in there.items()]


def _video_rules(video: schema.VideoConfig) -> list[Rule]:
    least, most, size, workers = video.sampling.min_frames, video.sampling.max_frames, video.max_size, video.workers
    return [
        ("video.sampling.fraction", video.sampling.fraction, 0 < video.sampling.fraction <= 1,
         "a share above 0, up to 1"),
        ("video.sampling.min_frames", least, 1 <= least <= most,
         f"an integer from 1 to video.sampling.max_frames={most}"),
        *((f"video.limits.{name}", value, value is None or value > 0, "above 0")
          for name, value in vars(video.limits).items()),
        ("video.max_size", size, size >= MIN_SCALED_SIZE and size % 2 == 0, f"even and at least {MIN_SCALED_SIZE}"),
        ("video.workers", workers, workers is None or workers >= 1, "an integer of at least 1, or null"),
    ]  # fmt: skip


def _class_weights(value: object) -> dict[int, float] | str | None:
    if value is None or value == "balanced":
        return value
    named = value if isinstance(value, dict) else {}
    try:
        weights = {_CLASS_CODES[str(name).lower()]: float(weight) for name, weight in named.items()}
    except (KeyError, TypeError, ValueError):
        weights = {}
    if len(weights) < len(named) or len(weights) < 2 or not all(0 < weight < math.inf for weight in weights.values()):
        raise ConfigError(
            f"class_weight={value} is not allowed: it must be null, balanced, or a finite number above 0 for each "
            f"class, in quotes at the shell: {hints.at_shell('class_weight={0:1,1:2}')} (0 = real, 1 = fake)"
        )
    return None if set(weights.values()) == {1.0} else dict(sorted(weights.items()))


def _check_pair(penalty: schema.Penalty, solver: schema.Solver) -> None:
    if solver.name == "auto" or solver.name in LEGAL_SOLVERS[penalty]:
        return
    penalties = [other.name for other, solvers in LEGAL_SOLVERS.items() if solver.name in solvers]
    raise IncompatibleError(
        f"penalty={penalty.name} cannot be fitted by solver={solver.name}: penalty={penalty.name} allows "
        f"solver={'|'.join(('auto', *LEGAL_SOLVERS[penalty]))}, and solver={solver.name} allows "
        f"penalty={'|'.join(penalties)}"
    )


def _check_data(config: schema.Config) -> None:
    data, tables = config.data, config.features.tables
    if data.path is None and schema.Table.table in tables:
        raise ConfigError("data=table needs data.path=FILE, the table with labels and features")
    if data.path is not None and tables != [schema.Table.table]:
        raise IncompatibleError(
            f"features={config.features.name} does not fit data.path={data.path}: the features are the columns of that "
            "table; use data=table without features, and data.columns=[NAME,PATTERN*] to choose among them"
        )


def _check_cv(config: schema.Config) -> None:
    cv = config.cv
    if (cv.scheme is schema.Scheme.predefined) != (cv.folds is not None):
        raise IncompatibleError(
            f"cv.scheme={cv.scheme.name} and cv.folds={cv.folds} do not fit: cv.folds names the file that "
            "cv.scheme=predefined reads, and is null for the other schemes"
        )
    if cv.c_grid and config.penalty.name is schema.Penalty.none:
        raise IncompatibleError(
            f"cv.c_grid={cv.c_grid} cannot be searched with penalty=none, where C has no effect: use another "
            "penalty, or cv.c_grid=[]"
        )


def _check_search(config: schema.Config) -> None:
    search, solver = config.search.name.name, resolved_solver(config.penalty.name, config.solver.name)
    if config.search.name is schema.Search.none:
        return
    if solver != PROX_NEWTON:
        raise IncompatibleError(
            f"search={search} cannot use solver={solver}: only solver={PROX_NEWTON} shares its fits; leave out solver, "
            "or use -m without search"
        )
    if config.stage is not schema.Stage.train:
        raise IncompatibleError(f"search={search} cannot use stage={config.stage.name}: it needs stage=train")


def resolved_solver(penalty: schema.Penalty, solver: schema.Solver) -> str:
    """The solver's name; ``auto`` is the first legal solver of the penalty."""
    return LEGAL_SOLVERS[penalty][0] if solver.name == "auto" else solver.name


def fixed_threshold(config: schema.Config) -> float | None:
    """The threshold where it is a number; None where a rule finds it."""
    try:
        return float(config.threshold)
    except ValueError:
        return None


def looks_inside(config: schema.Config) -> bool:
    """Whether calibration or threshold are learned from inner folds of a training part."""
    return config.calibration is not schema.Calibration.none or fixed_threshold(config) is None


def needs_inner_folds(config: schema.Config) -> bool:
    """Whether something is chosen inside a training part, beside the coefficients."""
    return len(config.cv.c_grid) > 1 or looks_inside(config)


def effective_l1_ratio(config: schema.Config) -> float:
    """The mix scikit-learn gets: fixed by l1 and l2, tuned by ``penalty.l1_ratio`` for the elastic net only."""
    fixed = {schema.Penalty.l1: 1.0, schema.Penalty.l2: 0.0, schema.Penalty.none: 0.0}
    return fixed.get(config.penalty.name, config.penalty.l1_ratio)


def effective_c(config: schema.Config) -> float:
    """Inverse regularisation strength; infinite where there is no penalty."""
    return math.inf if config.penalty.name is schema.Penalty.none else config.C


def require_tracker(tracker: schema.Tracker) -> None:
    """Find out before the work begins whether its results can be imported.

    Raises:
        MissingExtraError: the tracker is not installed, or only a part or an old version of it.
    """
    from importlib import metadata, util

    if tracker == schema.Tracker.none:
        return
    try:
        major = int(metadata.version("mlflow").partition(".")[0])
        found = util.find_spec("mlflow") is not None and major >= _OLDEST_MLFLOW
    except metadata.PackageNotFoundError:  # mlflow-skinny alone, which has neither a database nor model formats
        found = False
    if not found:
        raise MissingExtraError("tracking", f"mlflow {_OLDEST_MLFLOW}")
