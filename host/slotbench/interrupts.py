"""Ctrl-C while a virtual board runs in this process.

KeyboardInterrupt is an exception of the board's programs too: they would catch it, as on a real board, and
the command would go on. A command that runs boards by itself stops with an exception that no board has.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["StoppedByUser", "stopping_on_interrupt"]

_AGAIN_S = 0.01
# Windows has no timers that send signals. There, what Python drops is lost, and Ctrl-C is pressed again.
_SIGNALS = (signal.SIGINT, signal.SIGALRM) if hasattr(signal, "setitimer") else (signal.SIGINT,)


class StoppedByUser(BaseException):
    """Ctrl-C: the user stops the command, and not a program on a virtual board.

    Its text, if it has one, says how to go on.
    """


@contextmanager
def stopping_on_interrupt() -> Iterator[None]:
    """Raise StoppedByUser on Ctrl-C for as long as the block runs. A second Ctrl-C ends the process at once.

    Python drops what is raised in some places, such as a callback of fork(). Then it is raised again. Does
    nothing outside the main thread, where no signal arrives.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    own = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() == own:  # a process that was just forked leaves it to this one
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            raise StoppedByUser

    def drop(dropped: sys.UnraisableHookArgs) -> None:
        if dropped.exc_type is StoppedByUser:
            _raise_again(_AGAIN_S)
        else:
            hook(dropped)

    hook = sys.unraisablehook
    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    sys.unraisablehook = drop
    try:
        yield
    finally:
        sys.unraisablehook = hook
        _raise_again(0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise_again(after_s: float) -> None:
    """Send the second of _SIGNALS to this process after so many seconds; 0: not any more."""
    if len(_SIGNALS) > 1:
        signal.setitimer(signal.ITIMER_REAL, after_s)
