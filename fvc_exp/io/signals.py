"""Signals that ask a process to stop, as an exception, so that what was under way can say how it ended."""

import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """A signal asked this process to stop; the text is the signal's name."""


@contextmanager
def raise_when_stopped() -> Iterator[None]:
    """Raise Stopped in the block at Ctrl-C, SIGTERM and SIGHUP. What is ignored, such as SIGHUP by nohup, stays so.

    Further signals are ignored until the block has ended: ``timeout`` and ``srun`` send theirs more than once. A
    signal waits for the end of an import, where compiled modules make another error of it. It is sent again where
    Python drops exceptions: in callbacks of weak references and in ``__del__``.
    """
    before = {number: signal.getsignal(number) for number in (*_STOPPING, signal.SIGALRM)}
    heard = [number for number in _STOPPING if before[number] is not signal.SIG_IGN]

    def stop(number: int, frame: FrameType | None) -> None:
        if any(each.f_code.co_filename == "<frozen importlib._bootstrap>" for each, _ in traceback.walk_stack(frame)):
            return stop_soon(number)
        for each in heard:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(signal.Signals(number).name)

    def stop_soon(number: int) -> None:
        signal.signal(signal.SIGALRM, lambda _, frame: stop(number, frame))
        signal.setitimer(signal.ITIMER_REAL, 0.01)

    def hear_of_dropped(dropped: "sys.UnraisableHookArgs") -> None:
        if isinstance(dropped.exc_value, Stopped):
            stop_soon(signal.Signals[str(dropped.exc_value)])
        else:
            report(dropped)

    report, sys.unraisablehook = sys.unraisablehook, hear_of_dropped
    for number in heard:
        signal.signal(number, stop)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = report
        for number, handler in before.items():
            signal.signal(number, handler)
