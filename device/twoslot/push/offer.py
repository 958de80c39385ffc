# Checks a release that was pushed. There is no head: the release's own counter takes its place.
import twoslot

from twoslot import codes
from twoslot.constants import DEVELOPMENT_BIT
from twoslot.errors import ReleaseError


def handle(listener, sock):
    """Give the agent a plan for the spare slot, from the document that was verified."""
    payload, digest, epoch = listener.document
    listener.document = None
    agent = twoslot.load_agent()
    facts = agent.facts
    if epoch < facts["epoch"]:
        raise ReleaseError(codes.HEAD_EPOCH, facts["epoch"])
    from twoslot import settings
    from twoslot.trust import policy

    try:
        head = {"release": digest, "counter": payload.get("counter")}
        plan = policy.check_release(payload, digest, head, settings.load(), facts)
        if listener.development_keys:
            # Its counter is above every floor, and it sets none.
            plan["counter"] |= 1 << DEVELOPMENT_BIT
            plan["floor"] = 0
            plan["created"] = 0  # the developer's clock proves nothing
        policy.check_counter(plan["counter"], facts, facts["counter"] >> DEVELOPMENT_BIT)
        if plan["fs_version"] < facts["fs_version"]:
            from twoslot import filesystem

            filesystem.check_driver(plan["fs_version"], facts["fs_start"])
        agent.plan = plan
    finally:
        twoslot.drop("trust", "settings")
