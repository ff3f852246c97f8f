"""One function over many items, in worker processes that may die, hang or run out of memory without harm to the rest.

Every worker has a pipe of its own: the item that a dead worker had is known, and no lock that it held blocks others.
"""

import math
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import wait
from typing import Any, Generic, TypeVar

from fvc_exp.config.schema import LimitsConfig
from fvc_exp.errors import FvcError
from fvc_exp.video.failures import Failed, WorkerFailure
from fvc_exp.video.worker import Halt, serve

Item = TypeVar("Item")


Value = TypeVar("Value")


@dataclass(frozen=True)
class Outcome(Generic[Item, Value]):
    """An item and what became of it."""

    item: Item
    result: Value | Failed


def run_in_workers(
    function: Callable[[Item], Value],
    items: Sequence[Item],
    *,
    limits: LimitsConfig,
    workers: int | None = None,
) -> Generator[Outcome[Item, Value], None, None]:
    """Yield the outcome of each item as it comes, in no fixed order.

    ``function`` must be importable by name, items and values must be picklable. An item may take
    ``limits.wall_seconds`` and ``limits.cpu_seconds``, and its process ``limits.memory_mb`` of address space.
    ``workers`` None means one per core that this process may use. When the iterator is closed or interrupted the
    workers are killed; they also end by themselves when this process dies.

    Raises:
        FvcError: a worker process ends before it is ready for its first item, or the disk is full.
    """
    # Imported here: it loads NumPy, which a worker must not load before its number of threads is set.
    from joblib import cpu_count

    queue = deque(items)
    pool: list[_Worker[Item, Value]] = []
    try:
        pool += [_Worker(function, limits) for _ in range(min(len(queue), workers or cpu_count()))]
        while queue or any(worker.state is _State.busy for worker in pool):
            for position, worker in enumerate(pool):
                if worker.state is _State.ended and queue:
                    pool[position] = _Worker(function, limits)
                elif worker.state is _State.idle and queue and worker.take(queue[0]):
                    queue.popleft()
            _wait_for_news(pool)
            yield from [outcome for worker in pool if (outcome := worker.outcome())]
    finally:
        for worker in pool:
            worker.kill()


class _State(Enum):
    starting = "starting"
    idle = "idle"
    busy = "busy"
    ended = "ended"


class _Worker(Generic[Item, Value]):
    """The parent's side of one worker process; ``item`` holds what it works on, if anything."""

    def __init__(self, function: Callable[[Item], Value], limits: LimitsConfig) -> None:
        self.limits = limits
        self.state = _State.starting
        self.item: Item | None = None
        self.deadline = math.inf
        # Not forked: the parent may hold threads (polars, OpenBLAS), whose locks a fork would copy in any state.
        context = get_context("spawn")
        self.connection, far_end = context.Pipe()
        self.process = context.Process(target=serve, args=(far_end, limits), daemon=True)
        with _interrupts_blocked():
            self.process.start()
        far_end.close()
        self.connection.send(function)

    def take(self, item: Item) -> bool:
        """Hand over an item; False if the worker is gone."""
        try:
            self.connection.send(item)
        except BrokenPipeError:
            self.kill()
            return False
        self.state, self.item = _State.busy, item
        self.deadline = time.monotonic() + self.limits.wall_seconds
        return True

    def outcome(self) -> Outcome[Item, Value] | None:
        """The outcome of the item at work, if there is one by now."""
        if self.state is _State.ended:
            return None
        if self.connection.poll():
            try:
                message = self.connection.recv()
            except (EOFError, OSError):
                return self._finish(self._death())
            if isinstance(message, Halt):
                raise FvcError(message.reason)
            if self.state is _State.busy:
                self.state = _State.idle
                return self._finish(message)
            self.state = _State.idle
        elif time.monotonic() >= self.deadline:
            self.kill()
            limit = f"it took longer than limits.wall_seconds={self.limits.wall_seconds:g}"
            return self._finish(Failed(WorkerFailure.timeout.value, limit))
        return None

    def kill(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()
        self.state = _State.ended

    def _finish(self, result: Value | Failed) -> Outcome[Item, Value] | None:
        item, self.item, self.deadline = self.item, None, math.inf
        return None if item is None else Outcome(item, result)

    def _death(self) -> Failed:
        self.process.join()
        code = self.process.exitcode or 0
        self.connection.close()
        was, self.state = self.state, _State.ended
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if was is _State.starting:
            raise FvcError(
                f"a worker process ended with {how} before its first item; what it printed stands above, and "
                f"limits.memory_mb={self.limits.memory_mb} may be too little"
            )
        if code == -signal.SIGXCPU:
            limit = f"it took more processor time than limits.cpu_seconds={self.limits.cpu_seconds:g}"
            return Failed(WorkerFailure.cpu_limit.value, limit)
        return Failed(WorkerFailure.worker_died.value, f"the worker process ended with {how}")


def _wait_for_news(pool: Sequence[_Worker[Any, Any]]) -> None:
    """Sleep until a worker sends, dies or is over its time."""
    alive = [worker for worker in pool if worker.state is not _State.ended]
    nearest = min((worker.deadline for worker in alive), default=math.inf)
    timeout = None if nearest == math.inf else max(0.0, nearest - time.monotonic())
    if alive:
        wait([worker.connection for worker in alive], timeout)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """A process started in this block never gets Ctrl-C: the parent does, and ends it."""
    resource_tracker.ensure_running()  # a start that launches the tracker would unblock the signal
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)
