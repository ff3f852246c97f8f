"""The one entry: ``python run.py penalty=elasticnet C=0.1``; see README.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fvc_exp.config.hydra_app import register, run_shell
from fvc_exp.config.validate import to_typed
from fvc_exp.tracking.import_runs import track_at_end

register()


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(composed: DictConfig) -> dict[str, Any]:
    """Run one composed configuration in the folder that Hydra made for it."""
    from fvc_exp.runs.execute import execute  # scikit-learn takes seconds to import; --help must not wait for it

    config, folder = to_typed(composed), Path(HydraConfig.get().runtime.output_dir)
    status = execute(config, folder)
    return {**status, "tracked": track_at_end(folder, config)}


if __name__ == "__main__":
    run_shell(main)
