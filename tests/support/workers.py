"""What a run costs beside its tests: collecting them in each worker, and telling the first process of each one."""

from __future__ import annotations

import fcntl
import gc
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

_TESTS = Path(__file__).parents[1]


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """What is made here lives to the end: the garbage collector need not look at it, now or later."""
    gc.disable()
    try:
        with _turn() if hasattr(session.config, "workerinput") and _is_new() else nullcontext():
            return (yield)
    finally:
        gc.freeze()
        gc.enable()


def _is_new() -> bool:
    """Whether no test was compiled in this tree yet."""
    return not sys.dont_write_bytecode and not any(_TESTS.glob("*/__pycache__/test_*.pyc"))


@contextmanager
def _turn() -> Iterator[None]:
    """One worker after another: what the first one compiles, all others read. It takes longer than to collect."""
    with open(__file__, encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def pytest_collection_finish(session: pytest.Session) -> None:
    """Have this worker send what is shown or counted, and nothing else."""
    if not hasattr(session.config, "workerinput") or session.config.get_verbosity() > 0:
        return
    from xdist.remote import WorkerInteractor

    dear = session.config.getoption("durations_min")
    for plugin in session.config.pluginmanager.get_plugins():
        if isinstance(plugin, WorkerInteractor):
            setattr(plugin, "sendevent", _Selected(plugin, dear))


class _Selected:
    """Sends the events of a worker, but those that its first process would do nothing with.

    Every test has five of them besides its outcome. `dear_s`: from here on a duration is shown.
    """

    def __init__(self, worker: object, dear_s: float) -> None:
        self._send = getattr(worker, "sendevent")
        self._dear_s = dear_s

    def __call__(self, name: str, **values: object) -> None:
        if name in ("logstart", "logfinish"):
            return
        report = values.get("data")
        if name == "testreport" and isinstance(report, Mapping) and self._is_nothing(report):
            return
        self._send(name, **values)

    def _is_nothing(self, report: Mapping[str, object]) -> bool:
        """A fixture that was made or removed, without a word, a figure, or much time."""
        told = report["sections"] or report["user_properties"]
        duration = report["duration"]
        assert isinstance(duration, float)
        return report["when"] != "call" and report["outcome"] == "passed" and not told and duration < self._dear_s
