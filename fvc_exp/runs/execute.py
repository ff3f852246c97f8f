"""One run from start to end: data, stage, files, errors; and the rows of a finished one."""

import logging
import shlex
import sys
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import chdir, nullcontext
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from fvc_exp._typing import Progress, no_progress
from fvc_exp.config.canonical import write_config
from fvc_exp.config.schema import Config, Stage, Table
from fvc_exp.data.dataset import Dataset, load_dataset
from fvc_exp.data.folds import CV
from fvc_exp.data.splits import make_split
from fvc_exp.errors import ArtifactError, DataError, FvcError
from fvc_exp.io import console, files, run_folder
from fvc_exp.runs.artifacts import write_result
from fvc_exp.runs.load import LoadedRun
from fvc_exp.runs.show import print_details, print_summary
from fvc_exp.training.experiment import RunResult, leak_price, run_experiment
from fvc_exp.training.solvers.grid import numerical_libraries
from fvc_exp.training.split_dataset import SharedFits, SplitDataset, grid_key, points_of

log = logging.getLogger(__name__)

_KEPT = 8  # data sets, and splits: a sweep over seeds has folds for each
Value = TypeVar("Value")


def load_split(config: Config) -> SplitDataset:
    """The rows that a configuration trains on, split as configured."""
    dataset = load_dataset(config.data, config.features)
    log.info("read %d rows in %d groups, %d features", len(dataset.X), dataset.n_groups, dataset.X.shape[1])
    return SplitDataset.of(config, dataset)


class SplitCache:
    """Data sets by their configuration, and splits by folds, audit and seed: each is made once for many runs.

    One object serves the runs of a process that belong together, such as those of a sweep.
    """

    def __init__(self) -> None:
        self._datasets: dict[str, Dataset] = {}
        self._splits: dict[str, SplitDataset] = {}
        self._fits: dict[str, SharedFits] = {}

    def split_dataset(self, config: Config, planned_sha256: str | None) -> SplitDataset:
        """Rows and folds of a run, with the fits that its grid shares; the rows must be those that were planned.

        Raises:
            DataError: the rows are missing, have changed, or cannot be split like this.
        """
        source = repr((config.data, config.features))
        rows = _once(self._datasets, source, lambda: load_dataset(config.data, config.features))
        if planned_sha256 not in (None, found := rows.content_hash):
            raise DataError(
                f"{config.data.root}: the data changed after the sweep was planned (sha256 {found[:12]}, "
                f"planned {planned_sha256[:12]}); give the command again for a sweep of the new data"
            )
        cv, audit, seed = config.cv, config.audit, config.seed
        return _once(
            self._splits,
            repr((found, source, cv, audit, seed)),
            # The price of a leak is for the best run of a sweep alone, see price_of_run.
            lambda: SplitDataset(rows, make_split(rows, cv, seed), audit, seed, self._fits).without_price(),
        )

    def fit_together(
        self,
        planned: Sequence[tuple[Config, str | None]],
        wanted: Collection[Config],
        on_progress: Progress = no_progress,
    ) -> None:
        """Fit the grids that the wanted configurations belong to, and keep them for the split data sets from here.

        ``planned`` holds all configurations with the hash of their rows. A grid is always fitted as a whole, so that
        its numbers do not depend on what was finished before. Those whose data cannot be used are skipped here; each
        fails with that reason when it is run.
        """
        grids: dict[str, list[tuple[Config, str | None]]] = {}
        for config, sha256 in planned:
            grids.setdefault(grid_key(config), []).append((config, sha256))
        for grid in grids.values():
            points = dict.fromkeys(point for config, _ in grid for point in points_of(config))
            if not points or not any(config in wanted for config, _ in grid):
                continue
            try:
                self.split_dataset(*grid[0]).fit_together(grid[0][0], points, on_progress)
            except DataError as error:
                log.info("no fits to share: %s", error)


def _once(known: dict[str, Value], key: str, make: Callable[[], Value]) -> Value:
    """The value of this key, made where it is not known; the oldest ones are forgotten."""
    if key not in known:
        value = make()
        while len(known) >= _KEPT:
            del known[next(iter(known))]
        known[key] = value
    return known[key]


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
        log.info("%s after %s", state, datetime.now(UTC) - started)
        return run_folder.write_status(folder, state, started, **{**known, **found})

    try:
        folder.clear()
        log.info("stage %s: %s", config.stage.name, shlex.join(sys.argv))
        write_config(folder.config, config)
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
        return end("failed", reason=type(error).__name__, message=str(error), traceback=traceback.format_exc())
    return end("done", **found)


