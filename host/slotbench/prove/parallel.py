"""Processes for runs that share what was prepared before the fork."""

from __future__ import annotations

import gc
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

__all__ = ["workers"]


def workers(processes: int) -> ProcessPoolExecutor:
    """A pool that forks at the first job: all processes have what this process has in memory then.
    """
    return ProcessPoolExecutor(processes, get_context("fork"), _tuned)


def _tuned() -> None:
    # Objects from before the fork are never garbage, and boards have many cycles: collect seldom.
    gc.freeze()
    gc.set_threshold(50_000, 20, 1000)
