"""Compose ``conf/`` into a typed configuration from Python, as run.py does at the shell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.version import VersionBase

from fvc_exp.config import Config, to_typed
from fvc_exp.errors import ConfigError
from fvc_exp.shell import SCHEMA_FILE, message_of, register

_PACKAGE = Path(__file__).resolve().parent


def conf_folder() -> Path:
    """``conf/`` beside the package in a checkout, inside it when it was installed from a wheel."""
    inside = _PACKAGE / "conf"
    return inside if inside.is_dir() else _PACKAGE.parent / "conf"


def compose_configs(overrides: Sequence[Sequence[str]]) -> list[Config]:
    """One typed configuration for each list of overrides, such as ``["penalty=l1", "C=0.1"]``.

    Raises:
        ConfigError: an override names an unknown key or option, or a value that is not allowed.
    """
    try:
        with _beside_another_hydra(), initialize_config_dir(str(conf_folder()), version_base="1.3"):
            return [to_typed(compose("config", overrides=list(each))) for each in overrides]
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
