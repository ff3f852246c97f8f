"""One run from start to end (data, stage, files, errors), and ``verify``, which runs a finished one again."""

import logging
import shlex
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from fvc_exp._typing import Progress, no_progress
from fvc_exp.config.canonical import write_config
from fvc_exp.config.schema import Config, Stage
from fvc_exp.data.dataset import Dataset, load_dataset
from fvc_exp.data.folds import CV
from fvc_exp.errors import ArtifactError, DataError, FvcError
from fvc_exp.io import console, files, run_folder
from fvc_exp.runs.artifacts import provenance, write_result
from fvc_exp.runs.load import LoadedRun, require_finished
from fvc_exp.runs.show import print_details, print_summary
from fvc_exp.training.experiment import RunResult, leak_price, run_experiment
from fvc_exp.training.shared_fits import read_points
from fvc_exp.training.split_dataset import SplitDataset

log = logging.getLogger(__name__)

_MOST_DIFFERENCES = 10
_COMPARED = ("folds", "metrics", "coefficients", "predictions")


def load_split(config: Config) -> SplitDataset:
    """The rows that a configuration trains on, split as configured."""
    dataset = load_dataset(config.data, config.features)
    log.info("read %d rows in %d groups, %d features", len(dataset.X), dataset.n_groups, dataset.X.shape[1])
    return SplitDataset.of(config, dataset)


