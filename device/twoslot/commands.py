# The verbs of the REPL: what a person starts by hand, and one line of how it went. Loaded for one verb.
import machine
import time

import twoslot

from twoslot.errors import LinkError, ReleaseError, TwoslotError


def do(verb, *args):
    """Carry out one verb of the REPL; a refusal is printed, and False."""
    try:
        agent = twoslot.load()
        if verb == "update":
            return _update(agent, *args)
        if verb == "check":
            return _check(agent)
        if verb == "confirm":
            return _confirm(agent)
        if verb == "rollback":
            return _rollback(agent)
        return agent.turn("status")
    except TwoslotError as e:
        return _refused(e)
    except MemoryError as e:
        twoslot.keep(e)
        print("twoslot: no memory left for it; restart the board, then once more")
        return False


def _check(agent):
    """Look at the head and judge the release it names, without a download."""
    agent.begin(download=False)
    try:
        while agent.step():
            pass
    except ReleaseError as e:
        if agent.offered and e.args[0] != 28:
            print("twoslot: counter %d is offered" % agent.offered)
        raise
    plan = agent.plan
    confirmed = agent.turn("finish")
    if not plan:
        return _no_offer(confirmed)
    what = plan["version"], plan["counter"], plan["length"]
    print("twoslot: %s (counter %d, %d bytes) is offered" % what)
    _not_quiet()
    return True


def _update(agent, force):
    """Install what is offered, however often the connection is lost, and restart into its trial."""
    if not force:
        _not_quiet()
    timer = twoslot.timer()
    shown = fetched = 0
    agent.begin(force=force)
    while True:  # ends with the attempt: ready, refused, or too many losses in a row
        try:
            more = agent.step()
        except LinkError as e:
            _refused(e)
            if not agent.state:
                return False
            timer.failed(agent.retry_after)
            while not timer.due():
                time.sleep_ms(100)
            continue
        if agent.fetched > fetched:
            fetched = agent.fetched
            timer.soon(True)
        done, blocks = agent.progress
        if blocks and done * 10 // blocks > shown:
            shown = done * 10 // blocks
            print("twoslot: %d of %d blocks in place" % (done, blocks))
        if not more:
            break
    if agent.state:
        print("twoslot: %s verified, restarting into its trial" % agent.plan["version"])
        machine.reset()
    return _no_offer(agent.turn("finish"))


def _not_quiet():
    # A restart would come into hours that the owner keeps free of them.
    timer = twoslot.timer()
    hours = timer and timer.quiet
    if hours:
        from twoslot import quiet_hours

        left = quiet_hours.left_ms(hours)
        twoslot.drop("quiet_hours")
        if left:
            raise ReleaseError(44, hours[1])


def _confirm(agent):
    """Make the running release the one to fall back to."""
    done = agent.turn("confirm")
    print("twoslot: confirmed" if done else "twoslot: was confirmed already")


def _rollback(agent):
    """Mark the running release bad and restart into the other slot."""
    print("twoslot: back to slot", "BA"[agent.turn("rollback")])
    machine.reset()


def _refused(e):
    # Its number and place; its words are on the host.
    twoslot.keep(e)
    if e.args[0] == 28:
        print("twoslot: up to date, %d is offered" % e.args[1])
    else:
        print("twoslot: no, %d at %d (slotbench explain %d)" % (e.args[0], e.args[1], e.args[0]))
    return False


def _no_offer(confirmed):
    print("twoslot: on trial no longer" if confirmed else "twoslot: on trial, waiting for confirm()")
    return False
