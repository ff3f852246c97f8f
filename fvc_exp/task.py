"""One configuration, start to end: prepare the data, run the stage, write the folder. The one place that catches."""

from __future__ import annotations

import logging
import traceback
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fvc_exp.artifacts import RunFolder, write_atomic, write_config, write_result, write_status
from fvc_exp.config import Config, Stage
from fvc_exp.console import make_console, print_result, print_stage, progress_bar
from fvc_exp.data import load_dataset
from fvc_exp.errors import FvcError
from fvc_exp.experiment import run

log = logging.getLogger(__name__)


def execute(config: Config, path: Path) -> dict[str, Any]:
    """Run the configured stage in this folder; returns what ``status.json`` says, whatever happened."""
    folder = RunFolder(path)
    started = datetime.now(UTC)
    write_config(folder.config, config)
    try:
        facts = _run_stage(config, folder)
    except FvcError as error:
        log.error("%s", error)
        return write_status(folder, "failed", started, reason=type(error).__name__, message=str(error))
    except KeyboardInterrupt:
        write_status(folder, "interrupted", started, reason="KeyboardInterrupt", message="stopped by the user")
        raise
    except Exception as error:  # the worker boundary: a bug must leave its trace in the folder, too
        log.exception("unexpected %s: please report it with this log", type(error).__name__)
        text = traceback.format_exc()
        return write_status(folder, "failed", started, reason=type(error).__name__, message=str(error), traceback=text)
    return write_status(folder, "done", started, **facts)


def _run_stage(config: Config, folder: RunFolder) -> dict[str, Any]:
    stage = config.stage.name
    tables: dict[str, Any] = {}
    if config.data.prepare or stage is not Stage.train:
        from fvc_exp import pipeline  # decoders, which training on ready tables has no need of

        config = pipeline.with_demo(config, progress_bar)
        for each in pipeline.VIDEO_STAGES:
            if stage in (each, Stage.all):
                found = pipeline.run_video_stage(config, each, progress_bar)
                tables |= {name: asdict(summary) for name, summary in found.items()}
                print_stage(make_console(), each.name, found)
        if stage is Stage.train:
            pipeline.prepare_training(config, progress_bar)
    if stage in (Stage.train, Stage.all):
        train(config, folder)
    return {"tables": tables} if tables else {}


def train(config: Config, folder: RunFolder) -> None:
    """Cross-validate, refit, write all artifacts and print the table."""
    dataset = load_dataset(config.data, config.features)
    with progress_bar(f"{config.cv.n_splits * config.cv.n_repeats} folds") as on_progress:
        result = run(config, dataset, on_progress)
    write_result(folder, result)
    if config.plots:
        from fvc_exp.plots import roc_pr_figure, write_png

        write_atomic(folder.plot, lambda file: write_png(roc_pr_figure(result), file))
    print_result(make_console(), result, folder.path)
