# An application that leaves no room for an update must not freeze its board: then the updater runs before it,
# in the whole heap. Loaded when an attempt ended for want of memory, and after the restart that follows.
import machine
import sys
import time

from micropython import const

import twoslot

_KEPT = const(0x600013FC)  # byte 3: looks in vain, restarts for room, whether one is under way (FORMATS.md 4)
_TABLE = const(3)  # from this state of the agent on a release is wanted, and would restart the board anyway
_UPDATE_MS = const(60000)
_LOOK_MS = const(900000)
_DOUBLED = const(7)
_NO_ROOM = const(7)  # report (FORMATS.md 2.1)
_SOON_MS = const(5000)  # for the station to associate
_LONGEST_MS = const(600000)
_PAUSE_MS = const(50000)  # due later than this: the attempt came to its end, good or bad


def ask(due, state):
    """Restart for the updater alone, if the board has run for so long; each time twice as long.

    Boards that sleep deeply do not run for long: there looks in vain count.
    """
    word = machine.mem32[_KEPT]
    times, vain = word >> 28 & 7, word >> 24 & 15
    if twoslot.deadline or due and due.trial:
        return  # a restart would spend an attempt
    if "twoslot.recovery.safe_mode" in sys.modules:
        return  # main.py does not run: another restart would bring no more room
    long = (_UPDATE_MS if state >= _TABLE else _LOOK_MS) << times
    if time.ticks_ms() < long and vain < 2 + min(times, 3):
        return
    print("twoslot: no room for an update beside main.py: a restart, to make it alone")
    machine.mem32[_KEPT] = word & 0x00FFFFFF | 8 << 28 | min(times + 1, _DOUBLED) << 28
    machine.reset()


def run():
    """Before main.py: one attempt, then a restart into main.py, whose heap is to be whole again."""
    times = machine.mem32[_KEPT] & 7 << 28
    machine.mem32[_KEPT] &= 0x0FFFFFFF
    print("twoslot: an update is looked for before main.py; Ctrl-C ends this")
    from twoslot.recovery import safe_mode

    safe_mode.report(_NO_ROOM)
    # tick() may load and empty this module when it finds no room even so: not the one that runs.
    sys.modules.pop("twoslot.recovery.update_first", None)
    twoslot.recovery.__dict__.pop("update_first", None)
    try:
        _attempt()
    except KeyboardInterrupt:
        print("twoslot: main.py follows")
        return
    # Nothing to install, after all: the next time is to be later still.
    machine.mem32[_KEPT] |= times
    machine.reset()


def _attempt():
    due = twoslot.timer()
    if not due:
        return
    due.sooner(_SOON_MS)
    begun = time.ticks_ms()
    while time.ticks_diff(time.ticks_ms(), begun) < _LONGEST_MS:
        twoslot.tick()
        if not twoslot._agent and due.left > _PAUSE_MS:
            return
        time.sleep_ms(100)
