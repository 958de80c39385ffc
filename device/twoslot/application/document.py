# The document of an application: whether this board may run it, and what there is to download.
import sys

from binascii import hexlify

from twoslot import codes
from twoslot.application.requirement import FIRST, check_range
from twoslot.constants import STATE_IDLE, STATE_LIST, STATE_RELEASE
from twoslot.errors import ReleaseError
from twoslot.trust.fields import read_digest, read_numbers, read_typed, require_product

_NUMBERS = (
    "counter", "floor", "files", "size", "list_length", "firmware_low", "firmware_high", "mpy_abi", "data",
)  # fmt: skip


def apply(agent, s):
    """Apply the policy to the document of an application; return the agent's next state."""
    (payload, digest, _), agent.seal = agent.seal, None
    head, facts = agent.head, agent.facts["app"] or FIRST
    if digest != head["app"]:
        raise ReleaseError(codes.HEAD_MISMATCH, 0)
    require_product(payload, s)
    try:
        plan = read_numbers(payload, _NUMBERS)
        plan["version"] = read_typed(payload, "version", str)
        plan["list"] = read_digest(payload, "list_sha256")
        # The name of the application that runs, where the server has a patch from it: patch.py.
        before = hexlify((facts.get("list") or bytes(7))[:7]).decode()
        plan["ways"] = before if before in payload.get("patches_from", ()) else None
        if s["board"] not in payload["boards"]:
            raise ReleaseError(codes.WRONG_BOARD, 0)
        if s["channel"] not in payload["channels"]:
            raise ReleaseError(codes.WRONG_CHANNEL, 0)
    except (ValueError, KeyError, TypeError):
        raise ReleaseError(codes.DOCUMENT_UNREADABLE, 0)
    if plan["counter"] != head["app_counter"]:
        raise ReleaseError(codes.HEAD_MISMATCH, plan["counter"])
    if plan["data"] < facts["data"]:
        raise ReleaseError(codes.APP_DATA, plan["data"])
    # It has to fit what it will run under: the release beside it, or the firmware that runs.
    together = head["next"] == STATE_RELEASE
    counter = head["counter"] if together else agent.facts["counter"]
    check_range(plan["firmware_low"], plan["firmware_high"], counter)
    if not together and plan["mpy_abi"] not in (0, getattr(sys.implementation, "_mpy", 0) & 0xFF):
        raise ReleaseError(codes.APP_FIRMWARE, counter)
    if not together:
        from twoslot.application import port

        if port.is_frozen("main"):
            raise ReleaseError(codes.FROZEN_MAIN, 0)
    plan["length"] = plan["size"]
    plan["pack"] = not agent.facts["size"]  # without the loader twoslot itself may come, too
    plan["folder"], plan["running"] = facts["folder"], facts["running"]
    agent.plan = plan
    return STATE_LIST if agent.download else STATE_IDLE
