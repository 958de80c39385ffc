# What an application needs of the firmware that it runs under.
from twoslot import codes
from twoslot.errors import ReleaseError

# What a board has that has no application yet: status.facts() of others.
FIRST = {
    "counter": 0, "floor": 0, "bad": 0, "unproven": 0, "rounds": 0, "data": 0, "low": 0, "high": 0,
    "folder": "/app_a", "running": None,
}  # fmt: skip


def check_range(low, high, counter):
    """Raise unless a firmware's counter lies in the range; a development firmware fits all."""
    if not counter >> 31 and not (low <= counter and (not high or counter <= high)):
        raise ReleaseError(codes.APP_FIRMWARE, counter)