def execute(
    config: Config,
    path: Path,
    *,
    load: Callable[[Config], SplitDataset] = load_split,
    show: bool = True,
    facts: Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """Run the configured stage in this folder; returns the content of ``status.json``, also when the run fails.

    ``load`` gives the rows to train on with their split, ``show`` prints the tables of results, ``facts`` go into the
    status.
    """
    folder = run_folder.RunFolder(path)
    started = datetime.now(UTC)
    known = {"name": config.name, "tags": config.tags, **(facts or {})}

    def end(state: str, **found: object) -> dict[str, Any]:
        status = run_folder.write_status(folder, state, started, **{**known, **found})
        log.info("%s after %s", state, datetime.now(UTC) - started)
        return status

    log.info("stage %s: %s", config.stage.name, shlex.join(sys.argv))
    write_config(folder.config, config)
    try:
        found = _run_stage(config, lambda ready: train_and_write(ready, folder, load(ready), show=show))
    except FvcError as error:
        log.error("%s", error)
        return end("failed", reason=type(error).__name__, message=str(error))
    except KeyboardInterrupt as stopped:
        name = str(stopped) or "SIGINT"
        end("interrupted", reason=f"stopped by {name}", message="", signal=name)
        raise
    except Exception as error:  # the worker boundary: a bug must leave its trace in the folder, too
        log.exception("unexpected %s: please report it with this log", type(error).__name__)
        text = traceback.format_exc()
        return end("failed", reason=type(error).__name__, message=str(error), traceback=text)
    return end("done", **found)


def _run_stage(config: Config, train: Callable[[Config], None]) -> dict[str, Any]:
    if config.stage is Stage.train:
        train(_prepared(config))
        return {}
    from fvc_exp.stages import pipeline

    config = pipeline.with_place(config, console.progress_bar)
    is_all, tables = config.stage is Stage.all, dict[str, Any]()
    if is_all:
        pipeline.require_split(config)
    for stage in pipeline.VIDEO_STAGES if is_all else (config.stage,):
        found = pipeline.run_video_stage(config, stage, console.progress_bar)
        tables |= {name: asdict(summary) for name, summary in found.items()}
        pipeline.print_stage(console.make_console(), stage.name, found)
        if is_all:
            pipeline.require_measured(found, config.data.max_unmatched)
    if is_all:
        train(config)
    return {"tables": tables}


def _prepared(config: Config) -> Config:
    """The configuration with the place of its tables, after making those that are missing."""
    if config.data.prepare:
        from fvc_exp.stages import pipeline  # decoders, which training on ready tables has no need of

        config = pipeline.with_place(config, console.progress_bar)
        pipeline.require_split(config)
        pipeline.prepare_training(config, console.progress_bar)
    return config


def prepared_dataset(config: Config) -> Dataset:
    """The rows that a training run of this configuration would have, after making what is missing."""
    config = _prepared(config)
    return load_dataset(config.data, config.features)


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


def same_rows(run: LoadedRun) -> SplitDataset:
    """The rows and folds of a finished run.

    Raises:
        ArtifactError, DataError: as ``dataset_of``, or the data has changed since.
    """
    dataset, before = dataset_of(run), run.provenance["data_sha256"]
    if (found := dataset.content_hash) != before:
        raise DataError(f"{run.config.data.root}: the data changed: sha256 was {before}, is {found}")
    return SplitDataset.of(run.config, dataset)


def price_of_run(run: LoadedRun) -> dict[str, Any] | None:
    """The price of a leak for a finished run that was made without it, as ``results.json`` holds it.

    Raises:
        ArtifactError, DataError: as ``same_rows``.
    """
    if not run.config.audit.price:
        return None
    data = same_rows(run)
    probability = run.predictions.filter(split=CV)["probability"].to_numpy()
    with threadpool_limits(limits=1):
        found = leak_price(run.config, data, probability)
    return found.to_json() if found else None


def train_and_write(config: Config, folder: run_folder.RunFolder, data: SplitDataset, *, show: bool = True) -> None:
    """Cross-validate, refit, write all files of the run, and print the summary."""
    progress = console.progress_bar("folds") if show else nullcontext(no_progress)
    with progress as on_progress:
        result = run_on_one_thread(config, data, on_progress)
    write_artifacts(folder, result)
    if show:
        output, run = console.make_console(), LoadedRun(folder.path)
        if config.verbose:
            print_details(output, run)
        print_summary(output, run)


def run_on_one_thread(config: Config, data: SplitDataset, on_progress: Progress = no_progress) -> RunResult:
    """Cross-validate and refit on one thread, since another number of threads may round differently.

    With more threads, the workers of a sweep would also fight for the cores.
    """
    with threadpool_limits(limits=1):
        return run_experiment(config, data, on_progress)


def write_artifacts(folder: run_folder.RunFolder, result: RunResult) -> None:
    """Write all files of a result, and its pictures unless its configuration says no."""
    with threadpool_limits(limits=1):
        write_result(folder, result)
    if result.config.plots:
        from fvc_exp.runs.curves import write_curves

        write_curves(folder, result.predictions(), files.read_json(folder.results), result.config.data.name)


@dataclass(frozen=True)
class Verification:
    """The result of a second run: identical, or the first differences in the order of the work."""

    identical: bool
    differences: tuple[str, ...]
    packages: tuple[str, ...]

    def __str__(self) -> str:
        if self.identical:
            return "identical: data, folds, coefficients, predictions and metrics, bit for bit"
        changed = "; ".join(self.packages) or "none"
        return "\n".join(("different:", *(f"  {each}" for each in self.differences), f"  changed since: {changed}"))


def verify(path: Path) -> Verification:
    """Train again in a clean folder from the stored configuration, and compare with the run bit by bit.

    Raises:
        ArtifactError: the folder holds no finished training run.
        DataError: the data of the run is not there any more, or cannot be used.
    """
    run = require_finished(path)
    differences = list(islice(_differences(run, dataset_of(run)), _MOST_DIFFERENCES))
    now = provenance(run.provenance["data_sha256"], run.config.seed)
    changed = _changed(run.provenance, now) if differences else ()
    return Verification(not differences, tuple(differences), tuple(changed))


def _differences(run: LoadedRun, dataset: Dataset) -> Iterator[str]:
    fitted_with, before = read_points(run.provenance.get("fitted_with", ())), run.provenance["data_sha256"]
    data = SplitDataset.of(run.config, dataset).without_price().refitted(run.config, fitted_with)
    if data.dataset.content_hash != before:
        yield f"data: sha256 was {before}, is {data.dataset.content_hash}"
    with tempfile.TemporaryDirectory(prefix="fvc-verify-") as clean:
        again = LoadedRun(Path(clean))
        train_and_write(replace(run.config, plots=False), again.folder, data, show=False)
        for name in _COMPARED:
            file = getattr(run.folder, name).name
            for difference in _record_differences(_records(run, name), _records(again, name)):
                yield f"{file}: {difference}"


def _records(run: LoadedRun, name: str) -> Sequence[Mapping[str, Any]]:
    return run.fold_records if name == "metrics" else getattr(run, name).to_dicts()


def _record_differences(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if len(before) != len(after):
        yield f"had {len(before)} records, has {len(after)}"
    for number, (old, new) in enumerate(zip(before, after, strict=False), start=1):
        for key in {**old, **new}:
            if old.get(key) != new.get(key):
                yield f"record {number}, {key}: was {old.get(key)!r}, is {new.get(key)!r}"


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Packages, Python, code and machine that are not what they were, each with both values."""
    for name in sorted(before["packages"] | after["packages"]):
        if (old := before["packages"].get(name)) != (new := after["packages"].get(name)):
            yield f"{name} {old} -> {new}"
    for name in ("python", "platform", "git", "threads", "cpu_count"):
        if before.get(name) != after.get(name):
            yield f"{name} {before.get(name)} -> {after.get(name)}"
