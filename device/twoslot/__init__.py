# twoslot at the REPL and in a main loop: the part that stays in memory. Each verb loads what it
# needs, then drops it.
import gc
import machine
import sys
import time

from twoslot import codes
from twoslot.constants import BUSY_BIT, CHECK_FIRST_BIT, DELAY_MS, RETAINED_TURNS, RETRY_MS, STARVED_BIT

__version__ = "0.1.0"
for _name in ("binascii", "hashlib", "json", "machine", "os", "socket", "struct", "time"):
    sys.modules[_name] = __import__(_name)  # else each import looks for such a file (memory.md, stack)
del _name
if __path__[0] != "/" and __path__[0] != ".":
    # It holds wherever the application's os.chdir() leads.
    __path__ = "/" + __path__  # type: ignore

deadline = None  # until the boot hook ran; in a trial then its timer and what that calls, else False
_agent = _schedule = _threshold = _restart_hook = _wdt = None
_failed_loads = 0  # bits 20-29: in a row, that nothing could be loaded for; 0-19: when, in 1024 ms
_busy = False  # somebody is in here: a callback that calls meanwhile is turned away
_log = []  # (milliseconds since boot, code, place), newest last
_pollers = []  # tick() calls each: a button, a broker, the push port. They return milliseconds or None


def status():
    """Return what runs, what waits and what happened last, as a dict."""
    return _command("status", None)


def check():
    """Ask the server, change nothing. True when it offers what this board would install."""
    return _command("check", False)


def update(force=False):
    """Install what the server offers. force overrides bad marks, pause, percent and quiet hours."""
    return _command("update", force)


def confirm():
    """Confirm that the running release is healthy. Needed with "confirm": "manual" only."""
    return _command("confirm", None)


def rollback():
    """Go back to the release in the other slot, without a download; mark the running one bad."""
    return _command("rollback", None)


def log():
    """Print the last refusals and failures: milliseconds since boot, number, word, place."""
    from twoslot import words

    words.print_log(_log)
    drop("words")


def listen(minutes=10, wait=True):
    """Accept pushed releases for so many minutes. wait=False: tick() serves them."""
    from twoslot.push import opening

    return opening.listen(minutes, wait)


def before_restart(f):
    """Have f() called before each restart that twoslot makes by itself.

    f puts outputs into a safe state. It may return milliseconds to be asked again later.
    """
    global _restart_hook
    _restart_hook = [f, 0]  # and the milliseconds for which it asked already


def tick(wdt=None):
    """Do what is due for about a tenth of a second, and for half a second at most.

    Call it once a second or more often; a push is faster when it is called more often. wdt: the
    application's watchdog, which is fed meanwhile.
    """
    global _agent, _busy, _wdt
    if _busy:
        return  # the program is in here already: this is a callback of its timer, or another task
    seconds = (time.ticks_ms() >> 10) - _failed_loads & 0xFFFFF  # type: ignore
    if _failed_loads and not _schedule and seconds < 60:
        return  # there was no room for the first step, and another try takes time
    _busy, _wdt = True, wdt or _wdt
    # The next start must know that a reset was not the application's doing (retained.py).
    machine.mem32[RETAINED_TURNS] |= 1 << BUSY_BIT
    schedule = error = None
    state = 0
    try:
        try:
            if _wdt:
                _wdt.feed()
            if _schedule is None:
                get_schedule(True)
                return  # pollers have their turn in the next call
            schedule = _schedule
            for poll in _pollers:
                ms = poll()
                if ms is not None and schedule:
                    schedule.request_within(ms)
            if not schedule or not schedule.due():
                return
            if not _agent:
                unload()  # what an attempt may have left that found no memory even for that
                load_agent().begin(etag=schedule.etag)
                schedule.continue_now(0)
                return
            if _agent.step(schedule):
                return
        except Exception as e:
            error = e
            if isinstance(e, MemoryError):
                if _agent:
                    state = None if _agent.unproven else _agent.state
                unload()
        # From this frame: the application may have left little of the stack (memory.md).
        from twoslot import retained, failures, outcome

        if outcome.conclude(schedule, error, state):
            drop("failures", "outcome", "retained")
        else:
            unload()
    except Exception as e:
        # The application left too little of the stack or of the heap for any call from here.
        # The next start checks before main.py.
        machine.mem32[RETAINED_TURNS] |= 1 << CHECK_FIRST_BIT
        _agent = None
        if schedule:
            schedule.left = RETRY_MS
        try:
            restart_starved(e)
        except Exception:
            pass
    finally:
        _busy = False
        machine.mem32[RETAINED_TURNS] &= ~(1 << BUSY_BIT)


