"""Where imported runs go: a database below ``outputs/`` that is made whole or not at all, or a server."""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fvc_exp.config.validate import require_mlflow
from fvc_exp.errors import TrackingError
from fvc_exp.io.files import exclusive_lock
from fvc_exp.sweeps.folder import SweepFolder

_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


_DEFAULTS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}  # of 7, a server that is not there takes minutes to be missed


def load_mlflow() -> Any:
    """Load MLflow, with telemetry off and without its running commentary. Takes seconds.

    Raises:
        MissingExtraError: it is not installed.
    """
    require_mlflow()
    os.environ.update(_SETTINGS)
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    import mlflow

    for name in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return mlflow


_SQLITE = "sqlite:///"


_SERVERS = ("http://", "https://")


@dataclass(frozen=True)
class Store:
    """A tracking store; ``database`` is its file, or None for a server."""

    uri: str
    database: Path | None

    @property
    def artifacts(self) -> str | None:
        """The URI where a new experiment keeps its artifacts; a server decides that itself."""
        return (self.database.parent / "artifacts").as_uri() if self.database else None


def store_at(uri: str) -> Store:
    """The store of a URI; a relative file is taken from the working folder, and made absolute.

    Raises:
        TrackingError: it is neither a database file nor a server.
    """
    if uri.startswith(_SERVERS):
        return Store(uri, None)
    if not uri.startswith(_SQLITE) or not uri.removeprefix(_SQLITE):
        raise TrackingError(f"uri={uri} is not supported: it must be {_SQLITE}PATH, http://HOST:PORT or https://HOST")
    database = Path(uri.removeprefix(_SQLITE)).absolute()
    return Store(f"{_SQLITE}{database}", database)


def default_store(run: Path, outputs: str) -> Store:
    """``$MLFLOW_TRACKING_URI``, else ``mlflow/mlflow.db`` in the outputs folder that holds this run or sweep.

    A run that was put elsewhere belongs to its configured ``outputs``, relative to the working folder.
    """
    if uri := os.environ.get("MLFLOW_TRACKING_URI"):
        return store_at(uri)
    holders = (path.parent for path in run.resolve().parents if path.name in ("runs", "sweeps"))
    # A sweep has a folder runs/ of its own, too.
    found = next((path for path in holders if not SweepFolder(path).plan.exists()), Path(outputs))
    return store_at(f"{_SQLITE}{found / 'mlflow' / 'mlflow.db'}")


@contextmanager
def opened(store: Store, run: Path) -> Iterator[None]:
    """Be the only importer while the block runs, of a database or else of this run; a missing database is made.

    Raises:
        TrackingError: the database is of another version, or is none.
        OSError: its folder cannot be written.
    """
    mlflow_version = load_mlflow().__version__  # takes seconds, which nobody else should have to wait for
    if store.database is None:
        with _alone_with(run):
            yield
        return
    if store.database.exists():
        _schema_of(store.database)  # before a lock is made beside what is none of ours
    store.database.parent.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(store.database.with_name(f".{store.database.name}.lock")):
        if not store.database.exists():
            _make(store, store.database)
        _check_schema(store.database, mlflow_version)
        yield


def _alone_with(run: Path) -> AbstractContextManager[None]:
    """A lock beside the files that are imported; where nobody may write there, without one."""
    return exclusive_lock(run / ".track.lock") if os.access(run, os.W_OK) else nullcontext()


def _make(store: Store, database: Path) -> None:
    """Make a new database under another name first: one that was begun and not completed could never be used."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    temporary = database.with_name(f".{database.name}.new")
    temporary.unlink(missing_ok=True)
    made = SqlAlchemyStore(f"{_SQLITE}{temporary}", store.artifacts)
    made.engine.dispose()
    if database.exists():  # a server that was started on it meanwhile
        temporary.unlink()
    else:
        temporary.rename(database)


def _check_schema(database: Path, mlflow_version: str) -> None:
    """Refuse a database of another version, before MLflow opens it and changes it."""
    found, known = _schema_of(database), _known_schemas()
    if found == known[0]:
        return
    uri = f"{_SQLITE}{database}"
    if found in known:
        raise TrackingError(
            f"{database}: was written by an older mlflow (schema {found}, mlflow {mlflow_version} has {known[0]}); "
            f"to bring it up to date: cp '{database}' '{database}.bak' && mlflow db upgrade '{uri}'"
        )
    raise TrackingError(
        f"{database}: was written by a newer mlflow (schema {found}, mlflow {mlflow_version} knows {known[0]} and "
        "older); nothing was changed: install the mlflow that wrote it, or choose another --uri"
    )


def _schema_of(database: Path) -> str:
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        if row := connection.execute("SELECT version_num FROM alembic_version").fetchone():
            return str(row[0])
    raise TrackingError(f"{database}: is no database of mlflow; choose another --uri")


def _known_schemas() -> list[str]:
    """All that this MLflow knows, newest first."""
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import _get_alembic_config  # MLflow has no public name for it

    script = ScriptDirectory.from_config(_get_alembic_config(""))
    return [revision.revision for revision in script.walk_revisions()]
