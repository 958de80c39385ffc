# The policy for a release that was pushed. There is no head: the release's own counter takes its place.
from twoslot import codes, drop
from twoslot.constants import DEVELOPMENT_BIT, STATE_TABLE
from twoslot.errors import FlashError


def apply(agent, s):
    """Give the agent a plan for the spare slot, from the document that was verified; return its next state.

    s: the settings.
    """
    # It is loaded by then, and so is what names it: this one is loaded for pushes alone.
    from twoslot.trust import policy

    (payload, digest, _), agent.seal = agent.seal, None
    facts = agent.facts
    plan = policy.check_release(
        payload, digest, {"release": digest, "counter": payload.get("counter")}, s, facts)
    if agent.pushed:
        # Signed by the development key. Its counter is above every floor, and it sets none.
        plan["counter"] |= 1 << DEVELOPMENT_BIT
        plan["floor"] = 0
        plan["created"] = 0  # the developer's clock proves nothing
    policy.check_counter(plan["counter"], facts, facts["counter"] >> DEVELOPMENT_BIT)
    agent.plan = plan
    return STATE_TABLE


def apply_program(agent, s):
    """The same for an application: it takes the place of the one that runs, alone."""
    from twoslot.application import document

    facts = agent.facts["app"] or document.FIRST
    if not agent.facts["confirmed"]:
        raise FlashError(codes.NOT_CONFIRMED, 1)
    payload, digest = agent.seal[:2]
    agent.head = {"app": digest, "app_counter": payload.get("counter"), "counter": 0, "next": None}
    state, plan = document.apply(agent, s), agent.plan
    if agent.pushed:
        plan["counter"] |= 1 << DEVELOPMENT_BIT
        plan["floor"] = 0
    drop("application")  # both at once would be the peak of a push
    from twoslot.trust import policy

    policy.check_counter(plan["counter"], facts, facts["counter"] >> DEVELOPMENT_BIT)  # type: ignore
    return state
