# Before main.py: does the updater need its turn first? Loaded when the counts of the boot hook say so.
from micropython import const

import twoslot

from twoslot import retained
from twoslot.constants import BOOT_FALLBACK

# A loop: this many starts and minutes without a turn of the updater. The minutes of a start below 10 s
# are not counted, so many starts are enough without them.
_STARTS = const(20)
_MINUTES = const(30)
_MANY_STARTS = const(200)
_CRASHES = const(5)  # in a row
_WAKES = const(100)  # from deep sleep, without a turn
_DOUBLED = const(3)  # how often, at most, failed checks double them
_POSTPONED = const(10)  # wakes until the next try, in quiet hours


def before_main(trial, reason, cause):
    """Let the updater run before main.py, if main.py does not let it run.

    trial: an attempt is under way. reason: why the loader started this slot. cause: why the chip
    started, 0 after a soft reset.
    """
    busy, check = retained.get(retained.BUSY), retained.get(retained.CHECK_FIRST)
    retained.put(retained.BUSY, 0)
    retained.put(retained.CHECK_FIRST, 0)
    if trial:
        if retained.get(retained.PROVE_FIRST):
            from twoslot.recovery import check_first

            check_first.prove()
        return twoslot.drop("retained", "recovery")
    retained.put(retained.PROVE_FIRST, 0)
    crashed = 0 < cause < 4
    # After a fallback the other release crashed. What ends in our own code is no crash of main.py.
    fell_back = reason == BOOT_FALLBACK and _settle()
    crashes = 0 if fell_back else retained.get(retained.CRASHES) + (crashed and not busy)
    retained.put(retained.CRASHES, min(crashes, 255))
    starts, wakes = retained.get(retained.STARTS), retained.get(retained.WAKES_ALONE)
    failed = min(retained.get(retained.FAILED_CHECKS), _DOUBLED)
    if retained.get(retained.UPDATE_FIRST):
        from twoslot.recovery import update_first

        update_first.run()
    elif crashed and crashes >= _CRASHES:
        _safe_mode("%d crashes in a row" % _CRASHES)
    elif starts >= _MANY_STARTS or starts >= _STARTS and retained.minutes_without_turn() >= _MINUTES:
        _safe_mode("%d starts without a check" % starts)
    elif crashed and busy or check:
        _check()
    elif wakes >= _WAKES << failed:
        if not _unattended():
            retained.put(retained.WAKES_ALONE, 0)
        elif not _check():
            from twoslot import retained as fields  # an attempt drops it

            fields.put(fields.WAKES_ALONE, (_WAKES << failed) - _POSTPONED)
    twoslot.drop("retained", "recovery")


def _safe_mode(why):
    from twoslot.recovery import safe_mode

    safe_mode.run(why)


def _check():
    from twoslot.recovery import check_first

    return check_first.check()


def _unattended():
    # Seconds without a turn after which a board checks by itself; 0: never.
    from twoslot import settings
    from twoslot.errors import FlashError

    try:
        return settings.load()["unattended"]
    except FlashError:
        return 1
    finally:
        twoslot.drop("settings")


def _settle():
    # Write down that a trial failed: until then each start falls back anew. True when it was written
    # now.
    try:
        # The leaves first, all from this frame: an import inside another costs 688 bytes of stack.
        from twoslot import errors, flash
        from twoslot.boot import page, journal, slots, control

        opened = control.BootControl(flash.Flash(), 0)
        unsettled = opened.cell and opened.cell.active != opened.slot
        opened.open()
        return unsettled
    except Exception as e:
        # Whatever is wrong with the journal, main.py is to run.
        twoslot.log_error(e)
        return False
    finally:
        opened = None
        twoslot.drop("boot", "flash")
