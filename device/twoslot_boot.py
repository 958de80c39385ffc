# Boot hook 0.1.0 of twoslot. A marked line of boot.py runs it under any firmware: plain source, only modules
# of the chip. A trial that cannot import twoslot could never update itself again: it ends at once.
import machine
import sys
import time
from micropython import kbd_intr

word = machine.mem32


def restart(note):
    word[0x600013F8] = note  # how this attempt ended: FORMATS.md, end of an attempt
    machine.reset()


def timeout(timer):
    restart(5)


def lasting_timer():
    # A soft reset frees the heap, to which the SDK's list of armed timers leads: this one lies in the SDK's
    # heap. RTC memory holds its place (FORMATS.md). Return (timer, place), or an ordinary timer and 0.
    timer = machine.Timer(-1)
    items = [timer]
    try:
        from esp import malloc
        addr = word[id(items) + 12]  # a list's fourth word leads to its items; else nothing is changed
        if not -38912 < addr - id(items) < 38912 or word[addr] != id(timer):
            return timer, 0
        place = (word[0x600013F8] >> 8 & 0xFFFFFF) | 0x3F000000
        if place == 0x3F000000:
            place = malloc(64)
            if not place:
                return timer, 0
            for i in range(4, 64, 4):
                word[place + i] = 0
            word[place] = word[id(timer)]  # its type
            word[0x600013F8] |= (place & 0xFFFFFF) << 8
        if place & 3 or place < 0x3FFE8000 or word[place] != word[id(timer)]:
            return timer, 0
        word[addr] = place
        return items[0], place
    except (ImportError, ValueError):
        return timer, 0


timer, place, trial, proving, stop = None, 0, False, False, False
while True:
    try:
        items = __import__("os").listdir("/")
        [__import__(key.split(".")[0]) for key in ("twoslot_record.py", "twoslot_choice.mpy") if key in items]
        # "2SR2": the loader's record; no note: nobody acted on it yet. Then its reason, its trial.
        record, note = word[0x600013E0] == 0x32525332, word[0x600013F8] & 0xFF
        reason, trial = word[0x600013E4] >> 24, record and not note and word[0x600013E4] >> 8 & 0xFF == 1
        if record:
            timer, place = (timer, place) if timer else lasting_timer()
            timer.deinit()  # that of the run before a soft reset: before anything lets timers fire
        if trial:  # set the flag `reached` of the journal's cell: only now there is a next attempt
            __import__("esp").flash_write(word[0x600013EC] >> 8 & 0xFFFFFF, bytearray(4))
        proving = trial or record and word[0x600013E4] >> 8 & 0xFF == 2  # or a pack of twoslot
        if proving:
            period = place and word[place + 60]
            period = time.ticks_diff(period, time.ticks_ms()) if period else 600000
            if place:
                word[place + 60] = time.ticks_add(time.ticks_ms(), period) or 1
            timer.init(period=max(period, 1), mode=machine.Timer.ONE_SHOT, callback=timeout)
        __import__("gc").collect()  # what stays for ever comes to lie where the heap begins
        import twoslot
        twoslot.deadline = (timer, timeout, place) if proving else False  # else they would be collected
        if "twoslot.app0" in items:
            __import__("twoslot.application.startup", None, None, ("start",)).start(timer, timeout, place)
        if record:  # by what happened since the updater had its turn, it may need it before main.py
            cause = 0 if note else word[0x600013EC] & 0xFF
            counting = __import__("twoslot.recovery.counting").recovery.counting
            if counting.count_start(trial, cause, reason) and not stop and trial == bool(twoslot.deadline):
                supervisor = __import__("twoslot.recovery.supervisor").recovery.supervisor
                supervisor.before_main(trial, cause, reason)
            twoslot.drop("retained", "recovery")
            if place and not twoslot.deadline:
                timer.init(period=3600000, mode=machine.Timer.PERIODIC, callback=twoslot.watch_program)
        break
    except KeyboardInterrupt:
        kbd_intr(-1)  # all of it must be done: once more, with no Ctrl-C
        stop = True
    except Exception as e:
        if sys.path[0]:
            if proving:
                restart(6)
            print("twoslot cannot be imported:", repr(e))
            break
        sys.path.pop(0)  # files that are damaged or half deleted may hide a frozen twoslot: without them
    for key in list(sys.modules):  # half loaded, or dropped
        if key.startswith("twoslot"):
            del sys.modules[key]
sys.path[:0] = [""] if sys.path[0] else []
items = None  # in a trial these names stay
sys.modules.pop(__name__, None)  # only what the timer of a trial calls stays on the heap
if stop:  # main.py does not run: as on a board without twoslot
    kbd_intr(3)
    raise KeyboardInterrupt
