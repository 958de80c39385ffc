# Before main.py: does the updater need its turn first? Loaded when the counts of the boot hook say so.
from micropython import const

import twoslot

from twoslot import retained
from twoslot.constants import BOOT_FALLBACK, LOOP_STARTS

# A loop: so many starts, and so many seconds, without a turn of the updater. No clock counts them across
# the reset pin: many more starts are enough alone.
_LOOP_S = const(1800)
_MANY_STARTS = const(200)
_CRASHES = const(5)  # in a row


def before_main(trial, cause, reason):
    """Let the updater run before main.py, if main.py does not let it run.

    trial: an attempt is under way. cause: why the chip started, 0 after a soft reset. reason: why the
    loader started this slot.
    """
    busy, check = retained.get(retained.BUSY), retained.get(retained.CHECK_FIRST)
    retained.put(retained.BUSY, 0)
    retained.put(retained.CHECK_FIRST, 0)
    if trial:
        if retained.get(retained.PROVE_FIRST):
            from twoslot.recovery import check_first

            check_first.prove()
        return
    retained.put(retained.PROVE_FIRST, 0)
    crashed = 0 < cause < 4
    # After a fallback the other release crashed. What ends in our own code is no crash of main.py.
    fell_back = reason == BOOT_FALLBACK and _settle()
    crashes = 0 if fell_back else retained.get(retained.CRASHES) + (crashed and not busy)
    retained.put(retained.CRASHES, min(crashes, 255))
    starts, seconds = retained.get(retained.STARTS), retained.seconds_without_turn()
    if retained.get(retained.UPDATE_FIRST) or check and retained.get(retained.STARVED):
        from twoslot.recovery import update_first

        update_first.run()
    elif crashed and crashes >= _CRASHES:
        _safe_mode("%d crashes in a row" % _CRASHES)
    elif starts >= _MANY_STARTS or starts >= LOOP_STARTS and seconds >= _LOOP_S:
        _safe_mode("%d starts without a check" % starts)
    elif crashed and busy and not fell_back or check or _is_due():
        from twoslot.recovery import check_first

        check_first.check()


def _safe_mode(why):
    from twoslot.recovery import safe_mode

    safe_mode.run(why)


def _is_due():
    from twoslot.recovery import unattended

    return unattended.is_due()


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
        from twoslot import failures

        failures.log_error(e)
        return False
    finally:
        opened = None
        twoslot.drop("boot", "flash", "failures")
