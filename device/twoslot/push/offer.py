# A release that was pushed is judged: what its head would say of a pulled one, its counter says here.
from micropython import const

import twoslot

from twoslot.errors import ReleaseError

_OWN = const(0x80000000)  # bit of the counter of what the development key signed


def do(door, sock):
    """Give the agent a plan for the spare slot, from the document that was read."""
    j, digest, epoch = door.found
    door.found = None
    agent = twoslot.load()
    agent.begin()
    agent.turn("facts")
    facts = agent.facts
    if epoch < facts["epoch"]:
        raise ReleaseError(42, facts["epoch"])
    from twoslot import settings
    from twoslot.trust import policy

    try:
        head = {"release": digest, "counter": j.get("counter")}
        plan = policy.release(j, digest, head, settings.load(), facts)
        if door.own:
            # Above every floor, and it sets none.
            plan["counter"] |= _OWN
            plan["floor"] = 0
        policy.order(plan["counter"], facts, facts["counter"] >> 31)
        agent.plan = plan
    finally:
        policy = settings = None
        twoslot.drop("trust.policy", "settings")
