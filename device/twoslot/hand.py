# The verbs of the REPL: what a person starts by hand, and one line of how it went. Loaded for one verb.
import twoslot

from twoslot import decide
from twoslot.errors import LinkError


def status():
    """Return what runs, what waits and what happened last, as a dict."""
    s = twoslot.load().swap
    cell, d, spare = s.cell, s.running, s.descriptors[1 - s.slot]
    after = decide.choose(cell, s.descriptors)
    return {
        "slot": "AB"[s.slot], "version": d.version, "counter": d.counter, "why": s.row,
        "confirmed": s.confirmed, "spare": spare.version if spare else None, "floor": cell.floor,
        "bad": cell.bad_counter, "head": cell.head_seq, "report": cell.report,
        "next": "AB"[after[0]] if after else None,
    }  # fmt: skip


def check():
    """Look at the head and judge the release it names, without a download."""
    agent = twoslot.load()
    agent.begin(download=False)
    while agent.step():
        pass
    twoslot.finish(agent)
    plan = agent.plan
    if plan:
        print("twoslot: %s (counter %d, %d bytes) is offered" % (plan.version, plan.counter, plan.length))
        return True
    return _no_offer(agent)


def update(force):
    """Install what is offered, however often the connection is lost, and restart into its trial."""
    timer = twoslot.timer()
    agent = twoslot.load()
    shown = fetched = 0
    agent.begin(force=force)
    while True:  # ends with the attempt: ready, refused, or too many losses in a row
        try:
            more = agent.step()
        except LinkError as e:
            refused(e)
            if not agent.state:
                return False
            timer.failed(agent.retry_after)
            while not timer.due():
                agent.port.sleep_ms(100)
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
        print("twoslot: %s verified, restarting into its trial" % agent.plan.version)
    twoslot.finish(agent)
    return _no_offer(agent)


def confirm():
    """Make the running release the one to fall back to."""
    agent = twoslot.load()
    done = agent.swap.confirm()
    print("twoslot: confirmed" if done else "twoslot: was confirmed already")
    twoslot.finish(agent)


def rollback():
    """Mark the running release bad and restart into the other slot."""
    s = twoslot.load().swap
    s.rollback()
    print("twoslot: back to slot", "BA"[s.slot])
    s.port.reset()


def refused(e):
    """Print a refusal as its number and place; its words are on the host."""
    twoslot.keep(e)
    if e.args[0] == 28:
        print("twoslot: up to date, %d is offered" % e.args[1])
    else:
        print("twoslot: no, %d at %d (slotbench explain %d)" % (e.args[0], e.args[1], e.args[0]))
    return False


def _no_offer(agent):
    done = agent.swap.confirmed
    print("twoslot: on trial no longer" if done else "twoslot: on trial, waiting for confirm()")
    return False
