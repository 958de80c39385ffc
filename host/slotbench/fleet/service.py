"""What a server keeps of its fleet while it runs: the database, and the thread that writes it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from slotbench.errors import BenchError
from slotbench.fleet.board_list import late_after
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.recorder import BoardRecorder
from slotbench.fleet.rollout_runner import RolloutRunner
from slotbench.fleet.site_mirror import SiteMirror
from slotbench.fleet.webhook_sender import WebhookSender
from slotbench.release.signer import HeadSigner

__all__ = ["FleetService"]


class FleetService:
    """The fleet of the site in `root`. What boards prove is written while its context is entered.

    `url` is that of the database. With a `signer`, who has the online key of the keys in `keys_path`,
    rollouts go on and heads are renewed by themselves. Construction raises BenchError (usage) if the
    database cannot be used.
    """

    def __init__(
        self, url: str, root: Path, clock: Callable[[], float] = time.time, *,
        signer: HeadSigner | None = None, keys_path: Path | None = None,
    ) -> None:
        self.database = FleetDatabase.open(url)
        self.mirror = SiteMirror(self.database, root, clock)
        self.mirror.sync()
        with self.database.reading() as connection:
            late_s = late_after(connection)
        self.runner: RolloutRunner | None = None
        if signer is not None and keys_path is not None:
            self.runner = RolloutRunner(self.database, root, keys_path, signer, clock)
        chores = [*([self.runner.step] if self.runner else []), self.mirror.sync]
        self.recorder = BoardRecorder(self.database, late_s=late_s, chores=chores, clock=clock)
        self.beside: list[AbstractContextManager[object]] = [WebhookSender(self.database, clock)]
        """What else runs while the context is entered."""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.mirror.sync()  # what was published meanwhile
        self._stack.callback(self.database.close)
        if self.runner is not None:
            self._stack.callback(self._leave, self.runner)
        self._stack.enter_context(self.recorder)
        for each in self.beside:
            self._stack.enter_context(each)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @staticmethod
    def _leave(runner: RolloutRunner) -> None:
        with suppress(BenchError):  # the lease ends by itself
            runner.leave()
