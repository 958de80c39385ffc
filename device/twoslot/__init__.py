# twoslot at the REPL and in a main loop: the part that stays in memory. Each verb loads what it
# needs, then drops it.
import gc
import machine
import sys
import time

from twoslot import codes
from twoslot.constants import BUSY_BIT, CHECK_FIRST_BIT, RETAINED_TURNS, RETRY_MS

# MicroPython looks for a file of that name at the first import of each of these: 576 bytes of stack, which
# are not there inside of other imports (memory.md).
[__import__(name) for name in ("binascii", "esp", "hashlib", "json", "os", "struct")]

__version__ = "0.1.0"
if __path__[0] != "/" and __path__[0] != ".":
    # It holds wherever the application's os.chdir() leads.
    __path__ = "/" + __path__  # type: ignore

deadline = None  # until the boot hook ran; in a trial then its timer and what that calls, else False
_agent = _schedule = _threshold = _restart_hook = _wdt = None
_busy = False  # somebody is in here: a callback that calls meanwhile is turned away
_log = []  # (milliseconds since boot, code, place), newest last
_pollers = []  # tick() calls each: a button, a broker, the push port. They return milliseconds or None


def status():
    """Return what runs, what waits and what happened last, as a dict."""
    return _command("status")


def check():
    """Ask the server, change nothing. True when it offers what this board would install."""
    return _command("check", False)


def update(force=False):
    """Install what the server offers. force overrides bad marks, pause, percent and quiet hours."""
    return _command("update", force)


def confirm():
    """Confirm that the running release is healthy. Needed with "confirm": "manual" only."""
    return _command("confirm")


def rollback():
    """Go back to the release in the other slot, without a download; mark the running one bad."""
    return _command("rollback")


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

    A push takes longer, and so may a name that is to be resolved. Call it once a second or more
    often. wdt: the application's watchdog, which is fed meanwhile.
    """
    global _agent, _busy, _wdt
    if _busy:
        return  # the program is in here already: this is a callback of its timer, or another task
    _busy, _wdt = True, wdt or _wdt
    # The next start must know that a reset was not the application's doing (retained.py).
    machine.mem32[RETAINED_TURNS] |= 1 << BUSY_BIT
    schedule = error = None
    state = 0
    try:
        try:
            feed()
            schedule = get_schedule()
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
            if _agent.state and not _restart_hook:
                machine.reset()  # into the trial; here, where nothing more needs to be loaded
        except Exception as e:
            error = e
            if isinstance(e, MemoryError):
                if _agent:
                    state = None if _agent.unproven else _agent.state
                unload()
        # From this frame: the application may have left little of the stack (memory.md).
        from twoslot import retained, failures, backoff, outcome

        if outcome.conclude(schedule, error, state):
            drop("backoff", "failures", "outcome", "retained")
        else:
            unload()
    except Exception as e:
        # The application left too little of the stack or of the heap for any call from here.
        _agent = None
        code = 0 if isinstance(e, MemoryError) else codes.UNEXPECTED
        _log.append((time.ticks_ms(), codes.STACK if isinstance(e, RuntimeError) else code, code and 1))
        if len(_log) > 8:
            _log.pop(0)
        if isinstance(e, RuntimeError):
            # The next start checks before main.py.
            machine.mem32[RETAINED_TURNS] |= 1 << CHECK_FIRST_BIT
        if schedule:
            schedule.left = RETRY_MS
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


def feed():
    """Feed the application's watchdog, if it gave one to tick()."""
    if _wdt:
        _wdt.feed()


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
    if _threshold:
        gc.threshold(_threshold)
    _agent = _threshold = None
    gc.collect()  # what follows needs a little memory
    # What waits for something, or counts, stays: the first part of its name is in this text.
    stays = "schedule sleep button mqtt ntp push recovery"
    names = [name[8:] for name in sys.modules if name.startswith("twoslot.")]
    drop("push.opening", *[name for name in names if name.split(".")[0] not in stays])


def get_schedule():
    """Return the Schedule of checks, or False when this board cannot be updated: log() says why."""
    global _schedule
    if _schedule is None:
        # What stays first: it comes to lie where the heap begins.
        from twoslot import schedule, backoff, errors, settings, startup

        before = gc.threshold()
        gc.threshold(1024)
        try:
            made = startup.make_schedule()
        finally:
            unload()
            gc.threshold(before)
        _schedule = made and schedule.Schedule(*made)
        drop("backoff")
    return _schedule


def watch_program(timer):
    """Arm the boot hook's timer for an hour. Under a program that does not call tick(), check by itself."""
    timer.init(period=3600000, mode=timer.ONE_SHOT, callback=watch_program)
    if deadline or _busy:
        return
    # A tick() that finds no stack has asked for a check before main.py: it is as good as none.
    if _schedule and not machine.mem32[RETAINED_TURNS] >> CHECK_FIRST_BIT & 1:
        if time.ticks_diff(time.ticks_ms(), _schedule.last) < 60000:
            return
    try:
        from twoslot.recovery import unattended

        unattended.restart_if_due()
    except Exception:
        # The program has all of the heap or of the stack: once more in an hour.
        pass


def _command(name, force=None):
    global _busy, _schedule
    if _busy:
        print("twoslot: refused: 55 busy; slotbench explain 55")
        return False
    _busy = True
    try:
        # A person may have cured what stopped it before.
        _schedule = _schedule or None
        get_schedule()
        from twoslot import errors

        if force is None:
            from twoslot import settings, slot_commands

            return slot_commands.run(name, force)
        from twoslot import commands

        return commands.run(name, force)
    finally:
        unload()
        _busy = False
