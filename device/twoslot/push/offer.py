# The policy for a release that was pushed. There is no head: the release's own counter takes its place.
from twoslot.constants import DEVELOPMENT_BIT, STATE_TABLE


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
