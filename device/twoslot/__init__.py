# twoslot at the REPL and in a main loop: the part that stays. Each verb loads what it needs, then lets go.
import gc
import sys

__version__ = "0.1.0"

deadline = None  # the timer the boot hook armed for a trial
_agent = _timer = _etag = None
_log = []  # (milliseconds since boot, code, where), newest last


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


def log():
    """Print the last refusals and failures: milliseconds since boot, code, place."""
    for ms, code, where in _log:
        print("%10d  %d at %d" % (ms, code, where))


def tick():
    """Do a piece of what is due, for about a tenth of a second. Call it once a second or oftener."""
    global _etag
    due = timer()
    if not due or not due.due():
        return
    from twoslot.errors import FlashError, LinkError, ReleaseError

    agent = None
    try:
        agent = load()
        if agent.state == 0:
            agent.begin(etag=_etag)
        start = agent.port.ticks()
        while agent.step():
            if agent.port.since(start) > 100:
                return due.soon(agent.fetched)
        _etag = agent.etag
        due.done()
        finish(agent)
    except LinkError as e:
        keep(e)
        due.failed(agent.retry_after)
        if agent.state:
            return
    except ReleaseError as e:
        keep(e)
        # What cannot be read or trusted, or is another document, may be right next time: a captive portal.
        final = agent.believed and e.args[0] > 24 and e.args[0] != 37
        _etag = agent.etag if final else None
        if final:
            due.done()
        else:
            due.failed()
    except (FlashError, MemoryError) as e:
        keep(e)
        due.failed()
    unload()


async def task():
    """tick() for an asyncio program."""
    import asyncio

    while True:  # for as long as the program runs
        tick()
        await asyncio.sleep_ms(100)


# What follows serves the verbs in hand.py too.


def drop(*names):
    """Unload modules of this package and give their memory back."""
    here = globals()
    for name in names:
        sys.modules.pop("twoslot." + name, None)
        here.pop(name, None)
    gc.collect()


def load():
    """Return the agent, made when there is none. It is kept while an update is under way."""
    global _agent
    if _agent is None:
        from twoslot import agent

        _agent = agent.Agent()
    return _agent


def unload():
    """Let go of the agent and all it loaded."""
    global _agent
    if _agent:
        _agent.end()
    _agent = None
    drop("agent", "swap", "settings", "offer", "journal", "slots", "decide", "hand")


def timer():
    """Return the countdown to the next look, or False when this board cannot be updated (log() says why)."""
    global _timer
    if _timer is None:
        from twoslot.errors import FlashError
        from twoslot.schedule import Schedule

        try:
            agent = load()
            swap = agent.swap
            _timer = Schedule(swap.port, agent.settings["interval_s"], not swap.confirmed, swap.row == 3)
        except FlashError as e:
            # The application must not stop for it.
            _timer = False
            keep(e)
        unload()
    return _timer


def finish(agent):
    """What follows an attempt that came to its end: a restart into the trial, or the end of one."""
    global deadline
    if agent.state:
        agent.port.reset()
    if agent.swap.confirmed:
        if _timer:
            _timer.trial = False
        if deadline:
            deadline.deinit()
            deadline = None


def keep(e):
    """Remember a refusal for log()."""
    code, where = e.args if len(e.args) == 2 else (0, 0)
    _log.append((_timer.port.ticks() if _timer else 0, code, where))
    if len(_log) > 8:
        _log.pop(0)


def _hand(verb, *args):
    global _timer
    from twoslot import hand
    from twoslot.errors import TwoslotError

    try:
        # First: it loads and lets go of an agent of its own. A person may have mended what stopped it before.
        _timer = _timer or None
        timer()
        return getattr(hand, verb)(*args)
    except TwoslotError as e:
        return hand.refused(e)
    finally:
        unload()
