"""Compose ``conf/`` into a typed configuration from Python, as run.py does at the shell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.version import VersionBase
from omegaconf import OmegaConf, open_dict

from fvc_exp.config.hydra_app import SCHEMA_FILE, message_of, refuse_keys_below_null, register
from fvc_exp.config.schema import Config
from fvc_exp.config.validate import to_typed
from fvc_exp.errors import ConfigError

_PACKAGE = Path(__file__).resolve().parents[1]


def conf_folder() -> Path:
    """``conf/`` beside the package in a checkout, inside it when it was installed from a wheel."""
    inside = _PACKAGE / "conf"
    return inside if inside.is_dir() else _PACKAGE.parent / "conf"


def compose_configs(overrides: Sequence[Sequence[str]]) -> list[Config]:
    """One typed configuration for each list of overrides, such as ``["penalty=l1", "C=0.1"]``.

    Raises:
        ConfigError: an override names an unknown key or option, or a value that is not allowed.
    """
    with _composing():
        return [to_typed(compose("config", overrides=list(each))) for each in overrides]


def sweep_axes(overrides: Sequence[str]) -> dict[str, list[str]]:
    """The values that a multirun with these overrides gives to each key of ``hydra.sweeper.params``, as text.

    Raises:
        ConfigError: an override names an unknown key or option.
    """
    with _composing():
        params = compose("config", overrides=list(overrides), return_hydra_config=True).hydra.sweeper.params
        return {key: str(values).split(",") for key, values in params.items()}


@dataclass(frozen=True)
class Composed:
    """A typed configuration with what Hydra makes of it at the shell: its files by path in the run folder, its log."""

    config: Config
    files: Mapping[str, str]
    log_format: str


def compose_run(overrides: Sequence[str], folder: str | Path) -> Composed:
    """What ``python run.py`` would compose for a run in this folder.

    Raises:
        ConfigError: an override names an unknown key or option, or a value that is not allowed.
    """
    with _composing():
        of_hydra = [setting("hydra.run.dir", folder), "hydra.mode=RUN"]
        composed = compose("config", overrides=[*overrides, *of_hydra], return_hydra_config=True)
        with open_dict(composed):
            composed.hydra.runtime.output_dir = str(Path(folder).absolute())
        task = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
        hydra = OmegaConf.masked_copy(composed, "hydra")
        files = {"config": task, "hydra": hydra, "overrides": composed.hydra.overrides.task}
        texts = {f"{composed.hydra.output_subdir}/{name}.yaml": OmegaConf.to_yaml(each) for name, each in files.items()}
        return Composed(to_typed(task), texts, composed.hydra.job_logging.formatters.file.format)


def setting(key: str, value: object) -> str:
    """An override whose value may hold any character."""
    # In Hydra's grammar backslashes count only in front of a quote, the closing one too.
    quoted = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + (r"\'" if found[2] else ""), str(value))
    return f"{key}='{quoted}'"


@contextmanager
def _composing() -> Iterator[None]:
    """Hydra on ``conf/``, named as at the shell; what it refuses is the user's mistake."""
    try:
        with (
            refuse_keys_below_null(),
            _beside_another_hydra(),
            initialize_config_dir(str(conf_folder()), job_name="run", version_base="1.3"),  # as Hydra names run.py
        ):
            yield
    except HydraException as error:
        raise ConfigError(message_of(error)) from error


@contextmanager
def _beside_another_hydra() -> Iterator[None]:
    """A process has one Hydra, one version base and one store of schemas; an application around us keeps its own."""
    hydra, version, repo = GlobalHydra.instance(), VersionBase.instance(), ConfigStore.instance().repo
    their_hydra, their_base, their_schema = hydra.hydra, version.getbase(), repo.get(SCHEMA_FILE)
    hydra.clear()
    try:
        register()
        yield
    finally:
        GlobalHydra.instance().hydra = their_hydra
        version.version_base = their_base
        if their_schema is not None:
            repo[SCHEMA_FILE] = their_schema
