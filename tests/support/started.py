"""A command line in a process of its own, without a start of Python."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence

from slotbench import cli

__all__ = ["start"]


def start(arguments: Sequence[str]) -> tuple[int, int]:
    """Begin `slotbench` with `arguments` in a session of its own: its process, and where it prints."""
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        code = 99
        try:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for number in (1, 2):
                os.dup2(writing, number)
            sys.stdout = sys.stderr = open(1, "w", buffering=1, closefd=False)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            code = cli.run(arguments)
            sys.stdout.flush()
            for child in multiprocessing.active_children():  # as Python does when it ends
                child.join()
        finally:
            os._exit(code)
    os.close(writing)
    return pid, reading
