"""Processes for runs that share what was prepared before the fork."""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, InvalidStateError, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from typing import Any, Final

__all__ = ["ignore_interrupts", "interrupts_wait", "killed_on_error", "tune_worker", "workers"]

_INTERRUPTS: Final = {getattr(signal, name) for name in ("SIGINT", "SIGALRM") if hasattr(signal, name)}
"""What `stopping_on_interrupt` makes an exception of."""


@contextmanager
def workers(processes: int) -> Iterator[ProcessPoolExecutor]:
    """A pool that forks at the first job: all processes have what this process has in memory then.

    Ctrl-C and every other exception end its processes at once, whatever they are doing.
    """
    hook = threading.excepthook

    def leave_cancelled(raised: threading.ExceptHookArgs) -> None:
        if raised.exc_type is not InvalidStateError:
            hook(raised)

    # The thread of a pool whose processes were killed fails every job, and Python 3.11 raises this for one
    # that was cancelled. The thread may outlive the block, and so does this.
    threading.excepthook = leave_cancelled
    with killed_on_error():
        pool = _WholePool(processes, get_context("fork"), tune_worker)
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        pool.shutdown()
    threading.excepthook = hook


class _WholePool(ProcessPoolExecutor):
    """Ctrl-C waits for the moment in which the first job forks the processes: each of them is known then, and
    can be killed.
    """

    def submit(self, *arguments: Any, **options: Any) -> Future[Any]:
        """As in the base class."""
        with interrupts_wait():
            return super().submit(*arguments, **options)


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Ctrl-C waits until the block ends: a process that is forked in it is known then, and can be killed."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def killed_on_error() -> Iterator[None]:
    """Kill the processes that the block started through `multiprocessing`, if it raises."""
    before = set(active_children())
    try:
        yield
    except BaseException:
        for process in set(active_children()) - before:
            process.kill()
        raise


def ignore_interrupts() -> None:
    """In a process of a proof: leave Ctrl-C, which the terminal sends to all, to the one that began it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPTS)


def tune_worker() -> None:
    """In a process of a proof that runs boards: leave Ctrl-C, as above, and spend little on garbage."""
    ignore_interrupts()
    # Objects from before the fork are never garbage, and boards have many cycles: collect seldom.
    gc.freeze()
    gc.set_threshold(50_000, 20, 1000)
