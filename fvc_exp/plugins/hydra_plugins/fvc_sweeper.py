"""Hydra's extension point for ``-m``. Hydra imports this at every start, so heavy imports wait until they are used."""

from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext
from omegaconf import DictConfig

from fvc_exp.config.hydra_app import NOT_TRACKED
from fvc_exp.io.imports import quick_imports
from fvc_exp.tracking.import_runs import track_at_end


class FvcSweeper(Sweeper):
    """Plans a grid, runs each distinct configuration once, and resumes what is missing; see ``fvc_exp.sweeps``.

    ``params`` are sweep overrides as in Hydra's own sweeper; those on the command line take precedence.
    """

    def __init__(self, params: dict[str, str] | None = None) -> None:
        self._params = params or {}

    def setup(self, *, hydra_context: HydraContext, config: DictConfig, **_: Any) -> None:
        """Take what Hydra composed; the launcher's settings are read from it, the launcher itself is not used."""
        self._config = config
        self._context = hydra_context

    def sweep(self, arguments: list[str]) -> Any:
        """Run the multirun; exit code 1 unless every configuration is done, 3 if only tracking failed."""
        params = [f"{key}={value}" for key, value in self._params.items()]
        with quick_imports():
            from fvc_exp.sweeps.multirun import run_multirun

            complete, folder = run_multirun(self._context.config_loader, self._config, [*params, *arguments])
        tracked = folder is None or track_at_end(folder.path, folder.read_plan().config)
        if not complete:
            raise SystemExit(1)
        if not tracked:
            raise SystemExit(NOT_TRACKED)
