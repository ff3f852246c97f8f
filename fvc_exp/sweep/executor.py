"""Executors of submitit, set up as ``hydra-submitit-launcher`` does it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from fvc_exp.errors import ConfigError
from fvc_exp.sweep.submissions import Cluster

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_LAUNCHER_SCHEMA = "hydra_plugins.hydra_submitit_launcher.config"


def make_executor(cluster: Cluster, settings: Mapping[str, Any], folder: str) -> Any:
    """An executor with the launcher node's parameters, whose jobs leave their files in ``folder``.

    Raises:
        ConfigError: submitit does not take one of the parameters.
    """
    import submitit

    given = {key: value for key, value in settings.items() if key not in ("_target_", "submitit_folder")}
    first = {"slurm_max_num_timeout": given.pop("max_num_timeout")} if "max_num_timeout" in given else {}
    first |= {"slurm_python": job_python()}
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster.value, **first)
        common = import_module(_LAUNCHER_SCHEMA).BaseQueueConf.__dataclass_fields__
        executor.update_parameters(
            **{key if key in common else f"{cluster.value}_{key}": value for key, value in given.items()}
        )
    except (NameError, RuntimeError, ValueError) as error:
        raise ConfigError(f"hydra.launcher: {' '.join(str(error).split())}") from error
    return executor


def job_python() -> str:
    """The shell words that start Python in a job.

    SLURM warns of the time limit by SIGUSR2, up to a minute earlier than asked for: near a short limit that is before
    Python can handle it, and it would kill a job that had time left. Ignored signals stay so until a handler is set.
    """
    return f"""sh -c 'trap "" USR2; exec "$0" "$@"' {shlex.quote(sys.executable)}"""


@contextmanager
def importable() -> Iterator[None]:
    """Let a job's Python find this package where it is not installed but run from a checkout."""
    from submitit.core.utils import environment_variables

    known = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    with environment_variables(PYTHONPATH=os.pathsep.join(dict.fromkeys([*known, str(_PACKAGE_ROOT)]))):
        yield
