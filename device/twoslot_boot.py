# Boot hook, run by one marked line of boot.py under any firmware: plain source, only modules of the
# chip. A trial that cannot import twoslot could never update itself again: it ends at once.
import machine
import sys


def _restart(note):
    machine.mem32[0x600013F8] = note  # how this attempt ended: FORMATS.md, end of an attempt
    machine.reset()


# "2SR2" and no note: the loader's record, which nobody acted on yet. Then its boot reason, its trial byte.
word = machine.mem32
fresh = word[0x600013E0] == 0x32525332 and word[0x600013F8] == 0
reason, trial = word[0x600013E4] >> 24, fresh and word[0x600013E4] >> 8 & 0xFF == 1
timer = machine.Timer(-1)
if trial:
    timer.init(period=600000, mode=machine.Timer.ONE_SHOT, callback=lambda t: _restart(5))
try:
    import twoslot

    twoslot.deadline = timer if trial else None
    # A watchdog or an exception ended the last run, or it found no memory for an update.
    if fresh and not trial and (0 < word[0x600013EC] < 4 or word[0x600013FC] >> 31):
        __import__("twoslot.recovery.safe_mode").recovery.safe_mode.before_main(reason)
except Exception as e:
    if trial:
        _restart(6)
    print("twoslot cannot be imported:", repr(e))
sys.modules.pop(__name__, None)  # only what the timer of a trial calls stays on the heap