async def task(wdt=None):
    """Run tick() in an asyncio program."""
    import asyncio

    while True:  # for as long as the program runs
        tick(wdt)
        await asyncio.sleep_ms(100)


# What follows is for the other modules.


def drop(*names):
    """Drop modules of this package ("agent", "http.request") or whole folders ("http")."""
    for name in names:
        name = "twoslot." + name
        folder, last = name.rsplit(".", 1)
        if folder in sys.modules:
            sys.modules[folder].__dict__.pop(last, None)
        for loaded in list(sys.modules):
            if loaded.startswith(name):  # no name of a module begins with another's
                # The collector takes stale words on the C stack for references: a module that one
                # of them holds must hold nothing itself.
                sys.modules.pop(loaded).__dict__.clear()
    gc.collect()


def load_agent():
    """Return the agent; make it when there is none. It stays while an update is under way."""
    global _agent, _threshold
    if _agent is None:
        # Garbage is collected early: what stays comes to lie close together, and the heap is not
        # fragmented.
        _threshold = gc.threshold()
        gc.threshold(1024)
        from twoslot import errors, agent

        _agent = agent.Agent()
    return _agent


def unload():
    """Drop the agent and all that it loaded."""
    global _agent, _threshold
    if _agent and _agent.source:
        _agent.source.close(_agent)
    if __path__ == "/2s":
        __import__("os").umount("/2s")  # modules.py
    if _threshold:
        gc.threshold(_threshold)
    _agent = _threshold = None
    gc.collect()  # what follows needs a little memory
    # What waits for something, or counts, stays, and native code: the first part of its name is in this
    # text, which has no room for spaces (64 bytes of heap).
    drop("push.opening", *[
        name[8:] for name in sys.modules if name[:8] == "twoslot." and
        name.split(".")[1] not in "schedulesleepbuttonmqttntppushrecoveryservicestelemetrynative"])


def get_schedule(in_steps=False):
    """Return the Schedule of checks, or False when this board cannot be updated: log() says why.

    in_steps: the first call loads what makes it, and returns None.
    """
    global _schedule
    if _schedule is None:
        in_steps = in_steps and "twoslot.startup" not in sys.modules
        # What stays first: it comes to lie where the heap begins.
        from twoslot import schedule, errors, settings, startup

        if in_steps:
            return None
        try:
            made = startup.make_schedule()
        finally:
            unload()
        _schedule = made and schedule.Schedule(*made)
    return _schedule


def watch_program(timer):
    """Under a program that does not call tick(), check by itself: the boot hook's timer, once an hour."""
    # A tick() that finds no stack has asked for a check before main.py: it is as good as none.
    if deadline or _busy or _schedule and not machine.mem32[RETAINED_TURNS] >> CHECK_FIRST_BIT & 1 and (
            time.ticks_diff(time.ticks_ms(), _schedule.last) < 60000):
        return
    try:
        from twoslot.recovery import unattended

        unattended.restart_if_due()
    except Exception as e:
        restart_starved(e)  # the program has all of the heap or of the stack


def restart_starved(e):
    """Log that nothing could be loaded. After 15 times in a row, restart to check before main.py.

    It allocates nothing before that restart. Each one doubles the number of times until the next.
    """
    global _failed_loads
    now = time.ticks_ms()
    _failed_loads = (_failed_loads >> 20) + 1 << 20 | now >> 10  # type: ignore
    word = machine.mem32[RETAINED_TURNS] | 1 << CHECK_FIRST_BIT
    restarts = word >> STARVED_BIT & 3
    if _failed_loads >> 20 >= 15 << restarts and not deadline:
        hook = _restart_hook
        if hook and hook[1] < DELAY_MS:
            hook[1] += RETRY_MS
            if hook[0]():
                return
        machine.mem32[RETAINED_TURNS] = word + ((restarts < 3) << STARVED_BIT)
        machine.reset()
    if e:
        code = 0 if isinstance(e, MemoryError) else codes.UNEXPECTED
        code = codes.STACK if isinstance(e, RuntimeError) else code
        _log.append((now, code, code and 1))
        del _log[:-8]


def _command(name, force):
    from twoslot import verbs

    return verbs.run(name, force)
