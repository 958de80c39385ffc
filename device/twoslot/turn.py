# The acts of an update that touch the journal; between them nothing of journal and slots is in memory.
import os

import twoslot

from twoslot.errors import FlashError
from twoslot.port import Port
from twoslot.swap import Swap


def do(agent, act):
    """Carry out one act, of an update or of a person; return what it tells."""
    swap = Swap(Port(), agent.attempts)
    result = None
    if act == "remember":
        _remember(agent, swap)
    elif act == "declare":
        spare = swap.empty_spare()
        agent.place = swap.slots.images[spare], swap.slots.tables[spare]
    elif act == "arm":
        swap.arm(agent.plan, agent.product)
    elif act == "finish":
        result = _finish(swap)
    elif act == "confirm":
        result = swap.confirm()
        _finish(swap)
    elif act == "rollback":
        swap.rollback()
        result = swap.slot
    elif act == "status":
        result = swap.status()
    else:  # facts
        agent.facts = swap.facts()
        agent.who = _who(swap)
    return result


def _remember(agent, swap):
    head, agent.news = agent.news, None
    if not swap.confirmed:
        if not head or not agent.auto:
            return
        # A head fetched whole and signed is the proof that this board could update itself again.
        if not agent.keys:
            swap.confirm(head)
            return
        swap.confirm()
    if agent.keys:
        # Never in a trial, and before a cell names their epoch.
        from twoslot import keys

        (text, first), agent.keys = agent.keys, None
        keys.write(text)
        first["tag"] = swap.cell.channel_tag
        head, agent.facts = head or first, None
    swap.head_seen(head)


def _who(swap):
    # A board that was given a secret shows with every request that it knows it; others pay this look only.
    try:
        os.stat("twoslot.id")
    except OSError:
        return None
    from twoslot import identity

    try:
        return identity.load(swap.running, swap.cell)
    except FlashError as e:
        # A server may serve it all the same.
        twoslot.keep(e)
        return None


def _finish(swap):
    # What follows an attempt that ended without a restart: perhaps the end of a trial.
    if swap.confirmed:
        if twoslot._timer:
            twoslot._timer.trial = False
        if twoslot.deadline:
            twoslot.deadline.deinit()
            twoslot.deadline = None
        return True
    return False
