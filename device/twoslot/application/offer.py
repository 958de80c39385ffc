# Whether this board takes the application that a head names: beside the head's firmware, or alone. Loaded
# with the policy (trust/policy.py). What the board has is in agent.facts (status.py).
from twoslot import codes
from twoslot.application.requirement import FIRST, check_range
from twoslot.constants import STATE_APP, STATE_RELEASE
from twoslot.errors import ReleaseError
from twoslot.trust import policy

_NOT_NOW = (codes.PAUSED, codes.NOT_IN_ROLLOUT)


def check(agent, s):
    """Return the state that follows a head, or raise why this board wants nothing of it now."""
    head, facts = agent.head, agent.facts["app"] or FIRST
    refusal = None
    try:
        policy.check_rollout(head, agent.facts, s, policy.device_id(s), agent.force)
    except ReleaseError as e:
        refusal = e
    if not agent.facts["size"]:
        # Stock firmware has no slots: it takes applications only.
        refusal = refusal or ReleaseError(codes.UP_TO_DATE, head["counter"])
    head["next"] = None if refusal else STATE_RELEASE
    why = refusal
    if head["app"]:
        try:
            if refusal and refusal.args[0] in _NOT_NOW:
                raise refusal
            policy.check_counter(head["app_counter"], facts, agent.force)
            if refusal:
                policy.check_rollout(head, None, s, policy.device_id(s), agent.force)
            agent.offered = agent.offered or head["app_counter"]
            return STATE_APP
        except ReleaseError as e:
            if not head["counter"]:
                why = e
    if why:
        raise why
    # A firmware alone: the program that runs must be able to go on under it.
    check_range(facts["low"], facts["high"], head["counter"])
    head["next"] = None
    return STATE_RELEASE


def check_release(agent, payload):
    """Raise why a release and the application that was unpacked for it do not go together."""
    if agent.head["mpy_abi"] not in (0, payload["mpy_abi"]):
        raise ReleaseError(codes.APP_FIRMWARE, agent.head["counter"])
    if payload.get("frozen_main"):
        raise ReleaseError(codes.FROZEN_MAIN, 0)
    agent.plan["app"] = True
