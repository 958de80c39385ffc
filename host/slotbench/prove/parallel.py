"""Processes for runs that share what was prepared before they began."""

from __future__ import annotations

import gc
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

__all__ = ["workers"]


def workers(processes: int) -> ProcessPoolExecutor:
    """Forked when the first work comes: what this process has in memory by then is there in all of them."""
    return ProcessPoolExecutor(processes, get_context("fork"), _tuned)


def _tuned() -> None:
    # What was made before the fork is never garbage, and boards are full of cycles: look for them seldom.
    gc.freeze()
    gc.set_threshold(50_000, 20, 1000)
