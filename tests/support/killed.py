"""A command in a process that is killed before one of its changes on disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from slotbench import cli

__all__ = ["killed_at"]

_CHANGES = ("replace", "link", "unlink", "mkdir", "fsync")


def killed_at(step: int, arguments: Sequence[str]) -> bool:
    """Run `slotbench` with `arguments` in a process that is killed before its `step`th change on disk. False if
    it ended well before that.
    """
    pid = os.fork()
    if pid == 0:
        count = 0

        def counted(real: Callable[..., object]) -> Callable[..., object]:
            def call(*arguments: object, **settings: object) -> object:
                nonlocal count
                count += 1
                if count == step:
                    os._exit(9)
                return real(*arguments, **settings)
            return call

        for name in _CHANGES:
            setattr(os, name, counted(getattr(os, name)))
        code = 3
        try:
            code = cli.run(arguments)
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, 9)
    return code == 9