def _run_stage(config: Config, train: Callable[[Config], None]) -> dict[str, Any]:
    if config.stage is Stage.train:
        train(_prepared(config))
        return {}
    from fvc_exp.stages import pipeline

    config = pipeline.with_place(config)
    is_all, tables = config.stage is Stage.all, dict[str, Any]()
    if is_all:
        pipeline.require_split(config)
    for stage in pipeline.VIDEO_STAGES if is_all else (config.stage,):
        found = pipeline.run_video_stage(config, stage)
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

        return pipeline.prepare_training(config)
    return config


def prepared_dataset(config: Config) -> Dataset:
    """The rows that a training run of this configuration would have, after making what is missing."""
    config = _prepared(config)
    return load_dataset(config.data, config.features)


def dataset_of(run: LoadedRun, data_root: Path | None = None) -> Dataset:
    """The rows that a finished run was trained on, as they are now, read where the user has them.

    That is below ``data_root``, which takes the place of the run's ``data.root``. Else paths are relative to where the
    run was started, if the user stands there or keeps the run there; to the working folder of a run from elsewhere,
    and none may then lead out of it; what such a run lacks, a demo corpus too, is made among the temporary files.

    Raises:
        ArtifactError: a path leads to where the user did not say that the data lies.
        DataError: the data is gone, or cannot be used any more.
    """
    here, started = Path.cwd(), Path(run.provenance["working_folder"])
    homes = (here, run.path.absolute().parent, run.outputs.parent if run.outputs else here)
    start = next((home for home in homes if home.resolve() == started.resolve()), here)
    config = run.config
    if data_root:
        config = replace(config, data=replace(config.data, root=str(data_root.absolute())))
    with chdir(start), files.temporary_folder("data") as clean:
        if data_root or start.resolve() != started.resolve():
            _require_inside(config, Path(config.data.root) if data_root else start, run)
            config = replace(config, outputs=str(clean), data=replace(config.data, made=None))
            if (demo := config.data.demo) is not None:
                from fvc_exp.demo.corpus import corpus_folder  # decoders, which ready tables have no need of

                if not corpus_folder(Path(config.data.root), demo).is_dir():
                    config = replace(config, data=replace(config.data, root=str(clean)))
        return prepared_dataset(config)


def _require_inside(config: Config, place: Path, run: LoadedRun) -> None:
    """Refuse paths of a configuration that lead out of this folder."""
    data = config.data
    tables = (data.videos, data.scaled_metadata, *(data.table(table) for table in Table))
    for name in (data.root, *(Path(data.root, name) for name in tables if name), config.cv.folds or place):
        if not Path(name).resolve().is_relative_to(place.resolve()):
            raise ArtifactError(
                f"{run.folder.config}: names {name}, which is not below {place}, and the run was started in "
                f"{run.provenance['working_folder']}; go there, or say where its data lies: --data-root FOLDER"
            )


def same_rows(run: LoadedRun, data_root: Path | None = None) -> SplitDataset:
    """The rows and folds of a finished run.

    Raises:
        ArtifactError, DataError: as ``dataset_of``, or the data has changed since.
    """
    dataset, before = dataset_of(run, data_root), run.provenance["data_sha256"]
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
    with numerical_libraries().limit(limits=1):
        found = leak_price(run.config, data, probability)
    return found.to_json() if found else None


def train_and_write(config: Config, folder: run_folder.RunFolder, data: SplitDataset, *, show: bool = True) -> None:
    """Cross-validate, refit, write all files of the run, and print the summary."""
    with console.progress_bar("folds") if show else nullcontext(no_progress) as on_progress:
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
    with numerical_libraries().limit(limits=1):
        return run_experiment(config, data, on_progress)


def write_artifacts(folder: run_folder.RunFolder, result: RunResult) -> None:
    """Write all files of a result, and its pictures unless its configuration says no."""
    with numerical_libraries().limit(limits=1):
        write_result(folder, result)
    if result.config.plots:
        from fvc_exp.runs.curves import write_curves

        write_curves(folder, result.predictions(), files.read_json(folder.results), result.config.data.name)
