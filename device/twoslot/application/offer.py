# Whether this board takes the application that a head names: beside the head's firmware, or alone. Loaded
# with the policy (trust/policy.py), for a head and for the document of an application.
import os

from twoslot import codes
from twoslot.application import record as records, decision, port
from twoslot.application.startup import is_present
from twoslot.constants import (
    APP_ABI, APP_ACTIVE, APP_BAD, APP_COUNTER, APP_DATA, APP_DATA_LEAST, APP_FLOOR, APP_OUTSIDE, APP_ROUNDS,
    APP_STATE, APP_UNPROVEN, SLOT_CONFIRMED, STATE_APP, STATE_IDLE, STATE_LIST, STATE_RELEASE,
)  # fmt: skip
from twoslot.errors import ReleaseError
from twoslot.trust import policy

_NUMBERS = (
    "counter", "floor", "files", "size", "list_length", "firmware_low", "firmware_high", "mpy_abi", "data",
)  # fmt: skip
_NOT_NOW = (codes.PAUSED, codes.NOT_IN_ROLLOUT)


def check(agent, s, refusal):
    """Return the state that follows a head. refusal: why its firmware is not wanted now, None when it is."""
    head, record = agent.head, records.load()
    head["next"] = None if refusal else STATE_RELEASE
    why = refusal
    if head["app"]:
        try:
            if refusal and refusal.args[0] in _NOT_NOW:
                raise refusal
            running = _running(record)
            facts = {
                "counter": record[APP_COUNTER + running] if running < APP_OUTSIDE else 0,
                "floor": record[APP_FLOOR], "bad": record[APP_BAD], "unproven": record[APP_UNPROVEN],
                "rounds": record[APP_ROUNDS],
            }  # fmt: skip
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
    active = record[APP_ACTIVE]
    if active < APP_OUTSIDE and record[APP_STATE + active] == SLOT_CONFIRMED:
        if not decision.fits(record, active, head["counter"], record[APP_ABI + active]):
            raise ReleaseError(codes.APP_FIRMWARE, head["counter"])
    return STATE_RELEASE


def apply(agent, s):
    """Apply the policy to the document of an application; return the agent's next state."""
    (payload, digest, _), agent.seal = agent.seal, None
    agent.plan = _plan(payload, digest, agent, s)
    return STATE_LIST if agent.download else STATE_IDLE


def check_release(agent, payload):
    """Raise why a release and the application that was unpacked for it do not go together."""
    record = records.load()
    n = decision.unpacked(record)
    if n is None or record[APP_ABI + n] not in (0, payload["mpy_abi"]):
        raise ReleaseError(codes.APP_FIRMWARE, agent.head["counter"])
    if payload.get("frozen_main"):
        raise ReleaseError(codes.FROZEN_MAIN, 0)
    agent.plan["app"] = True


def _running(record):
    counter = port.firmware()[0]
    return decision.next_start(record, counter, port.mpy_abi(), is_present())[0]


def _plan(payload, digest, agent, s):
    head, record = agent.head, records.load()
    if digest != head["app"]:
        raise ReleaseError(codes.HEAD_MISMATCH, 0)
    policy.require_product(payload, s)
    try:
        plan = policy.read_numbers(payload, _NUMBERS)
        plan["version"] = policy.read_typed(payload, "version", str)
        plan["list"] = policy.read_digest(payload, "list_sha256")
        if s["board"] not in payload["boards"]:
            raise ReleaseError(codes.WRONG_BOARD, 0)
        if s["channel"] not in payload["channels"]:
            raise ReleaseError(codes.WRONG_CHANNEL, 0)
    except (ValueError, KeyError, TypeError):
        raise ReleaseError(codes.DOCUMENT_UNREADABLE, 0)
    if plan["counter"] != head["app_counter"]:
        raise ReleaseError(codes.HEAD_MISMATCH, plan["counter"])
    if plan["data"] < record[APP_DATA_LEAST]:
        raise ReleaseError(codes.APP_DATA, plan["data"])
    plan["length"] = plan["size"]
    running = _running(record)
    spare = 1 - running if running < APP_OUTSIDE else int(record[APP_ACTIVE] == 0)
    plan["folder"] = "/app_b" if spare else "/app_a"
    plan["running"] = None if running == APP_OUTSIDE else "/app_a" if spare else "/app_b"
    _check_firmware(plan, agent)
    return plan


def _check_firmware(plan, agent):
    # It has to fit what it will run under: the release beside it, or the firmware that runs.
    together = agent.head["next"] == STATE_RELEASE
    counter = agent.head["counter"] if together else port.firmware()[0]
    low, high, abi = plan["firmware_low"], plan["firmware_high"], plan["mpy_abi"]
    if not counter >> 31 and not (low <= counter and (not high or counter <= high)):
        raise ReleaseError(codes.APP_FIRMWARE, counter)
    if not together and abi not in (0, port.mpy_abi()):
        raise ReleaseError(codes.APP_FIRMWARE, counter)
