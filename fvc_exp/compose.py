"""Compose ``conf/`` into a typed configuration from Python, as run.py does at the shell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException

from fvc_exp.config import Config, to_typed
from fvc_exp.errors import ConfigError
from fvc_exp.shell import message_of, register

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
    register()
    try:
        with initialize_config_dir(str(conf_folder()), version_base="1.3"):
            return [to_typed(compose("config", overrides=list(each))) for each in overrides]
    except HydraException as error:
        raise ConfigError(message_of(error)) from error
