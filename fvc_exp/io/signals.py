"""Signals that ask a process to stop, as an exception, so that what was under way can say how it ended."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """A signal asked this process to stop; the text is the signal's name."""


@contextmanager
def raise_when_stopped() -> Iterator[None]:
    """Raise Stopped in the block at Ctrl-C, SIGTERM and SIGHUP. What is ignored, such as SIGHUP by nohup, stays so.

    Further signals are ignored until the block has ended: ``timeout`` and ``srun`` send theirs more than once.
    """
    before = {number: signal.getsignal(number) for number in _STOPPING}
    heard = [number for number, handler in before.items() if handler is not signal.SIG_IGN]

    def stop(number: int, _frame: FrameType | None) -> None:
        for each in heard:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(signal.Signals(number).name)

    for number in heard:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])
