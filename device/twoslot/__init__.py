# twoslot at the REPL and in a main loop: the part that stays. Each verb loads what it needs, then lets go.
import gc
import machine
import sys
import time

__version__ = "0.1.0"

deadline = None  # the timer the boot hook armed for a trial
_agent = _timer = _etag = _threshold = None
_log = []  # (milliseconds since boot, code, where), newest last
_also = []  # what tick() asks first, a button or a broker: milliseconds within which to look, or None


def status():
    """Return what runs, what waits and what happened last, as a dict."""
    return _hand("status")


def check():
    """Look now, change nothing. True when a release is offered that this board would take."""
    return _hand("check")


def update(force=False):
    """Look now, install what is offered, restart into its trial. force lifts bad marks, pause and percent."""
    return _hand("update", force)


def confirm():
    """Say that the running release is healthy; needed with "confirm": "manual" only."""
    return _hand("confirm")


def rollback():
    """Go back to the release in the other slot, now and without a download; the running one is marked bad."""
    return _hand("rollback")


def listen(minutes=10, wait=True):
    """Take releases pushed from a developer's machine, for so long; wait=False: from within tick()."""
    from twoslot.push import opening

    return opening.listen(minutes, wait)


def log():
    """Print the last refusals and failures: milliseconds since boot, code, place."""
    for entry in _log:
        print("%10d  %d at %d" % entry)


def tick():
    """Do a piece of what is due, for about a tenth of a second. Call it once a second or oftener."""
    due = agent = error = None
    try:
        due = timer()
        for ask in _also:
            wanted = ask()
            if wanted is not None and due:
                due.sooner(wanted)
        if not due or not due.due():
            return
        from twoslot.errors import TwoslotError
    except MemoryError as e:
        # No room even to begin: the application must not stop for it.
        keep(e)
        if due:
            due.failed()
        unload()
        return _starved(due, 0)
    try:
        agent = load()
        if not agent.state:
            agent.begin(etag=_etag)
        start = time.ticks_ms()
        while agent.step():
            if time.ticks_diff(time.ticks_ms(), start) > 100:
                due.soon(agent.fetched)
                return
        if agent.state:
            machine.reset()  # into the trial; here, where nothing more needs to be loaded
    except (TwoslotError, MemoryError) as e:
        error = e
    try:
        from twoslot import outcome

        more = outcome.reached(agent, due, error)
    except (TwoslotError, MemoryError) as e:
        keep(e)
        due.failed()
        error, more = e, False
    if not more:
        starved, state = isinstance(error, MemoryError), agent.state if agent else 0
        agent = error = outcome = None
        unload()
        if starved:
            _starved(due, state)


async def task():
    """tick() for an asyncio program."""
    import asyncio

    while True:  # for as long as the program runs
        tick()
        await asyncio.sleep_ms(100)


# What follows serves the other modules.


def drop(*names):
    """Unload modules ("agent", "http.request") or folders ("http") of this package; free their memory."""
    modules = sys.modules
    for name in names:
        name = "twoslot." + name
        dot = name.rfind(".")
        parent = modules.get(name[:dot])
        if parent:
            parent.__dict__.pop(name[dot + 1 :], None)
        for loaded in list(modules):
            if loaded == name or loaded.startswith(name + "."):
                # The collector takes stale words on the C stack for references: what they hold
                # must hold nothing.
                modules.pop(loaded).__dict__.clear()
    parent = None
    gc.collect()


def load():
    """Return the agent, made when there is none. It is kept while an update is under way."""
    global _agent, _threshold
    if _agent is None:
        # Garbage is taken out early, so that what stays lies close together and the heap is not cut to bits.
        _threshold = gc.threshold()
        gc.threshold(1024)
        from twoslot import agent

        _agent = agent.Agent()
    return _agent


def unload():
    """Let go of the agent and all it loaded."""
    global _agent, _threshold
    if _agent:
        _agent.end()
    if _threshold:
        gc.threshold(_threshold)
    _agent = _threshold = None
    drop("startup", "outcome", "agent", "boot", "settings", "commands", "errors", "push.opening")


def timer():
    """Return the countdown to the next look, or False when this board cannot be updated (log() says why)."""
    global _timer
    if _timer is None:
        from twoslot import startup

        _timer = startup.countdown()
        startup = None
        unload()
    return _timer


def keep(e):
    """Remember a refusal for log()."""
    code, where = e.args[:2] if len(e.args) > 1 else (0, 0)
    _log.append((time.ticks_ms(), code, where))
    if len(_log) > 8:
        _log.pop(0)


def _starved(due, state):
    # An attempt found no room: perhaps it is to be made before main.py.
    try:
        from twoslot.recovery import update_first

        update_first.ask(due, state)
    except MemoryError as e:
        keep(e)
    update_first = None
    drop("recovery.update_first")


def _hand(verb, *args):
    global _timer
    try:
        # A person may have mended what stopped it before.
        _timer = _timer or None
        timer()
        from twoslot import commands

        return commands.do(verb, *args)
    finally:
        commands = None
        unload()
