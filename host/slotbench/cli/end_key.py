"""A key that ends a command, read while the command does something else."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

__all__ = ["ending_at"]


@contextmanager
def ending_at(key: str, stream: TextIO) -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether `key` was pressed on this terminal since it was asked last.

    Other keys have no effect meanwhile, but for Ctrl-C. On what is no terminal no key is read.
    """
    if not stream.isatty():
        yield lambda: False
    elif sys.platform == "win32":
        import msvcrt

        yield lambda: msvcrt.kbhit() and msvcrt.getwch() == key
    else:
        import select
        import termios
        import tty

        descriptor = stream.fileno()
        before = termios.tcgetattr(descriptor)
        # Each key at once and unseen; Ctrl-C stays a signal.
        tty.setcbreak(descriptor)
        try:
            yield lambda: bool(select.select([descriptor], [], [], 0)[0]) and (
                key.encode() in os.read(descriptor, 1024))
        finally:
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
