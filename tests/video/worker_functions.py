"""What test workers do: well-behaved work, and every way to fail. Importable by name, as workers need it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fvc_exp.config.schema import LimitsConfig
from fvc_exp.errors import VideoError
from fvc_exp.video import worker_pool

if TYPE_CHECKING:
    from fvc_exp.stages.tasks import Task


SHORT = LimitsConfig(max_pixels=8_847_360, cpu_seconds=0.5, wall_seconds=None, memory_mb=2048)


def work(item: tuple[str, Any]) -> Any:
    """Run the named function on its argument."""
    name, argument = item
    return FUNCTIONS[name](argument)


def burn(seconds: float) -> float:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return seconds


def burn_as_decoder(work: tuple[int, int, float]) -> float:
    """Use processor time after decoding so many pixels of a file of so many bytes."""
    pixels, size, seconds = work
    worker_pool.allow_more(SHORT, pixels, size)
    return burn(seconds)


def hang(path: str | None) -> None:
    if path:
        Path(path).write_text(str(os.getpid()))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(1000)


def refuse(message: str) -> None:
    raise VideoError("too_large", message)


def allocate(megabytes: int) -> int:
    return len(bytearray(megabytes * 2**20))


def allocate_image(side: int) -> tuple[int, ...]:
    import cv2
    import numpy as np

    return cv2.resize(np.zeros((2, 2), np.uint8), (side, side)).shape


def threads(_: None) -> tuple[list[int], int]:
    import cv2
    import numpy as np
    from threadpoolctl import threadpool_info

    np.ones((2, 2)) @ np.ones((2, 2))
    return [pool["num_threads"] for pool in threadpool_info()], cv2.getNumThreads()


def fill_disk(_: None) -> None:
    with Path("/dev/full").open("w") as full:
        full.write("x")


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "square": lambda number: number**2,
    "pid": lambda _: os.getpid(),
    "burn": burn,
    "burn_as_decoder": burn_as_decoder,
    "hang": hang,
    "refuse": refuse,
    "kill": lambda number: os.kill(os.getpid(), number),
    "exit": os._exit,
    "segfault": lambda _: ctypes.string_at(0),
    "allocate": allocate,
    "allocate_image": allocate_image,
    "bug": lambda number: 1 / number,
    "unpicklable": lambda _: lambda: None,
    "fill_disk": fill_disk,
    "threads": threads,
    "polars": lambda _: "polars" in sys.modules,
}


def row(task: Task) -> dict[str, dict[str, Any]]:
    """A row for each table of a task that says what to do."""
    name, argument = task.payload
    value = FUNCTIONS[name](argument)
    return {table: {"value": value} for table in task.tables}
