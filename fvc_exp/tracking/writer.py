"""A run's model in MLflow's own format: safe to load, with its inputs by name and the packages it needs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from fvc_exp.errors import TrackingError
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.runs.load import LoadedRun
from fvc_exp.tracking.run_record import KEY, Record, Status
from fvc_exp.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


_NEEDED = ("scikit-learn", "numpy", "scipy", "skops", "pandas")


def log_model(folder: RunFolder, run_id: str) -> None:
    """Store the pipeline of a run folder with a run of MLflow; it predicts the probabilities of real and fake.

    Raises:
        ArtifactError: the model file is missing, broken or not one of ours.
    """
    import mlflow.sklearn
    import pandas as pd
    from mlflow.models import infer_signature

    run = LoadedRun(folder.path)
    pipeline, model = run.pipeline, run.model
    example = pd.DataFrame([[feature.mean for feature in model.features]], columns=list(model.names))
    mlflow.sklearn.log_model(
        pipeline,
        name="model",
        serialization_format="skops",
        skops_trusted_types=["numpy.dtype"],
        signature=infer_signature(example, pipeline.predict_proba(example)),
        input_example=example,
        pip_requirements=[f"{name}=={version(name)}" for name in _NEEDED],  # to infer them takes seconds a model
        pyfunc_predict_fn="predict_proba",
        run_id=run_id,
    )


_PARENT = "mlflow.parentRunId"


_KIND = {"mlflow.experimentKind": "custom_model_development"}  # which view the UI opens


@dataclass(frozen=True)
class Writer:
    """Writes into one experiment of a store. Only one may be at work at a time; see ``store.opened``."""

    client: MlflowClient
    experiment_id: str

    def find(self, key: str) -> Run | None:
        """The run that holds this attempt, complete or not; a deleted one does not count."""
        found = self.client.search_runs([self.experiment_id], filter_string=f"tags.`{KEY}` = '{key}'", max_results=1)
        return found[0] if found else None

    def write(self, record: Record, parent: str | None = None) -> bool:
        """Import one run, unless it stands there already; whether anything was written.

        What an importer that was killed has left half-done is deleted and written again.
        """
        known = self.find(record.key)
        if known and known.info.status == record.ending.status:
            if parent and known.data.tags.get(_PARENT) != parent:
                self._join(known.info.run_id, parent, record)
            return False
        if known:
            self._delete(known.info.run_id)
        run_id = self._begin(record, {_PARENT: parent} if parent else {})
        self._fill(run_id, record)
        if record.model:
            log_model(record.model, run_id)
        self._end(run_id, record)
        return True

    def _join(self, run_id: str, parent: str, record: Record) -> None:
        """A run that was imported alone gets the parent, and what only its sweep knows: its name there and its job."""
        self.client.update_run(run_id, name=record.name)
        for name, value in {**record.tags, _PARENT: parent}.items():  # the parent last: by it a join is complete
            self.client.set_tag(run_id, name, value)

    def begin_parent(self, record: Record) -> str:
        """The run of a sweep, new or not; it counts as running until ``end_parent``."""
        known = self.find(record.key)
        if known is None:
            return self._begin(record, {})
        return str(known.info.run_id)

    def end_parent(self, run_id: str, record: Record) -> None:
        """Write what is known of the whole sweep."""
        self._fill(run_id, record)
        self._end(run_id, record)

    def _begin(self, record: Record, tags: Mapping[str, str]) -> str:
        run = self.client.create_run(
            self.experiment_id,
            start_time=_milliseconds(record.ending.started or record.ending.ended),
            run_name=record.name,
            tags={KEY: record.key, **tags},
        )
        return str(run.info.run_id)

    def _fill(self, run_id: str, record: Record) -> None:
        from mlflow.entities import Metric, Param, RunTag

        when = _milliseconds(record.measured)
        self.client.log_batch(
            run_id,
            metrics=[Metric(each.name, each.value, when, each.step) for each in record.metrics],
            params=[Param(name, value) for name, value in record.parameters.items()],
            tags=[RunTag(name, value) for name, value in record.tags.items()],
        )
        with _gathered(record.files) as folder:
            self.client.log_artifacts(run_id, str(folder))

    def _end(self, run_id: str, record: Record) -> None:
        if record.ending.status is Status.RUNNING:
            self.client.update_run(run_id, status=Status.RUNNING.value)
        else:
            self.client.set_terminated(run_id, record.ending.status.value, _milliseconds(record.ending.ended))

    def _delete(self, run_id: str) -> None:
        models = self.client.search_logged_models([self.experiment_id], filter_string=f"source_run_id = '{run_id}'")
        for model in models:
            self.client.delete_logged_model(model.model_id)
        self.client.delete_run(run_id)


@contextmanager
def writer(store: Store, experiment: str) -> Iterator[Writer]:
    """A writer into an experiment, which is made if it is not there; MLflow's own functions use the same store.

    Raises:
        TrackingError: the experiment was deleted.
    """
    from mlflow import MlflowClient
    from submitit.core.utils import environment_variables

    client = MlflowClient(tracking_uri=store.uri)
    experiment_id = _experiment(client, store, experiment)
    named = os.environ.pop("MLFLOW_EXPERIMENT_NAME", None)  # it would win over the id
    try:
        with environment_variables(MLFLOW_TRACKING_URI=store.uri, MLFLOW_EXPERIMENT_ID=experiment_id):
            yield Writer(client, experiment_id)
    finally:
        if named is not None:
            os.environ["MLFLOW_EXPERIMENT_NAME"] = named


def _experiment(client: MlflowClient, store: Store, name: str) -> str:
    from mlflow import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=store.artifacts, tags=_KIND))
        except MlflowException:
            found = client.get_experiment_by_name(name)
            if found is None:  # else an importer of another run was quicker, on a server
                raise
    if found.lifecycle_stage != "active":
        raise TrackingError(f"{store.uri}: the experiment {name!r} was deleted; restore it, or choose another name")
    return str(found.experiment_id)


@contextmanager
def _gathered(files: Mapping[str, Path]) -> Iterator[Path]:
    """A folder with links to these files and nothing else, since MLflow takes whole folders."""
    with tempfile.TemporaryDirectory(prefix="fvc-track-") as name:
        folder = Path(name)
        for inside, path in files.items():
            link = folder / inside
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())
        yield folder


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
