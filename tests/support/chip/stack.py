"""Applications that use so much of the C stack before they call twoslot."""

from __future__ import annotations

from textwrap import indent

__all__ = ["FREE", "FREE_LISTENING", "nested"]

FREE = 3_300
"""Bytes that an application may use between the top of its main.py and our entry."""
FREE_LISTENING = 2_800
"""Likewise, with the push port open."""


def nested(free: int, program: str) -> str:
    """A main.py that runs `program` so many bytes of stack below its top. It prints what it used."""
    return f"""\
import time, twoslot, micropython
def nested(top):
    if micropython.stack_use() - top < {free}:
        return nested(top)
    print("used", micropython.stack_use() - top)
{indent(program, "    ")}
nested(micropython.stack_use())
"""
