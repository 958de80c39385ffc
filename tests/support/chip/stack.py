"""Applications that use so much of the C stack before they call twoslot."""

from __future__ import annotations

from textwrap import indent

__all__ = ["FREE", "FREE_APPLICATION", "FREE_LISTENING", "nested", "watched_ticks"]

FREE = 3_300
"""Bytes that an application may use between the top of its main.py and our entry."""
FREE_LISTENING = 2_800
"""Likewise, with the push port open."""
FREE_APPLICATION = 2_000
"""Likewise, where applications are updated: littlefs below their stages asks nobody how much is left."""


def watched_ticks(every_ms: int = 10) -> str:
    """The end of a main.py: tick() for ever. It prints the longest call and each new entry of the log."""
    return f"""\
longest = seen = 0
while True:
    begun = time.ticks_ms()
    twoslot.tick()
    ms = time.ticks_diff(time.ticks_ms(), begun)
    if ms > longest:
        longest = ms
        print("@slotbench longest", ms)
    if len(twoslot._log) > seen:
        seen = len(twoslot._log)
        print("@log", twoslot._log[-1])
    time.sleep_ms({every_ms})
"""


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
