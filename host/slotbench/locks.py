"""Locks between processes, on every system: a lock file, held through the library filelock.

The system lets go of a lock when its process ends, however it ends. A lock file stays where it is: whoever
removed it could let two in.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import filelock

__all__ = ["LOCK_NAME", "LockedElsewhere", "hold_lock", "lock_folders"]

LOCK_NAME: Final = ".lock"
"""The lock file of a folder. It is empty."""
_FOR_EVER: Final = -1


class LockedElsewhere(Exception):
    """Somebody else holds the lock."""


@contextmanager
def hold_lock(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock file `path`, which is made, for as long as the block runs.

    Raises LockedElsewhere if somebody else holds it and this is not to `wait`; OSError.
    """
    # Each holder has a lock object of its own: else a second one in this process would be let in.
    lock = filelock.FileLock(path, timeout=_FOR_EVER if wait else 0, thread_local=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise LockedElsewhere(str(path)) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def lock_folders(*folders: Path) -> Iterator[None]:
    """Keep other processes that lock one of these folders out, for as long as the block runs.

    Raises OSError for a folder that does not exist or cannot be written.
    """
    # In one order for all processes, and a folder that is named twice once: else two wait for each other.
    by_identity: dict[tuple[int, int], Path] = {}
    for folder in folders:
        found = os.stat(folder)
        by_identity.setdefault((found.st_dev, found.st_ino), folder)
    with ExitStack() as stack:
        for _, folder in sorted(by_identity.items()):
            stack.enter_context(hold_lock(folder / LOCK_NAME))
        yield
