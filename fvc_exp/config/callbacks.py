"""The moments at which Hydra lets a run or sweep be refused, and the exit code of a run be set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from fvc_exp.config.schema import Tracker
from fvc_exp.config.validate import to_typed
from fvc_exp.errors import FvcError
from fvc_exp.io.optional import require_mlflow

NOT_TRACKED = 3  # exit code: everything is done and lies in its folder, but it was not imported as configured


class CheckConfig(Callback):
    """Refuses a wrong configuration, or one whose tracker is not installed, before Hydra makes a folder for it.

    Hydra turns an exception in a callback into a warning, so the way out is SystemExit.
    """

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Check a single run."""
        task = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        with _exit_on_error():
            require_tracker(to_typed(task).tracking.name)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Check what all runs of a sweep share; the sweeper checks each configuration."""
        with _exit_on_error():
            require_tracker(config.tracking.name)

    def on_run_end(self, *_: Any, **kwargs: Any) -> None:
        """A run that failed by its status makes the process fail; one that was not imported, too."""
        job_return: JobReturn = kwargs["job_return"]
        if job_return.status is not JobStatus.COMPLETED:
            return
        if job_return.return_value["state"] != "done":
            raise SystemExit(1)
        if not job_return.return_value["tracked"]:
            raise SystemExit(NOT_TRACKED)


def require_tracker(tracker: Tracker) -> None:
    """Find out before the work begins whether its results could be imported.

    Raises:
        MissingExtraError: the tracker is not installed.
    """
    if tracker == Tracker.mlflow:
        require_mlflow()


@contextmanager
def _exit_on_error() -> Iterator[None]:
    try:
        yield
    except FvcError as error:
        raise SystemExit(f"error: {error}") from error
