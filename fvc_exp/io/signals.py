"""Signals that ask a process to stop, as an exception, so that what was under way can say how it ended."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """A signal asked this process to stop; the text is the signal's name."""


@contextmanager
def raise_when_stopped() -> Iterator[None]:
    """Raise Stopped in the block at Ctrl-C, SIGTERM and SIGHUP. What is ignored, such as SIGHUP by nohup, stays so.

    Further signals are ignored until the block has ended: ``timeout`` and ``srun`` send theirs more than once. Python
    drops what is raised in a callback of a weak reference or in ``__del__``: the signal is sent once more then.
    """
    before = {number: signal.getsignal(number) for number in _STOPPING}
    heard = [number for number, handler in before.items() if handler is not signal.SIG_IGN]

    def stop(number: int, _frame: FrameType | None) -> None:
        for each in heard:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(signal.Signals(number).name)

    def send_again(dropped: "sys.UnraisableHookArgs") -> None:
        if isinstance(dropped.exc_value, Stopped):
            number = signal.Signals[str(dropped.exc_value)]
            signal.signal(number, stop)
            threading.Timer(0.01, signal.pthread_kill, (threading.main_thread().ident, number)).start()
        else:
            report(dropped)

    report, sys.unraisablehook = sys.unraisablehook, send_again
    for number in heard:
        signal.signal(number, stop)
    try:
        yield
    finally:
        sys.unraisablehook = report
        for number in heard:
            signal.signal(number, before[number])
