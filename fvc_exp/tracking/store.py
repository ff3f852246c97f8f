"""Where imported runs go: a database below ``outputs/`` that is made whole or not at all, or a server."""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from pathlib import Path

from fvc_exp.config.validate import require_mlflow
from fvc_exp.errors import ArtifactError, TrackingError
from fvc_exp.io.files import exclusive_lock
from fvc_exp.runs.load import LoadedRun

_SQLITE = "sqlite:///"


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


def prepare_mlflow() -> None:
    """Make MLflow, which is loaded next, send no telemetry and print errors alone.

    Raises:
        MissingExtraError: it is not installed.
    """
    require_mlflow()
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
def opened(uri: str, path: Path) -> Iterator[None]:
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
    return exclusive_lock(path / ".track.lock") if os.access(path, os.W_OK) else nullcontext()


@contextmanager
def _locked_database(database: Path) -> Iterator[None]:
    if database.exists():
        _schema_of(database)  # a file that is no database gets no lock beside it
    database.parent.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(database.with_name(f".{database.name}.lock")):
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
