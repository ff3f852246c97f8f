"""The time that a worker process may spend on one video; beyond it the kernel ends the process.

Processor time decides, as a busy machine must not change a table. The clock only ends a worker that hangs.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from fvc_exp.config.schema import LimitsConfig

CPU_SIGNAL, WALL_SIGNAL = signal.SIGPROF, signal.SIGALRM  # what ends the process, by the timers below
PIXELS_PER_LIMIT = 2 * 10**9  # 960 frames of 1080p; the slowest stage needs 40 of the 120 seconds that come with them
# A film has about 1,000; frames that repeat, in a file made to waste time, have 60,000.
PIXELS_PER_BYTE = 10_000


def wall_seconds(limits: LimitsConfig) -> float:
    """The limit by the clock, ten times that of processor time where none is set."""
    return limits.wall_seconds or 10 * limits.cpu_seconds


@contextmanager
def limited(limits: LimitsConfig) -> Iterator[None]:
    """End this process if the block takes more than ``limits.cpu_seconds``, or than ``wall_seconds`` by the clock."""
    signal.setitimer(signal.ITIMER_PROF, limits.cpu_seconds)
    signal.setitimer(signal.ITIMER_REAL, wall_seconds(limits))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


def allow_more(limits: LimitsConfig, pixels: int, size: int) -> None:
    """Allow for ``pixels`` that are now decoded of ``size`` bytes, as much as both limits per ``PIXELS_PER_LIMIT``.

    Pixels beyond ``PIXELS_PER_BYTE`` do not count. Without effect outside ``limited``.
    """
    share = min(pixels, size * PIXELS_PER_BYTE) / PIXELS_PER_LIMIT
    cpu_left, wall_left = (signal.getitimer(timer)[0] for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL))
    if cpu_left and wall_left:
        signal.setitimer(signal.ITIMER_PROF, cpu_left + share * limits.cpu_seconds)
        signal.setitimer(signal.ITIMER_REAL, wall_left + share * wall_seconds(limits))
