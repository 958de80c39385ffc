"""Heads that expire soon: boards refuse them then, until somebody signs them again."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from slotbench.errors import BenchError
from slotbench.formats import FormatError
from slotbench.formats.fields import date_words
from slotbench.formats.head import Head
from slotbench.release import documents

__all__ = ["EXPIRY_CURE", "expiry_words", "warn_of_expiry", "warn_of_site"]

EXPIRY_CURE: Final = "sign it again: slotbench release publish --refresh"
_DAY_S: Final = 86400
_WARNED_DAYS: Final = 7
_log = logging.getLogger(__name__)


def expiry_words(head: Head, now: int) -> str | None:
    """What is wrong with the date of a head; None if it holds for more than a week. `now` is Unix seconds."""
    name, date = f"the head of {head.product}/{head.channel}", date_words(head.expires)
    if head.expires <= now:
        return f"{name} expired on {date}: boards that know the time refuse it"
    days, rest_s = divmod(head.expires - now, _DAY_S)
    if days >= _WARNED_DAYS:
        return None
    left = f"{days} days" if days > 1 else f"{days * 24 + rest_s // 3600} hours"
    return f"{name} expires in {left}, on {date}"


def warn_of_expiry(head: Head, now: int) -> None:
    """Log a warning for a head that expires soon, or has expired."""
    if words := expiry_words(head, now):
        _log.warning("%s; %s", words, EXPIRY_CURE)


def warn_of_site(root: Path, now: int) -> None:
    """The same for each head of a site. What cannot be read is left to others."""
    for path in sorted(root.glob("heads/*/*.head")):
        try:
            head = documents.read_head(path)[1]
        except (BenchError, FormatError):
            continue
        warn_of_expiry(head, now)
