"""Hydra at the shell: what it must know before it composes, and errors as one line instead of a traceback."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fvc_exp.config.schema import Config
from fvc_exp.errors import ConfigError, FvcError

SCHEMA_FILE = "base_config.yaml"  # as the ConfigStore calls what conf/config.yaml names base_config


_PLUGINS = str(Path(__file__).resolve().parents[1] / "plugins")


def register() -> None:
    """Give Hydra the schema, the process id for folder names that never collide, and the sweeper.

    Hydra looks for plugins in the namespace package ``hydra_plugins`` all over the path; ours lies inside this package,
    so that it is found in a checkout that nobody installed as well.
    """
    if _PLUGINS not in sys.path:
        sys.path.append(_PLUGINS)
    ConfigStore.instance().store(name=SCHEMA_FILE.removesuffix(".yaml"), node=Config)
    OmegaConf.register_new_resolver("pid", os.getpid, replace=True)


def run_shell(main: Callable[[], object]) -> None:
    """Call Hydra's main; a mistake of the user ends it with one message on stderr and exit code 1."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises what it would otherwise print as a traceback
    try:
        with refuse_keys_below_null():
            main()
    except KeyboardInterrupt:
        sys.exit("interrupted")
    except (FvcError, HydraException, OmegaConfBaseException) as error:
        sys.exit(f"error: {message_of(error)}")
    except OSError as error:
        sys.exit(f"error: {error.filename or ''}: {error.strerror or error}")


@contextmanager
def refuse_keys_below_null() -> Iterator[None]:
    """Name the mistake in an override such as data.demo.seed=1 with data=fvc, where OmegaConf only asserts.

    Raises:
        ConfigError: an override names a key below one that is null.
    """
    try:
        yield
    except AssertionError as error:
        if "Unexpected type for root" not in str(error):
            raise
        raise ConfigError(
            "an override names a key below one that is null: data.demo.* exists in data=demo only"
        ) from error


def message_of(error: BaseException) -> str:
    """Hydra's message on one line, without its search path and without its advice to add the unknown key."""
    text = str(error).split("\nConfig search path:")[0]
    if isinstance(error.__cause__, OmegaConfBaseException):
        cause = str(error.__cause__).splitlines()[0]
        text += "" if cause in text else f"\n{cause}"
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("To append to your config")]
    options = [line.strip() for line in lines if line.startswith("\t")]
    sentences = [line.rstrip(" .") for line in lines if not line.startswith("\t")]
    return "; ".join(sentences) + (f" {', '.join(options)}" if options else "")
