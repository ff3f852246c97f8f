"""One configuration from start to end: prepare the data, run the stage, write the folder, catch what goes wrong."""

import logging
import traceback
from collections.abc import Callable, Mapping
from contextlib import chdir, nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from fvc_exp._typing import Progress
from fvc_exp.config.canonical import write_config
from fvc_exp.config.schema import Config, Stage
from fvc_exp.data.dataset import Dataset, load_dataset
from fvc_exp.errors import ArtifactError, FvcError
from fvc_exp.io.console import make_console, progress_bar
from fvc_exp.io.files import read_json, write_bytes
from fvc_exp.io.run_folder import RunFolder, write_status
from fvc_exp.runs.artifacts import write_result
from fvc_exp.runs.load import LoadedRun
from fvc_exp.runs.show import print_result
from fvc_exp.stages.pipeline import print_stage
from fvc_exp.training.experiment import RunResult, run_experiment
from fvc_exp.training.split_dataset import SplitDataset

log = logging.getLogger(__name__)


def load_rows(config: Config) -> Dataset:
    """The rows that a configuration trains on."""
    return load_dataset(config.data, config.features)


def load_split(config: Config) -> SplitDataset:
    """The same rows, split as configured."""
    return SplitDataset.of(config, load_rows(config))


def execute(
    config: Config,
    path: Path,
    *,
    load: Callable[[Config], SplitDataset] = load_split,
    show: bool = True,
    facts: Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """Run the configured stage in this folder; returns what ``status.json`` says, whatever happened.

    ``load`` gives the rows to train on with their split, ``show`` prints the tables of results, ``facts`` go into the
    status.
    """
    folder = RunFolder(path)
    started = datetime.now(UTC)

    def end(state: str, **found: object) -> dict[str, Any]:
        return write_status(folder, state, started, **{**(facts or {}), **found})

    write_config(folder.config, config)
    try:
        found = _run_stage(config, lambda ready: train_and_write(ready, folder, load(ready), show=show))
    except FvcError as error:
        log.error("%s", error)
        return end("failed", reason=type(error).__name__, message=str(error))
    except KeyboardInterrupt:
        end("interrupted", reason="KeyboardInterrupt", message="stopped by the user")
        raise
    except Exception as error:  # the worker boundary: a bug must leave its trace in the folder, too
        log.exception("unexpected %s: please report it with this log", type(error).__name__)
        text = traceback.format_exc()
        return end("failed", reason=type(error).__name__, message=str(error), traceback=text)
    return end("done", **found)


def _run_stage(config: Config, train: Callable[[Config], None]) -> dict[str, Any]:
    stage = config.stage
    tables: dict[str, Any] = {}
    if config.data.prepare or stage is not Stage.train:
        from fvc_exp.stages import pipeline  # decoders, which training on ready tables has no need of

        config = pipeline.with_demo(config, progress_bar)
        for each in pipeline.VIDEO_STAGES:
            if stage in (each, Stage.all):
                found = pipeline.run_video_stage(config, each, progress_bar)
                tables |= {name: asdict(summary) for name, summary in found.items()}
                print_stage(make_console(), each.name, found)
        if stage is Stage.train:
            pipeline.prepare_training(config, progress_bar)
    if stage in (Stage.train, Stage.all):
        train(config)
    return {"tables": tables} if tables else {}


def prepared_dataset(config: Config) -> Dataset:
    """The rows that a training run of this configuration would have, after making what is missing."""
    if config.data.prepare:
        from fvc_exp.stages import pipeline

        config = pipeline.with_demo(config, progress_bar)
        pipeline.prepare_training(config, progress_bar)
    return load_rows(config)


def dataset_of(run: LoadedRun) -> Dataset:
    """The rows that a finished run was trained on, as they are now.

    Raises:
        ArtifactError: the folder is gone that the run was started in, and that its paths are relative to.
        DataError: the data is gone, or cannot be used any more.
    """
    start = Path(run.provenance["working_folder"])
    if not start.is_dir():
        raise ArtifactError(f"{start}: the run was started there, and its paths are relative to it; it is gone")
    with chdir(start):
        return prepared_dataset(run.config)


def train_and_write(
    config: Config,
    folder: RunFolder,
    data: SplitDataset,
    *,
    show: bool = True,
    plots: bool = True,
) -> None:
    """Cross-validate, refit, write all files of the run (without ``plots`` no picture), and print the table."""
    progress = progress_bar("folds") if show else nullcontext()
    with progress as on_progress:
        result = run_on_one_thread(config, data, on_progress)
    write_artifacts(folder, result, plots=plots)
    if show:
        print_result(make_console(), result, folder.path)


def run_on_one_thread(config: Config, data: SplitDataset, on_progress: Progress | None = None) -> RunResult:
    """Cross-validate and refit on one thread, since another number of threads may round differently.

    With more threads, the workers of a sweep would also fight for the cores.
    """
    with threadpool_limits(limits=1):
        return run_experiment(config, data, on_progress)


def write_artifacts(folder: RunFolder, result: RunResult, *, plots: bool = True) -> None:
    """Write all files of a result, and its picture unless ``plots`` or its configuration says no."""
    with threadpool_limits(limits=1):
        write_result(folder, result)
    if result.config.plots and plots:
        from fvc_exp.runs.plots import png_bytes, roc_pr_figure

        results = read_json(folder.results)
        write_bytes(folder.plot, png_bytes(roc_pr_figure(result.predictions(), results, result.config.data.name)))
