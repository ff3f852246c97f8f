"""A configuration as text: ``config.yaml`` of a run, and the canonical form whose hash tells equal experiments."""

import json
import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import yaml

from fvc_exp.config import schema, validate
from fvc_exp.errors import ArtifactError, DataError
from fvc_exp.io import files

_MOST_BYTES, _MOST_DEPTH = 2**20, 16
_YAML = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the same text, much faster where the C library is installed
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def canonical(config: schema.Config) -> dict[str, Any]:
    """The configuration without what cannot change a number: paths, launcher, plots, and parameters without effect.

    ``solver=auto`` becomes the solver it picks, an elastic net with ``l1_ratio`` 0 or 1 becomes l2 or l1, C is dropped
    where there is no penalty or it is searched, and predefined folds are named by the hash of their file.

    Raises:
        DataError: the file of predefined folds cannot be read.
    """
    ratio = validate.effective_l1_ratio(config)
    penalty = config.penalty.name
    if penalty is schema.Penalty.elasticnet and ratio in (0.0, 1.0):
        penalty = schema.Penalty.l1 if ratio else schema.Penalty.l2
    model: dict[str, Any] = {"penalty": penalty.name}
    if penalty is not schema.Penalty.none and not config.cv.c_grid:
        model["C"] = config.C
    if penalty is schema.Penalty.elasticnet:
        model["l1_ratio"] = ratio
    return {
        **model,
        "solver": validate.resolved_solver(config.penalty.name, config.solver.name),
        "max_iter": config.solver.max_iter,
        "tol": config.solver.tol,
        "class_weight": str(config.class_weight) if config.class_weight else None,
        "features": [table.name for table in config.features.tables],
        "cv": _canonical_cv(config),
        **({"threshold": config.threshold} if config.threshold != "0.5" else {}),
        **({"calibration": config.calibration.name} if config.calibration is not schema.Calibration.none else {}),
        "seed": config.seed,
    }


def _canonical_cv(config: schema.Config) -> dict[str, Any]:
    cv = config.cv
    known: dict[str, Any] = {"n_splits": cv.n_splits, "n_repeats": cv.n_repeats, "test_size": cv.test_size}
    if cv.scheme is schema.Scheme.predefined:
        known = {"folds_sha256": _file_hash(Path(str(cv.folds)))}
    if cv.c_grid:
        known["c_grid"] = " ".join(f"{c:g}" for c in sorted(set(cv.c_grid)))
    if cv.c_grid or validate.looks_inside(config):
        known["inner_splits"] = cv.inner_splits
    return {**known, "scheme": cv.scheme.name}


def _file_hash(path: Path) -> str:
    from fvc_exp.io.tables import find_table

    source = find_table(path)
    try:
        return files.sha256(source.read_bytes())
    except OSError as error:
        raise DataError(f"{source}: cannot be read: {error.strerror}") from error


def run_id(config: schema.Config, data_hash: str) -> str:
    """Twelve hex digits naming the experiment; equal for equal experiments on equal data."""
    return files.digest([canonical(config), data_hash])


def write_config(path: Path, config: schema.Config) -> None:
    """Write the typed configuration as YAML that any YAML reader takes."""
    files.write_bytes(path, yaml.dump(files.plain(asdict(config)), Dumper=_YAML, sort_keys=False).encode())


def read_config(path: Path, content: bytes | None = None) -> schema.Config:
    """Read what ``write_config`` wrote, checked like any configuration; ``content`` is that of the file, if known.

    Anyone may have written it, so it names no other value (``${...}``, aliases), and its workers and memory are cut to
    what this machine has.

    Raises:
        ArtifactError: it is missing, not YAML, too large or too deep, or would resolve something.
        ConfigError: it does not fit this version's configuration.
    """
    content = files.read_bytes(path) if content is None else content
    if len(content) > _MOST_BYTES:
        raise ArtifactError(f"{path}: has {len(content):,} bytes; a configuration has at most {_MOST_BYTES:,}")
    try:
        depth = 0
        for event in yaml.parse(content, Loader=_LOADER):  # the loader itself would crash on great depth
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _MOST_DEPTH or isinstance(event, yaml.AliasEvent):
                raise ValueError("it holds an alias (*) or is nested too deeply, as no stored configuration is")
        plain = dict(yaml.load(content, Loader=_LOADER))
        if "${" in json.dumps(plain, default=str):
            raise ValueError("it holds ${...}, and a stored configuration holds values alone")
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    config = _typed(plain)
    limits = config.video.limits
    limits.memory_mb = min(limits.memory_mb, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20)
    if config.video.workers is not None:
        config.video.workers = min(config.video.workers, len(os.sched_getaffinity(0)))
    return config


def _typed(plain: dict[str, Any]) -> schema.Config:
    """The checked configuration; OmegaConf, which takes long to load, is asked only if it is not as we write it."""
    with suppress(msgspec.ValidationError, TypeError, OverflowError):  # a date or bytes cannot be dumped
        if validate.has_keys_of(schema.Config, plain) and "???" not in json.dumps(plain):
            msgspec.convert([plain["data"][name] for name in ("group", "positive")], list[list[str]])  # Any in schema
            return validate.checked(msgspec.convert(plain, schema.Config))
    from omegaconf import DictConfig

    return validate.to_typed(DictConfig(plain))
