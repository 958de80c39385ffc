"""main.py of the boards in the stories: what people wrote."""

from __future__ import annotations

from typing import Final

__all__ = ["CALM", "CONFIRMS", "LAMP", "NO_TICK", "RESTARTS", "STALLS", "WATCHED", "WATCHED_TASK", "restarts"]

LAMP: Final = """\
import time
import twoslot

print("main.py runs")
while True:
    begun = time.ticks_ms()
    twoslot.tick()
    took = time.ticks_diff(time.ticks_ms(), begun)
    if took > 600:
        print("tick() took", took, "ms")
    time.sleep_ms(500)
"""
"""A program as it should be. It says when tick() keeps it for longer than it may."""

STALLS: Final = "tick() took"

WATCHED: Final = """\
import machine
import time
import twoslot

watchdog = machine.WDT()
while True:
    watchdog.feed()
    twoslot.tick()
    time.sleep_ms(500)
"""
"""The application's own watchdog, fed once a turn."""

WATCHED_TASK: Final = """\
import asyncio
import machine
import twoslot

async def main():
    asyncio.create_task(twoslot.task())
    watchdog = machine.WDT()
    while True:
        watchdog.feed()
        await asyncio.sleep_ms(200)

asyncio.run(main())
"""

NO_TICK: Final = """\
import time

while True:
    time.sleep_ms(1000)
"""

CALM: Final = """\
import time
import twoslot

print("main.py runs")
for _ in range(2400):
    twoslot.tick()
    time.sleep_ms(500)
import machine
machine.reset()
"""
"""Restarts every 20 minutes, for a good reason."""


CONFIRMS: Final = f"""\
import twoslot

on_trial = not twoslot.status()["confirmed"]
{LAMP}""".replace("    begun = ", """    if on_trial and time.ticks_ms() > 300000:
        twoslot.confirm()
        on_trial = False
    begun = """)
"""Confirms a release itself, five minutes after the start of the chip."""


def restarts(way: str, seconds: float, *, ticks: bool = True) -> str:
    """A program that runs for so long, fails, and restarts the board by `way`, a statement."""
    tick = "twoslot.tick()" if ticks else "pass"
    return f"""\
import machine
import time
import twoslot

try:
    for _ in range({round(seconds * 10)}):
        {tick}
        time.sleep_ms(100)
    raise OSError(110)
except Exception:
    {way}
"""


RESTARTS: Final = restarts("machine.reset()", 5)
