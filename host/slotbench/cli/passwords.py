"""Passwords from a file descriptor: neither on a command line nor in a log."""

from __future__ import annotations

import os

from slotbench.errors import USAGE, BenchError

__all__ = ["read_lines"]

_BYTES_MAX = 1024


def read_lines(descriptor: int, option: str) -> list[str]:
    """The lines of an open file; `option` names it in messages. Raises BenchError."""
    try:
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(_BYTES_MAX).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(
            f"cannot read the password ({error})", where=f"{option} {descriptor}",
            cure="open it in your shell: 3<FILE", exit_code=USAGE) from None
