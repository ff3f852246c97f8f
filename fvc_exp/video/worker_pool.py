"""One function over many items, in worker processes that may die, hang or run out of memory without harm to the rest.

Every worker has a pipe of its own: the item that a dead worker had is known, and no lock that it held blocks others.
Processor time ends what takes too long on one video, as a busy machine must not change a table; the clock only ends a
worker that hangs. Beyond either the kernel ends the process.
A worker is a new Python process that loads what the function needs and nothing else. multiprocessing would also load
the program that the user started, which takes longer than this: Hydra, or all of a notebook's imports.
"""

import errno
import gc
import os
import pkgutil
import resource
import signal
import subprocess
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any, Generic, TypeVar

from fvc_exp.config.schema import LimitsConfig
from fvc_exp.errors import FvcError, VideoError

Item = TypeVar("Item")
Value = TypeVar("Value")

# A full disk says nothing about the video at hand, and would fail all that follow.
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_CPU_SIGNAL, _WALL_SIGNAL = signal.SIGPROF, signal.SIGALRM  # what ends the process, by the timers below
PIXELS_PER_LIMIT = 2 * 10**9  # 960 frames of 1080p; the slowest stage needs 40 of the 120 seconds that come with them
# A film has about 1,000; frames that repeat, in a file made to waste time, have 60,000.
PIXELS_PER_BYTE = 10_000
# Imports leave hardly any garbage to look for.
_PROGRAM = f"import gc; gc.disable(); from {__name__} import serve; serve()"


@dataclass(frozen=True)
class Failed:
    """Why an item has no value; ``error_class`` is that of a VideoError, or one of the ways that are found outside.

    These are worker_died, timeout, out_of_memory, cpu_limit and internal_error.
    """

    error_class: str
    message: str


def run_in_workers(
    function: Callable[[Item], Value], items: Sequence[Item], *, limits: LimitsConfig, workers: int | None = None
) -> Generator[tuple[Item, Value | Failed], None, None]:
    """Yield each item with what became of it as that comes, in no fixed order.

    ``function`` must be importable by name, items and values must be picklable. An item may take the time of
    ``limits``, which grows with what is decoded, and its process ``limits.memory_mb`` of address space.
    ``workers`` None means one per core that this process may use. When the iterator is closed or interrupted the
    workers are killed; they also end when this process dies.

    Raises:
        FvcError: a worker process ends before it is ready for its first item, or the disk is full.
    """
    queue = deque(items)
    if len(queue) > 1 and not workers:
        from joblib import cpu_count  # takes as long to import as NumPy, and only this process needs it

        workers = cpu_count()
    pool: list[_Worker[Item, Value]] = []
    try:
        while queue or pool:
            while queue and len(pool) < (workers or 1):
                pool.append(_Worker(function, limits, queue.popleft()))
            wait([worker.connection for worker in pool])  # for a message, or the end: the kernel ends what takes long
            for worker in [each for each in pool if each.connection.poll()]:
                answer = worker.answer()
                if not worker.is_ready:
                    worker.is_ready = True
                    continue
                yield worker.item, answer
                if queue and worker.take(queue[0]):
                    queue.popleft()
                else:
                    worker.kill()
                    pool.remove(worker)
    finally:
        for worker in pool:
            worker.kill()


