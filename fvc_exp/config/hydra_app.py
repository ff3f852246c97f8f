"""Hydra at the shell: what it must know before it composes, its callbacks, and errors as one line of text."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fvc_exp.config import validate
from fvc_exp.config.schema import Config, Tracker
from fvc_exp.errors import ConfigError, FvcError

NOT_TRACKED = 3  # exit code: everything is done and lies in its folder, but it was not imported as configured
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


class CheckConfig(Callback):
    """Refuses a wrong configuration before Hydra makes a folder for it.

    Hydra turns an exception in a callback into a warning, so the way out is SystemExit.
    """

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Check a single run."""
        task = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        try:
            if validate.to_typed(task).tracking.name is Tracker.mlflow:
                validate.require_mlflow()
        except FvcError as error:
            raise SystemExit(f"error: {error}") from error

    def on_run_end(self, *_: Any, **kwargs: Any) -> None:
        """A run that failed and said so in its status makes the process fail; one that was not imported, too."""
        job_return: JobReturn = kwargs["job_return"]
        if job_return.status is not JobStatus.COMPLETED:
            return
        if job_return.return_value["state"] != "done":
            raise SystemExit(1)
        if not job_return.return_value.get("tracked", True):
            raise SystemExit(NOT_TRACKED)
