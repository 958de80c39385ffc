"""asyncio, as far as programs on a board use it: tasks and sleeps in virtual time."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Coroutine, Generator, Mapping
from typing import Any

from slotbench.vboard.runtime import Runtime

__all__ = ["MODULES"]


class CancelledError(BaseException):
    """Thrown into a task that was cancelled."""


class _Sleep:
    def __init__(self, us: int) -> None:
        self._us = us

    def __await__(self) -> Generator[int, None, None]:
        yield self._us


class _Task:
    def __init__(self, coro: Coroutine[int, None, Any]) -> None:
        self.coro = coro
        self.cancelled = False
        self.finished = False
        self.result: Any = None

    def cancel(self) -> bool:
        self.cancelled = not self.finished
        return self.cancelled

    def done(self) -> bool:
        return self.finished

    def __await__(self) -> Generator[int, None, Any]:
        while not self.finished:
            yield 1000
        return self.result


class _Loop:
    """The one event loop of a boot."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self._queue: list[tuple[int, int, _Task]] = []
        self._order = itertools.count()

    def create_task(self, coro: Coroutine[int, None, Any]) -> _Task:
        task = _Task(coro)
        self._push(self._rt.clock.us, task)
        return task

    def run_until_complete(self, coro: Coroutine[int, None, Any]) -> Any:
        return self._run(self.create_task(coro))

    def run_forever(self) -> None:
        self._run(None)

    def _push(self, due_us: int, task: _Task) -> None:
        heapq.heappush(self._queue, (due_us, next(self._order), task))

    def _run(self, main: _Task | None) -> Any:
        while self._queue or main is None:
            if not self._queue:
                self._rt.wait_us(None)
            due_us, _, task = heapq.heappop(self._queue)
            self._rt.wait_us(max(0, due_us - self._rt.clock.us))
            self._step(task, task is main)
            if task is main and task.finished:
                return task.result
        return None

    def _step(self, task: _Task, is_main: bool) -> None:
        try:
            if task.cancelled:
                task.cancelled = False
                us = task.coro.throw(CancelledError())
            else:
                us = task.coro.send(None)
        except StopIteration as stop:
            task.finished, task.result = True, stop.value
        except (Exception, CancelledError) as error:
            task.finished = True
            if is_main:
                raise
            if not isinstance(error, CancelledError):
                text = self._rt.format_exception(error)
                self._rt.console("Task exception wasn't retrieved\n" + text)
        else:
            self._push(self._rt.clock.us + us, task)


def _asyncio(rt: Runtime) -> Mapping[str, Any]:
    loop = _Loop(rt)
    return {
        "sleep": lambda seconds: _Sleep(max(0, round(seconds * 1_000_000))),
        "sleep_ms": lambda ms: _Sleep(max(0, ms) * 1000),
        "create_task": loop.create_task,
        "run": loop.run_until_complete,
        "get_event_loop": lambda: loop,
        "CancelledError": CancelledError,
    }


MODULES = {"asyncio": _asyncio}
