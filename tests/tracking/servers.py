"""MLflow's own servers on loopback, each in a process group that ends with the test."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

START_SECONDS = 180.0
SMALL = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # what neither shows nor stores runs


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
            _wait(server, url, cwd / "server.log")
            yield url
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)


def _wait(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            with urlopen(f"{url}/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (URLError, OSError):
            time.sleep(0.2)
