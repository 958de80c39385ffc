# Boot hook, run by one marked line of boot.py under any firmware: plain source, only modules of the
# chip. A trial that cannot import twoslot could never update itself again: it ends at once.
import machine
import sys
import time


def _restart(note):
    machine.mem32[0x600013F8] = note  # how this attempt ended: FORMATS.md, end of an attempt
    machine.reset()


def pass_time():
    # Add to the time since the updater's last turn. More than 11 h at once: somebody set the clock.
    now, passed = time.time() // 10 & 0x1FFF, word[0x600013DC]
    more = now - (passed >> 16) & 0x1FFF
    passed = min((passed & 0xFFFF) + (more if more < 4096 else 0), 0xFFFF)
    word[0x600013DC] = now << 16 | passed
    return passed


# The loader's record (FORMATS.md, RTC tail), and what this start adds to what is kept from start to start.
word = machine.mem32
record, note = word[0x600013E0] == 0x31525332, word[0x600013F8] & 255
reason, trial = word[0x600013E4] >> 24, record and not note and word[0x600013E4] >> 8 & 255 == 1
cause, kept = 0 if note else word[0x600013EC] & 255, word[0x600013D8]
hour = False
if record:
    hour = (word[0x600013DC] & 0xFFFF) // 360 != pass_time() // 360
    if not trial:
        # A wake from deep sleep, another start, a soft reset of a program that had called twoslot.
        kept += 256 if cause == 5 else kept & 255 < 255 and (not note or kept >> 23 & 1)
        word[0x600013D8] = kept = kept & ~0x840000
        word[0x600013F8] |= 0 if note else 12
timer = machine.Timer(-1)
if trial:
    timer.init(period=600000, mode=machine.Timer.ONE_SHOT, callback=lambda t: _restart(5))
try:
    import twoslot

    twoslot.deadline = timer if trial else None
    # A crash, a fallback, a request, or a program under which the updater has no turn.
    if trial and kept >> 26 & 1 or record and not trial and (
        0 < cause < 4 or reason == 3 or kept >> 24 or kept & 255 > 19 or hour or word[0x600013FC] >> 31
        or cause == 5 and not (kept >> 8 & 1023) % 40
    ):
        __import__("twoslot.recovery.supervisor").recovery.supervisor.before_main(trial, reason, cause)
except Exception as e:
    if trial:
        _restart(6)
    print("twoslot cannot be imported:", repr(e))
sys.modules.pop(__name__, None)  # only what the timer of a trial calls stays on the heap
