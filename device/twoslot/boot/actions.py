# The acts of an update that touch the journal; between them nothing of journal and slots is in memory.
import twoslot

from twoslot.boot.flash import Port
from twoslot.boot.control import Swap


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
    return result


def _remember(agent, swap):
    head, agent.news = agent.news, None
    if agent.keys:
        from twoslot.trust import rotation

        rotation.pin(agent, swap, head)
    elif swap.confirmed:
        swap.head_seen(head)
    elif agent.auto:
        # A head fetched whole and signed is the proof that this board could update itself again.
        swap.confirm(head)


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
