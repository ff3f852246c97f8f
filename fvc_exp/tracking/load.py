"""The one place that loads MLflow first."""

from __future__ import annotations

import logging
import os
from typing import Any

from fvc_exp.extras import require_mlflow

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
