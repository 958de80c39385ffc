# Safe mode: when a confirmed release crashes again and again before the updater gets its turn,
# main.py does not run: only the updater does, until a better release arrives. Loaded after a crash,
# or for update_first.py.
import time

from micropython import const

import twoslot

from twoslot.constants import BOOT_FALLBACK, REPORT_SAFE_MODE

_CRASHES = const(5)


def before_main(reason):
    """Count the crash that ended the last run; at the fifth in a row, run only the updater.

    reason: why the loader started this slot. The count begins anew when a check has come to its end
    (outcome.py).
    """
    from twoslot import retained

    if retained.get(retained.UPDATE_FIRST):
        from twoslot.recovery import update_first

        update_first.run()
    elif _count_crash(reason) >= _CRASHES:
        print("twoslot: %d crashes in a row: safe mode, without main.py; Ctrl-C ends it" % _CRASHES)
        report(REPORT_SAFE_MODE)
        try:
            while True:  # for as long as no better release is offered
                twoslot.tick()
                time.sleep_ms(100)
        except KeyboardInterrupt:
            print("twoslot: main.py follows")
    twoslot.drop("retained", "recovery")


def _count_crash(reason):
    from twoslot import retained

    # After a fallback the other release crashed.
    count = 0 if reason == BOOT_FALLBACK else min(retained.get(retained.CRASHES) + 1, 255)
    retained.put(retained.CRASHES, count)
    # A soft reset comes by here again: it is no crash.
    retained.put_note(retained.NOTE_CRASH_COUNTED)
    return count


def report(code):
    """Tell the server, once for a release, why main.py does not run now."""
    try:
        # The leaves first, all from this frame: an import inside another costs 688 bytes of stack.
        from twoslot import errors, flash
        from twoslot.boot import page, journal, slots, control

        opened = control.BootControl(flash.Flash(), 0).open()
        cell, counter = opened.cell, opened.running.counter
        if cell.report != code or cell.report_counter != counter:
            cell.report, cell.report_counter = code, counter
            opened.journal.append(cell)
        opened = cell = None
    except Exception as e:
        # Whatever is wrong with the journal, the updater is to run.
        twoslot.log_error(e)
    twoslot.unload()
