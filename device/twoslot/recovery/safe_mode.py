# A release that was confirmed and then crashes again and again before the updater gets its turn: main.py is
# left out, so that a mended one can arrive. Loaded after a crash, or when memory is low
# (recovery/update_first.py), only.
import machine
import time

from micropython import const

import twoslot

_KEPT = const(0x600013FC)  # byte 1: crashes in a row; bit 31: restarted for want of room (FORMATS.md 4)
_NOTE = const(0x600013F8)
_NOTE_COUNTED = const(12)  # a soft reset comes by here again: it is no crash
_FALLBACK = const(3)  # row of the loader's decision
_MOST = const(5)
_LEFT_OUT = const(6)  # report (FORMATS.md 2.1)


def before_main(row):
    """What ran before crashed: count it, and at the fifth in a row run nothing but the updater here.

    row: of the loader's decision. The count begins anew when a look has come to its end (outcome.py).
    """
    if machine.mem32[_KEPT] >> 31:
        from twoslot.recovery import update_first

        update_first.run()
    elif _count(row) >= _MOST:
        print("twoslot: %d crashes in a row: main.py is left out, only updates run; Ctrl-C ends this" % _MOST)
        report(_LEFT_OUT)
        try:
            while True:  # for as long as nothing better is offered
                twoslot.tick()
                time.sleep_ms(100)
        except KeyboardInterrupt:
            print("twoslot: main.py follows")
    twoslot.drop("recovery")


def _count(row):
    word = machine.mem32[_KEPT]
    # After a fallback it was the other release that crashed.
    count = 0 if row == _FALLBACK else min((word >> 8 & 0xFF) + 1, 255)
    machine.mem32[_KEPT] = word & 0xFFFF00FF | count << 8
    machine.mem32[_NOTE] = _NOTE_COUNTED
    return count


def report(code):
    """Tell the server, once for a release, why main.py does not run now."""
    try:
        from twoslot.boot.flash import Port
        from twoslot.boot.control import Swap

        swap = Swap(Port(), 0)
        cell, counter = swap.cell, swap.running.counter
        if cell.report != code or cell.report_counter != counter:
            cell.report, cell.report_counter = code, counter
            swap.journal.append(cell)
        swap = cell = None
    except Exception as e:
        # Whatever is wrong with the journal, the updater is to run.
        twoslot.keep(e)
    twoslot.unload()
