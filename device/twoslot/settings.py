# Reads and checks twoslot.json, the settings that a person puts on the board. Never writes it.
import json

from twoslot import codes
from twoslot.errors import FlashError

# In the order of settings.md: an error names the key by its number, from 1.
_KEYS = (
    ("product", str), ("board", str), ("channel", str), ("server", str), ("device_id", str), ("cohort", str),
    ("confirm", str), ("interval_s", int), ("attempts", int), ("mpy_abi", int),
    ("quiet", list), ("development", bool), ("mqtt", str), ("mqtt_client", str), ("restart_delay_s", int),
    ("unattended", int), ("step_ms", int), ("ntp", str), ("report", bool),
)
_REQUIRED = 4


def load():
    """Return the settings as a dict, defaults filled in."""
    try:
        with open("/twoslot.json") as f:
            s = json.load(f)
    except (OSError, ValueError):
        raise FlashError(codes.SETTINGS, 0)
    if not isinstance(s, dict):
        raise FlashError(codes.SETTINGS, 0)
    for i, (key, kind) in enumerate(_KEYS):
        if (key in s or i < _REQUIRED) and not isinstance(s.get(key), kind):
            raise FlashError(codes.SETTINGS, i + 1)
    s.setdefault("confirm", "auto")
    s.setdefault("interval_s", 21600)
    s.setdefault("attempts", 3)
    s.setdefault("unattended", 86400)
    s.setdefault("step_ms", 500)
    if s["confirm"] not in ("auto", "manual"):
        raise FlashError(codes.SETTINGS, 7)
    # At most a week: the schedule counts milliseconds, which must stay below 2**30.
    if not 10 <= s["interval_s"] <= 604800:
        raise FlashError(codes.SETTINGS, 8)
    if not 1 <= s["attempts"] <= 8:
        raise FlashError(codes.SETTINGS, 9)
    if not 0 < len(s.get("mqtt_client", "-")) <= 64:
        raise FlashError(codes.SETTINGS, 14)
    if not 0 <= s.get("restart_delay_s", 0) <= 86400:
        raise FlashError(codes.SETTINGS, 15)
    # An hour to a week, or never.
    if s["unattended"] and not 3600 <= s["unattended"] <= 604800:
        raise FlashError(codes.SETTINGS, 16)
    if not 100 <= s["step_ms"] <= 1000:
        raise FlashError(codes.SETTINGS, 17)
    quiet = s.get("quiet", (0, 1))
    if len(quiet) != 2 or quiet[0] == quiet[1]:
        raise FlashError(codes.SETTINGS, 11)
    for hour in quiet:
        if not isinstance(hour, int) or not 0 <= hour < 24:
            raise FlashError(codes.SETTINGS, 11)
    return s
