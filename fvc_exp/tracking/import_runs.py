"""Import a run or sweep, on request or at its end."""

import logging
import shlex
from dataclasses import dataclass
from pathlib import Path

from fvc_exp.config.canonical import read_config
from fvc_exp.config.schema import EXPERIMENT, Config, Tracker
from fvc_exp.errors import ArtifactError, FvcError, TrackingError
from fvc_exp.io.console import make_console
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.sweeps.folder import SweepFolder
from fvc_exp.tracking.run_record import Record, read_run
from fvc_exp.tracking.store import default_store, load_mlflow, opened, store_at
from fvc_exp.tracking.sweep_record import SweepRecord, read_sweep
from fvc_exp.tracking.writer import Writer, writer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tracked:
    """Where runs went: how many are new, how many stood there, and how many have not ended yet."""

    uri: str
    experiment: str
    imported: int
    present: int
    unfinished: int

    def __str__(self) -> str:
        late = f", {self.unfinished} have not ended yet" if self.unfinished else ""
        counts = f"{self.imported} imported, {self.present} already there{late}"
        return f"mlflow: {counts}; experiment {self.experiment!r} of {self.uri}"


def track(path: Path, uri: str | None = None, experiment: str = EXPERIMENT) -> Tracked:
    """Bring a run or sweep into MLflow: each attempt once, however often and from wherever this is called.

    Raises:
        MissingExtraError: MLflow is not installed.
        ArtifactError: there is no run that has ended, or a file of it is broken.
        TrackingError: the store cannot be opened or written.
    """
    record = read_sweep(path) if SweepFolder(path).plan.exists() else read_run(path)
    store = store_at(uri) if uri is not None else default_store(path, _outputs(path))
    mlflow = load_mlflow()
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with opened(store, path), writer(store, experiment) as out:
            new, all_of_them = _write(out, record)
    except (mlflow.MlflowException, SQLAlchemyError, OSError) as error:
        raise TrackingError(f"{store.uri}: {_one_line(error)}") from error
    unfinished = record.unfinished if isinstance(record, SweepRecord) else 0
    return Tracked(store.uri, experiment, new, all_of_them - new, unfinished)


def track_at_end(path: Path, config: Config) -> bool:
    """Bring a run or sweep that has just ended into MLflow if it is configured so; False if that failed.

    The results are in their folder before this begins, and stay there: nothing is raised for what MLflow does.
    """
    if config.tracking.name is Tracker.none:
        return True
    console = make_console(stderr=True)
    try:
        text = str(track(path, config.tracking.uri, config.tracking.experiment))
        return True
    except FvcError as error:
        text = f"not imported into mlflow: {error}; the results are in {path}; to import them: {_hint(path, config)}"
        return False
    except Exception as error:  # a bug of MLflow or ours must not look like one of the run, whose results stand
        log.exception("unexpected %s: please report it with this log", type(error).__name__)
        text = f"not imported into mlflow; the results are in {path}; to import them: {_hint(path, config)}"
        return False
    finally:
        console.print(text, soft_wrap=True, markup=False, highlight=False)


def _hint(path: Path, config: Config) -> str:
    settings = config.tracking
    where = ["--uri", settings.uri] if settings.uri else []
    which = ["--experiment", settings.experiment] if settings.experiment != EXPERIMENT else []
    return shlex.join(["fvc", "track", str(path), *where, *which])


def _write(out: Writer, record: Record | SweepRecord) -> tuple[int, int]:
    """How many runs were written, and of how many; the parent of a sweep is not counted."""
    if isinstance(record, Record):
        return int(out.write(record)), 1
    parent = out.begin_parent(record.parent)
    new = sum(out.write(child, parent) for child in record.children)
    out.end_parent(parent, record.parent)
    return new, len(record.children)


def _outputs(path: Path) -> str:
    """The configured outputs folder of a run or sweep."""
    try:
        sweep = SweepFolder(path)
        config = sweep.read_plan().members[0].config if sweep.plan.exists() else read_config(RunFolder(path).config)
    except ArtifactError:
        return "outputs"
    return config.outputs


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    text = str(error).strip().splitlines()[0]
    return "the server does not answer" if "Max retries exceeded" in text else text
