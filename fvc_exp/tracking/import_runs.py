"""Import a run or sweep into MLflow, on request or at its end."""

import logging
import shlex
from dataclasses import dataclass
from pathlib import Path

from fvc_exp.config.schema import EXPERIMENT, Config, Tracker
from fvc_exp.errors import FvcError
from fvc_exp.io.console import make_console, printable, without_passwords


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
    from fvc_exp.tracking import records, store

    found = records.read_records(path)
    uri = store.default_uri(path) if uri is None else store.absolute_uri(uri)
    store.prepare_mlflow()
    from fvc_exp.tracking.writer import write_all  # loads MLflow: seconds, for which no other importer should wait

    with store.opened(uri, path):
        new = write_all(uri, experiment, found, register)
    return Tracked(without_passwords(uri), experiment, new, len(found.runs) - new, found.unfinished)


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
    make_console(stderr=True).print(printable(text), soft_wrap=True, markup=False, highlight=False)
    return not failure
