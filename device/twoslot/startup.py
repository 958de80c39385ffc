# The first thing after a boot: writes down what the last boot proved, and makes the schedule of
# checks.
import twoslot

from twoslot import settings
from twoslot.constants import BOOT_FALLBACK, BOOT_TRIAL
from twoslot.errors import FlashError


def make_schedule():
    """Conclude the last boot.

    Returns what a Schedule is made of, or False when this board cannot be updated: see log().
    """
    try:
        s = settings.load()
        # The leaves first, all from this frame: an import inside another costs 688 bytes of stack.
        from twoslot import flash
        from twoslot.boot import page, journal, slots, control

        state = control.BootControl(flash.Flash(), s["attempts"])
        if state.unsettled:
            from twoslot.boot import decision
        state.open()
        reason, minutes, seq = state.reason, state.listen_minutes, state.cell.head_seq
        floor = state.cell.head_time
        made = s["interval_s"], not state.confirmed, reason == BOOT_FALLBACK, s.get("quiet")
        if reason == BOOT_TRIAL and not state.confirmed and twoslot.deadline is None:
            _arm_deadline()
        state = None
        if minutes:
            from twoslot import retained
            from twoslot.push import opening

            # After a trial that failed too: the next release is to be pushed as well.
            opening.reopen(reason in (BOOT_TRIAL, BOOT_FALLBACK), reason == BOOT_TRIAL)
        twoslot.drop("boot", "settings", "push.opening")
        if s.get("ntp"):
            try:
                from twoslot import ntp

                ntp.keep_time(s["ntp"], floor)
            except (FlashError, MemoryError) as e:
                # Without a clock it goes as well.
                _log(e)
        if s.get("mqtt"):
            try:
                from twoslot.mqtt import subscription, client

                client.open_subscription(s, seq)
            except (FlashError, MemoryError) as e:
                # Checks go on as scheduled, without a broker.
                _log(e)
            client = None
            twoslot.drop("mqtt.client")
        return made
    except FlashError as e:
        # The application must not stop for it.
        _log(e)
        return False
    finally:
        # Now: the caller drops it, and nothing else is in memory.
        from twoslot import retained

        retained.put(retained.TICKED, 1)


def _arm_deadline():
    # boot.py did not run the boot hook in this start. The trial must not last for ever.
    try:
        from twoslot import hook_line

        hook_line.require_in_trial()
    except Exception as e:
        _log(e)


def _log(e):
    from twoslot import failures

    failures.log_error(e)
