"""What a server keeps of its fleet while it runs: the database, and the thread that writes it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from slotbench.fleet.board_list import late_after
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.recorder import BoardRecorder
from slotbench.fleet.site_mirror import SiteMirror

__all__ = ["FleetService"]


class FleetService:
    """The fleet of the site in `root`. What boards prove is written while its context is entered.

    `url` is that of the database. Construction raises BenchError (usage) if it cannot be used.
    """

    def __init__(self, url: str, root: Path, clock: Callable[[], float] = time.time) -> None:
        self.database = FleetDatabase.open(url)
        self.mirror = SiteMirror(self.database, root, clock)
        self.mirror.sync()
        with self.database.reading() as connection:
            late_s = late_after(connection)
        self.recorder = BoardRecorder(self.database, late_s=late_s, chores=[self.mirror.sync], clock=clock)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.callback(self.database.close)
        self._stack.enter_context(self.recorder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)
