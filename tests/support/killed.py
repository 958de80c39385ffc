"""A command in a process that is killed before one of its changes on disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from slotbench import cli

__all__ = ["changes_of", "killed_at"]

_CHANGES = ("replace", "link", "unlink", "mkdir", "fsync")


def changes_of(arguments: Sequence[str]) -> list[str]:
    """The changes on disk of `slotbench` with `arguments`, by name. It runs to its end, in a process of its own."""
    reading, writing = os.pipe()
    code = _run(arguments, lambda name: os.write(writing, f"{name}\n".encode()))
    os.close(writing)
    with open(reading, encoding="ascii") as changes:
        assert code == 0
        return changes.read().split()


def killed_at(step: int, arguments: Sequence[str]) -> bool:
    """Run `slotbench` with `arguments` in a process that is killed before its `step`th change on disk. False if
    it ended well before that.
    """
    count = 0

    def kill(name: str) -> None:
        nonlocal count
        count += 1
        if count == step:
            os._exit(9)

    code = _run(arguments, kill)
    assert code in (0, 9)
    return code == 9


def _run(arguments: Sequence[str], changing: Callable[[str], object]) -> int:
    """Run it in a process that calls `changing` before each change; its exit code."""
    pid = os.fork()
    if pid == 0:
        def told(name: str, real: Callable[..., object]) -> Callable[..., object]:
            def call(*arguments: object, **settings: object) -> object:
                changing(name)
                return real(*arguments, **settings)
            return call

        for name in _CHANGES:
            setattr(os, name, told(name, getattr(os, name)))
        code = 3
        try:
            code = cli.run(arguments)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
