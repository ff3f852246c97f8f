"""Write records into one experiment of a store. Only one writer may be at work at a time; see ``import_runs``."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import mlflow.sklearn
import pandas as pd
from mlflow import MlflowClient, MlflowException, entities
from mlflow.models import infer_signature
from submitit.core.utils import environment_variables

from fvc_exp.errors import TrackingError
from fvc_exp.runs.load import LoadedRun
from fvc_exp.tracking.records import KEY, NOTE, Record, Records

_KIND = {"mlflow.experimentKind": "custom_model_development"}  # which view the UI opens
_OUTPUTS = ["probability_real", "probability_fake"]
_DIGEST = 32  # characters; MLflow takes 36
_NEEDED = ("scikit-learn", "numpy", "scipy", "skops", "pandas")


def write_all(uri: str, artifacts: str | None, experiment: str, records: Records, register: str | None) -> int:
    """Write all runs that are not in the experiment yet; returns how many these are.

    The experiment is made if it is not there, with its files at ``artifacts``. The model of the best one becomes a
    version of the registered model ``register``.

    Raises:
        ArtifactError: the model file of a run is missing, broken or not one of ours.
        TrackingError: the experiment was deleted, or there is no model to register.
    """
    client = MlflowClient(tracking_uri=uri)
    writer = _Writer(client, _experiment_id(client, uri, artifacts, experiment))
    with environment_variables(MLFLOW_TRACKING_URI=uri):  # MLflow's function for models knows no other way
        parent, parent_id = records.parent, None
        if parent:  # it counts as running until it is complete
            known = writer.find(parent.key)
            parent_id = str(known.info.run_id) if known else writer.begin(parent, {})
        new = sum(writer.write(each, parent_id) for each in records.runs)
        best = writer.find(records.best.key) if records.best else None
        if parent and parent_id:
            writer.complete(parent_id, parent, best)
        if register:
            writer.register(register, best)
    return new


def _experiment_id(client: MlflowClient, uri: str, artifacts: str | None, name: str) -> str:
    try:
        return str(client.create_experiment(name, artifact_location=artifacts, tags=_KIND))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    found = client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage != "active":
        raise TrackingError(f"{uri}: the experiment {name!r} was deleted; restore it, or choose another name")
    return str(found.experiment_id)


@dataclass(frozen=True)
class _Writer:
    client: MlflowClient
    experiment_id: str

    def find(self, key: str) -> entities.Run | None:
        """The run that holds this attempt, complete or not; a deleted one does not count."""
        found = self.client.search_runs([self.experiment_id], filter_string=f"tags.`{KEY}` = '{key}'", max_results=1)
        return found[0] if found else None

    def write(self, record: Record, parent_id: str | None) -> bool:
        """Import one run, unless it is there already; whether anything was written.

        A half-written run of an importer that was killed is deleted and written again.
        """
        known, tags = self.find(record.key), {"mlflow.parentRunId": parent_id} if parent_id else {}
        if known and known.info.status == record.status:
            self._add_files(known.info.run_id, self._new_files(known.info.run_id, record.files))
            if not tags.items() <= known.data.tags.items():
                # It was imported without its sweep, which alone knows its name there, its job and its parent.
                self.client.update_run(known.info.run_id, name=record.name)
                self.client.log_batch(known.info.run_id, tags=_tags({**record.tags, **tags}))
            return False
        if known:
            self._delete(known.info.run_id)
        self.complete(self.begin(record, tags), record)
        return True

    def begin(self, record: Record, tags: Mapping[str, str]) -> str:
        """A new run, which counts as running until it is complete."""
        start = round((record.started or record.ended).timestamp() * 1000)
        run = self.client.create_run(self.experiment_id, start, {KEY: record.key, **tags}, record.name)
        return str(run.info.run_id)

    def complete(self, run_id: str, record: Record, best: entities.Run | None = None) -> None:
        """Write everything that is known of a run, its status last; of a sweep also a link to its best run."""
        ended, model_id, tags = round(record.ended.timestamp() * 1000), None, dict(record.tags)  # milliseconds
        if record.model:
            # Before the metrics: MLflow would read each of them again to give it to the model.
            model_id = self._log_model(record.model, run_id, dict(record.parameters))
            self.client.log_inputs(run_id, [_data_set(record.model)])
        if best:
            link = f"[{best.info.run_name}](#/experiments/{self.experiment_id}/runs/{best.info.run_id})"
            tags[NOTE] = f"- best: {link}\n{tags[NOTE]}"
        self.client.log_batch(
            run_id,
            metrics=[entities.Metric(name, value, ended, step, model_id) for name, value, step in record.metrics],
            params=[entities.Param(*parameter) for parameter in record.parameters.items()],
            tags=_tags(tags),
        )
        self._add_files(run_id, record.files)
        if record.status == "RUNNING":
            self.client.update_run(run_id, status="RUNNING")
        else:
            self.client.set_terminated(run_id, record.status, ended)

    def register(self, name: str, best: entities.Run | None) -> None:
        """Make the model of a run a version of a registered model, unless it is one."""
        models = self._models_of(best.info.run_id) if best else []
        if not models:
            raise TrackingError(f"there is no finished run whose model could be registered as {name!r}")
        quote = '"' if "'" in name else "'"
        versions = self.client.search_model_versions(f"name = {quote}{name}{quote}")
        if models[0].model_uri not in {each.source for each in versions}:
            mlflow.register_model(models[0].model_uri, name)

    def _add_files(self, run_id: str, files: Mapping[str, Path]) -> None:
        for name, path in files.items():
            self.client.log_artifact(run_id, str(path), _folder(name))

    def _new_files(self, run_id: str, files: Mapping[str, Path]) -> dict[str, Path]:
        """What is not there yet or has another size there, such as a report that was written later."""
        stored = (each for folder in set(map(_folder, files)) for each in self.client.list_artifacts(run_id, folder))
        sizes = {each.path: each.file_size for each in stored}
        return {name: path for name, path in files.items() if sizes.get(name) != path.stat().st_size}

    def _log_model(self, run: LoadedRun, run_id: str, parameters: dict[str, str]) -> str:
        """Store the pipeline of a run; it takes its inputs by name and predicts the probabilities of real and fake."""
        example = pd.DataFrame([[feature.mean for feature in run.model.features]], columns=list(run.model.names))
        predicted = pd.DataFrame(run.pipeline.predict_proba(example), columns=_OUTPUTS)
        model = self.client.create_logged_model(self.experiment_id, "model", run_id, params=parameters)
        mlflow.sklearn.log_model(
            run.pipeline,
            model_id=model.model_id,
            serialization_format="skops",
            skops_trusted_types=["numpy.dtype"],
            signature=infer_signature(example, predicted),
            input_example=example,
            pip_requirements=[f"{name}=={version(name)}" for name in _NEEDED],  # to infer them takes seconds per model
            pyfunc_predict_fn="predict_proba",
            run_id=run_id,
        )
        return str(model.model_id)

    def _models_of(self, run_id: str) -> list[entities.LoggedModel]:
        return list(self.client.search_logged_models([self.experiment_id], f"source_run_id = '{run_id}'"))

    def _delete(self, run_id: str) -> None:
        for model in self._models_of(run_id):
            self.client.delete_logged_model(model.model_id)
        self.client.delete_run(run_id)


def _folder(name: str) -> str | None:
    return name.rpartition("/")[0] or None


def _tags(tags: Mapping[str, str]) -> list[entities.RunTag]:
    return [entities.RunTag(*tag) for tag in tags.items()]


def _data_set(run: LoadedRun) -> entities.DatasetInput:
    """The data set of a run: its name, the beginning of its digest, its path as configured, and its size."""
    data, place = run.results["data"], run.config.data.path or run.config.data.root
    profile = json.dumps({"num_rows": data["rows"], "groups": data["groups"], **data["class_counts"]})
    source, digest = json.dumps({"path": place}), data["sha256"][:_DIGEST]
    return entities.DatasetInput(entities.Dataset(run.data_name, digest, "local", source, profile=profile))
