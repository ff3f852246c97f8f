"""Import a run or sweep into MLflow, on request or at its end.

It goes to a server, or into a database below ``outputs/`` that is made whole or not at all.
"""

import logging
import os
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from fvc_exp.config.schema import EXPERIMENT, Config, Tracker
from fvc_exp.config.validate import require_tracker
from fvc_exp.errors import ArtifactError, FvcError, TrackingError
from fvc_exp.io import console, files

_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class Tracked:
    """Where runs went: how many are new, how many were there before, and how many have not ended yet."""

    uri: str
    experiment: str
    imported: int
    present: int
    unfinished: int

    def __str__(self) -> str:
        late = f", {self.unfinished} have not ended yet" if self.unfinished else ""
        counts = f"{self.imported} imported, {self.present} already there{late}"
        return f"mlflow: {counts}; experiment {self.experiment!r} of {self.uri}"


def track(path: Path, uri: str | None = None, experiment: str = EXPERIMENT, register: str | None = None) -> Tracked:
    """Import a run or sweep into MLflow: each attempt once, however often and from wherever this is called.

    Files that came since the last call are added. The model of the run, or of the best run of the sweep, becomes a
    version of the registered model ``register``.

    Raises:
        MissingExtraError: MLflow is not installed.
        ArtifactError: there is no run that has ended, or a file of it is broken.
        TrackingError: the store cannot be opened or written, or there is no model to register.
    """
    from fvc_exp.tracking.records import read_records

    found = read_records(path)
    uri = default_uri(path) if uri is None else absolute_uri(uri)
    _prepare_mlflow()
    from fvc_exp.tracking.writer import write_all  # loads MLflow: seconds, for which no other importer should wait

    with _opened(uri, path):
        new = write_all(uri, artifacts_uri(uri), experiment, found, register)
    return Tracked(console.without_passwords(uri), experiment, new, len(found.runs) - new, found.unfinished)


def track_at_end(path: Path, config: Config) -> bool:
    """Import a run or sweep that has just ended, if it is configured so; False if that failed.

    The results are in their folder before this begins, and stay there: nothing is raised for what MLflow does.
    """
    settings = config.tracking
    if settings.name is Tracker.none:
        return True
    failure = ""
    try:
        text = str(track(path, settings.uri, settings.experiment))
    except FvcError as error:
        failure = f"not imported into mlflow: {error}"
    except Exception as error:  # a defect of MLflow or ours must not look like a failed run, whose results are there
        logging.getLogger(__name__).exception("unexpected %s: please report it with this log", type(error).__name__)
        failure = "not imported into mlflow"
    if failure:
        where = ["--uri", settings.uri] if settings.uri else []
        which = ["--experiment", settings.experiment] if settings.experiment != EXPERIMENT else []
        command = shlex.join(["fvc", "track", str(path), *where, *which])
        text = f"{failure}; the results are in {path}; to import them: {command}"
    console.make_console(stderr=True).print(console.printable(text), soft_wrap=True, markup=False, highlight=False)
    return not failure


def absolute_uri(uri: str) -> str:
    """The URI of a store with the path of its database made absolute, from the working folder.

    Raises:
        TrackingError: it is neither a database file nor a server.
    """
    if uri.startswith(("http://", "https://")):
        return uri
    if not uri.startswith(_SQLITE) or uri == _SQLITE:
        raise TrackingError(f"uri={uri} is not supported: it must be {_SQLITE}PATH, http://HOST:PORT or https://HOST")
    return f"{_SQLITE}{Path(uri.removeprefix(_SQLITE)).absolute()}"


def default_uri(path: Path) -> str:
    """``$MLFLOW_TRACKING_URI``, else ``mlflow/mlflow.db`` in the outputs folder that holds this run or sweep.

    A run that was put elsewhere belongs to its configured ``outputs``, relative to the working folder.
    """
    if uri := os.environ.get("MLFLOW_TRACKING_URI"):
        return absolute_uri(uri)
    from fvc_exp.runs.load import LoadedRun  # tables, which a run that is not tracked has no need of

    run = LoadedRun(path)
    if (outputs := run.outputs) is None:
        try:
            outputs = Path(run.config.outputs)
        except ArtifactError:  # a run that failed before it had a configuration
            outputs = Path("outputs")
    return absolute_uri(f"{_SQLITE}{outputs / 'mlflow' / 'mlflow.db'}")


def artifacts_uri(uri: str) -> str | None:
    """Where a new experiment of a store keeps its artifacts; None for a server, which decides that itself."""
    return (Path(uri.removeprefix(_SQLITE)).parent / "artifacts").as_uri() if uri.startswith(_SQLITE) else None


def _prepare_mlflow() -> None:
    """Make MLflow, which is loaded next, send no telemetry and print errors alone."""
    require_tracker(Tracker.mlflow)
    os.environ |= {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    }
    # With its own 7 it takes minutes until a server that is not there is reported.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    for name in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)


@contextmanager
def _opened(uri: str, path: Path) -> Iterator[None]:
    """Be the only importer while the block runs, into a database or else of this run; a missing database is made.

    Raises:
        TrackingError: the database is of another version, or is none; or what MLflow raises in the block.
    """
    from mlflow import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    database = Path(uri.removeprefix(_SQLITE)) if uri.startswith(_SQLITE) else None
    try:
        with _locked_database(database) if database else _locked_run(path):
            yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise TrackingError(f"{uri}: {_one_line(error)}") from error


def _locked_run(path: Path) -> AbstractContextManager[None]:
    """A lock beside the files of the run; none where nobody may write there."""
    return files.exclusive_lock(path / ".track.lock") if os.access(path, os.W_OK) else nullcontext()


@contextmanager
def _locked_database(database: Path) -> Iterator[None]:
    if database.exists():
        _schema_of(database)  # a file that is no database gets no lock beside it
    database.parent.mkdir(parents=True, exist_ok=True)
    with files.exclusive_lock(database.with_name(f".{database.name}.lock")):
        if not database.exists():
            _make(database)
        _check_schema(database)
        yield


def _check_schema(database: Path) -> None:
    """Refuse a database of another version, before MLflow opens it and changes it."""
    from mlflow import __version__
    from mlflow.store.db.utils import _get_latest_schema_revision  # MLflow has no public name for it

    found, newest = _schema_of(database), _get_latest_schema_revision()
    if found != newest:
        versions = f"schema {found}, mlflow {__version__} has {newest}"
        upgrade = f"cp '{database}' '{database}.bak' && mlflow db upgrade '{_SQLITE}{database}'"
        raise TrackingError(
            f"{database}: was written by another mlflow ({versions}); nothing was changed: install the mlflow that "
            f"wrote it, choose another --uri, or bring an older database up to date: {upgrade}"
        )


def _make(database: Path) -> None:
    """Make it under another name first: a database that was begun and not completed could never be used."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    temporary = database.with_name(f".{database.name}.new")
    temporary.unlink(missing_ok=True)
    SqlAlchemyStore(f"{_SQLITE}{temporary}", artifacts_uri(f"{_SQLITE}{database}")).engine.dispose()
    if database.exists():  # a server that was started on it meanwhile
        temporary.unlink()
    else:
        temporary.rename(database)


def _schema_of(database: Path) -> str:
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        if row := connection.execute("SELECT version_num FROM alembic_version").fetchone():
            return str(row[0])
    raise TrackingError(f"{database}: is no database of mlflow; choose another --uri")


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    text = str(error).strip().splitlines()[0]
    return "the server does not answer" if "Max retries exceeded" in text else text
