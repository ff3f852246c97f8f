"""MLflow's own servers on loopback, each in a process group that ends with the test."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from tests.processes import free_port, until

START_SECONDS = 180.0
SMALL = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # what neither shows nor stores runs


@contextmanager
def mlflow_command(*arguments: str, cwd: Path) -> Iterator[str]:
    """``mlflow ARGUMENTS --host 127.0.0.1 --port P``, ready; yields its URL."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", *arguments, "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", **SMALL}
    with (
        (cwd / "server.log").open("w") as log,
        subprocess.Popen(command, cwd=cwd, env=environment, stdout=log, stderr=log, start_new_session=True) as server,
    ):
        url = f"http://127.0.0.1:{port}"
        try:
            until(lambda: _answers(server, url, cwd / "server.log"), START_SECONDS, f"mlflow, see {cwd / 'server.log'}")
            yield url
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)


def _answers(server: subprocess.Popen[bytes], url: str, log: Path) -> bool:
    assert server.poll() is None, log.read_text()
    with urlopen(f"{url}/health", timeout=5) as answer:
        return bool(answer.status == 200)