class _Worker(Generic[Item, Value]):
    """The parent's side of one worker process; ``item`` is what it works on."""

    def __init__(self, function: Callable[[Item], Value], limits: LimitsConfig, item: Item) -> None:
        self.limits = limits
        self.item = item
        self.is_ready = False
        self.connection, far_end = Pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, str(far_end.fileno())],
            env=os.environ | _ONE_THREAD | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,  # never written to: it ends with this process
            pass_fds=[far_end.fileno()],
            process_group=0,  # Ctrl-C is for this process alone, which then ends its workers
        )
        far_end.close()
        with suppress(BrokenPipeError):  # it has ended, which ``answer`` reports
            self.connection.send((function, limits))
            self.connection.send(item)

    def take(self, item: Item) -> bool:
        """Hand over the next item; False if the worker is gone."""
        try:
            self.connection.send(item)
        except OSError:
            return False
        self.item = item
        return True

    def answer(self) -> Value | Failed:
        """What became of the item; at first only a word that the process is ready for it."""
        try:
            message: Value | Failed | FvcError = self.connection.recv()
        except (EOFError, OSError):
            return self._death()
        if isinstance(message, FvcError):  # the work cannot go on, and the item is not the reason
            raise message
        return message

    def kill(self) -> None:
        """End the process if it has not ended."""
        self.process.kill()
        with self.process:  # closes its stdin and waits
            self.connection.close()

    def _death(self) -> Failed:
        code = self.process.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if not self.is_ready:
            raise FvcError(
                f"a worker process ended with {how} before its first item; what it printed stands above, and "
                f"limits.memory_mb={self.limits.memory_mb} may be too little"
            )
        allowed = "and what its pixels allow in addition"
        if code == -_CPU_SIGNAL:
            limit = f"it took more processor time than limits.cpu_seconds={self.limits.cpu_seconds:g} {allowed}"
            return Failed("cpu_limit", limit)
        if code == -_WALL_SIGNAL:
            limit = f"it took longer than limits.wall_seconds={_wall_seconds(self.limits):g} {allowed}"
            return Failed("timeout", limit)
        return Failed("worker_died", f"the worker process ended with {how}")


def call(name: str, *args: Any) -> Any:
    """The result of a function that only the worker imports, named as ``package.module:function``."""
    return pkgutil.resolve_name(name)(*args)


def serve() -> None:
    """The loop of a worker process: receive function and limits, send True when ready, then answer each item."""
    threading.Thread(target=_die_with_parent, daemon=True).start()
    connection = Connection(int(sys.argv[1]))
    with suppress(EOFError, BrokenPipeError):  # the parent has ended
        function, limits = connection.recv()
        import cv2

        cv2.setNumThreads(1)
        cv2.ipp.setUseIPP(False)  # its sums depend on where in memory a frame happens to lie
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        memory, hard = limits.memory_mb * 2**20, resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (memory if hard == resource.RLIM_INFINITY else min(memory, hard), hard))
        connection.send(True)
        while True:
            item = connection.recv()  # what the function needs is imported now
            gc.enable()
            connection.send(_attempt(function, item, limits))
    os._exit(0)  # nothing is left to do, and to free all objects takes time


def _die_with_parent() -> None:
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGKILL)


def _attempt(function: Callable[[Item], Value], item: Item, limits: LimitsConfig) -> Value | Failed | FvcError:
    """What becomes of the item. The process ends if it takes longer than the limits allow."""
    import cv2

    signal.setitimer(signal.ITIMER_PROF, limits.cpu_seconds)
    signal.setitimer(signal.ITIMER_REAL, _wall_seconds(limits))
    try:
        return function(item)
    except VideoError as error:
        return Failed(error.error_class, str(error))
    except Exception as error:  # noqa: BLE001 - the worker boundary: one bad video must not stop the others
        if isinstance(error, OSError) and error.errno in _NO_SPACE:
            return FvcError(f"nothing more can be written: {error}")
        is_opencv = isinstance(error, cv2.error) and error.code == cv2.Error.StsNoMem
        if is_opencv or isinstance(error, MemoryError):
            return Failed("out_of_memory", f"it needed more than limits.memory_mb={limits.memory_mb} of address space")
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        return Failed("internal_error", f"{type(error).__name__} at {where}: {error}")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _wall_seconds(limits: LimitsConfig) -> float:
    """The limit by the clock, ten times that of processor time where none is set."""
    return limits.wall_seconds or 10 * limits.cpu_seconds


def allow_more(limits: LimitsConfig, pixels: int, size: int) -> None:
    """Allow for ``pixels`` that are now decoded of ``size`` bytes, as much as both limits per ``PIXELS_PER_LIMIT``.

    Pixels beyond ``PIXELS_PER_BYTE`` do not count. Without effect outside a worker.
    """
    share = min(pixels, size * PIXELS_PER_BYTE) / PIXELS_PER_LIMIT
    cpu_left, wall_left = (signal.getitimer(timer)[0] for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL))
    if cpu_left and wall_left:
        signal.setitimer(signal.ITIMER_PROF, cpu_left + share * limits.cpu_seconds)
        signal.setitimer(signal.ITIMER_REAL, wall_left + share * _wall_seconds(limits))
