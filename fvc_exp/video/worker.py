"""The side of a worker process: answer item after item, under limits, until the parent hangs up."""

import errno
import math
import os
import resource
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

from fvc_exp.config.schema import LimitsConfig
from fvc_exp.errors import VideoError
from fvc_exp.video.failures import Failed, WorkerFailure

Item = TypeVar("Item")


Value = TypeVar("Value")


# A full disk says nothing about the video at hand, and would fail all that follow.
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


_THREAD_COUNTS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Halt:
    """The work cannot go on, for no fault of the item."""

    reason: str


def serve(connection: Connection, limits: LimitsConfig) -> None:
    """Take the function, send None for being ready, then the value of each item, ``Failed`` or ``Halt``."""
    threading.Thread(target=_die_with_parent, daemon=True).start()
    # Read when NumPy is imported, that is when the function arrives and its module is loaded.
    os.environ.update(dict.fromkeys(_THREAD_COUNTS, "1"))
    function = connection.recv()
    import cv2

    cv2.setNumThreads(1)
    cv2.ipp.setUseIPP(False)  # its sums depend on where in memory a frame happens to lie
    _set_soft_limit(resource.RLIMIT_CORE, 0)
    _set_soft_limit(resource.RLIMIT_AS, limits.memory_mb * 2**20)
    connection.send(None)
    while True:
        try:
            item = connection.recv()
        except EOFError:
            return
        connection.send(_attempt(function, item, limits))


def _die_with_parent() -> None:
    if parent := parent_process():
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)


def _attempt(function: Callable[[Item], Value], item: Item, limits: LimitsConfig) -> Value | Failed | Halt:
    try:
        with _processor_time(limits.cpu_seconds):
            return function(item)
    except VideoError as error:
        return Failed(error.error_class, str(error))
    except Exception as error:  # noqa: BLE001 - the worker boundary: one bad video must not stop the others
        if isinstance(error, OSError) and error.errno in _NO_SPACE:
            return Halt(f"nothing more can be written: {error}")
        if _is_out_of_memory(error):
            limit = f"it needed more than limits.memory_mb={limits.memory_mb} of address space"
            return Failed(WorkerFailure.out_of_memory.value, limit)
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        return Failed(WorkerFailure.internal_error.value, f"{type(error).__name__} at {where}: {error}")


def _is_out_of_memory(error: Exception) -> bool:
    import cv2

    if isinstance(error, cv2.error):
        return error.code == cv2.Error.StsNoMem
    return isinstance(error, MemoryError)


@contextmanager
def _processor_time(seconds: float) -> Iterator[None]:
    """Let the kernel end this process (SIGXCPU) once it has used that much more; it counts whole seconds."""
    _set_soft_limit(resource.RLIMIT_CPU, math.ceil(time.process_time() + seconds))
    try:
        yield
    finally:
        _set_soft_limit(resource.RLIMIT_CPU, resource.RLIM_INFINITY)


def _set_soft_limit(kind: int, value: int) -> None:
    """Set a limit, as far as the hard one allows."""
    hard = resource.getrlimit(kind)[1]
    is_allowed = hard == resource.RLIM_INFINITY or 0 <= value <= hard
    resource.setrlimit(kind, (value if is_allowed else hard, hard))
