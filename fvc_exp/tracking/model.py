"""A run's model in MLflow's own format: safe to load, with its inputs by name and the packages it needs."""

from __future__ import annotations

from importlib.metadata import version

from fvc_exp.artifacts import TRUSTED_TYPES, read_pipeline
from fvc_exp.bundle import Bundle
from fvc_exp.runfolder import RunFolder, read_json

_NEEDED = ("scikit-learn", "numpy", "scipy", "skops", "pandas")


def log_model(folder: RunFolder, run_id: str) -> None:
    """Store the pipeline of a run folder with a run of MLflow; it predicts the probabilities of real and fake.

    Raises:
        ArtifactError: the model file is missing, broken or not one of ours.
    """
    import mlflow.sklearn
    import numpy as np
    import pandas as pd
    from mlflow.models import infer_signature

    pipeline = read_pipeline(folder.pipeline)
    bundle = Bundle.from_json(read_json(folder.bundle), folder.bundle)
    pipeline[0].feature_names_in_ = np.array(bundle.names, dtype=object)  # so that inputs are checked by name
    example = pd.DataFrame([[feature.mean for feature in bundle.features]], columns=list(bundle.names))
    mlflow.sklearn.log_model(
        pipeline,
        name="model",
        serialization_format="skops",
        skops_trusted_types=list(TRUSTED_TYPES),
        signature=infer_signature(example, pipeline.predict_proba(example)),
        input_example=example,
        pip_requirements=[f"{name}=={version(name)}" for name in _NEEDED],  # to infer them takes seconds a model
        pyfunc_predict_fn="predict_proba",
        run_id=run_id,
    )
