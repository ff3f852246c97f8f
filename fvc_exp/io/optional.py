"""Whether an optional package is there, without loading it."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from fvc_exp.errors import MissingExtraError

_OLDEST_MLFLOW = 3  # major version; some resolutions of other packages bring 1.x back


def require_mlflow() -> None:
    """Find MLflow.

    Raises:
        MissingExtraError: it is not installed, or only a part or an old version of it.
    """
    try:
        found = find_spec("mlflow") is not None and int(version("mlflow").partition(".")[0]) >= _OLDEST_MLFLOW
    except PackageNotFoundError:  # mlflow-skinny alone, which has neither a database nor model formats
        found = False
    if not found:
        raise MissingExtraError("tracking", f"mlflow {_OLDEST_MLFLOW}")
