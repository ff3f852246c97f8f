"""What tests of several processes need: to wait for the others, and to see whether they live."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest

from fvc_exp.sweeps.claims import process_start
from tests.shell import ROOT

T = TypeVar("T")
# The environment in which jobs break, told apart by their C.
SABOTAGE = {"PYTHONPATH": f"{ROOT / 'tests' / 'sweeps' / 'sabotage'}{os.pathsep}{ROOT}"}


def until(condition: Callable[[], T], seconds: float = 60.0, what: str = "the condition", *, every: float = 0.1) -> T:
    """Wait until the condition holds, and return its value; an OSError says that it does not hold yet."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(OSError):
            if found := condition():
                return found
        time.sleep(every)
    pytest.fail(f"{what}: not within {seconds:.0f} s")


def is_alive(pid: int) -> bool:
    """Whether any thread of a process lives; a dead process is listed as a zombie until its parent has seen it."""
    try:
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
        return threads > 1 or Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def ended_process() -> tuple[int, str]:
    """The pid of a process that has ended, and when it was started."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        start = process_start(process.pid)
        process.communicate()
    return process.pid, start or ""


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
