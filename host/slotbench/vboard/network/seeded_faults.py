"""A share of the connections fails, in ways and at places drawn by a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Final

from slotbench.vboard.network.base import ECONNRESET, NAME_UNKNOWN, HttpRequest
from slotbench.vboard.network.http_faults import PORTAL, NetworkFault, Share

__all__ = ["FaultKind", "SeededFaults", "SeededPlan"]

_PORTAL_PAGE: Final = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(PORTAL), PORTAL)
_SLOWEST: Final = 16, 1000
_DOWN_MS: Final = (1_000, 60_000)


class FaultKind(Enum):
    """How a connection fails."""

    NAME = "the name does not resolve"
    REFUSED = "refused"
    STALL = "silent from some byte on"
    RESET = "reset at some byte"
    TRUNCATED = "closed at some byte"
    GARBAGE = "other bytes from some byte on"
    DRIP = "slower than any download from some byte on"
    LENGTH = "a length that is not so"
    PORTAL = "a captive portal's page instead"
    RESTART = "the server restarts at some byte"


class SeededPlan:
    """The plan of one connection: `fault`, if any, makes it fail or spoils one of its responses.

    With `spare_table` it is not the block table that is spoiled but what follows it: the image.
    """

    def __init__(self, fault: NetworkFault | None = None, *, spare_table: bool = False) -> None:
        fails = fault is not None and fault.strikes_connections
        self.connect = fault if fails else None
        self._next = None if fails else fault
        self._spare_table = spare_table

    def next_fault(self, request: HttpRequest) -> NetworkFault | None:
        """The fault of this request: it strikes the first that it may."""
        if self._spare_table and request.file.startswith("blocks/"):
            return None
        fault, self._next = self._next, None
        return fault


class SeededFaults:
    """Makes the plans of a FaultyNetwork: the share `rate` of them has a fault, one of `kinds`."""

    def __init__(
        self, rng: random.Random, rate: float, kinds: Sequence[FaultKind] = tuple(FaultKind)
    ) -> None:
        self._rng = rng
        self._rate = rate
        self._kinds = kinds
        self._drawn: list[tuple[FaultKind, NetworkFault]] = []

    @property
    def fault_counts(self) -> dict[FaultKind, int]:
        """How many connections failed, by kind."""
        counts = dict.fromkeys(FaultKind, 0)
        for kind, fault in self._drawn:
            counts[kind] += fault.used
        return counts

    def __call__(self) -> SeededPlan:
        """The plan of the next connection."""
        if self._rng.random() >= self._rate:
            return SeededPlan()
        kind, where = self._rng.choice(self._kinds), Share(self._rng.random())
        spare_table = self._rng.random() < 0.5
        fault = NetworkFault(**_FIELDS[kind](where, self._rng))
        self._drawn.append((kind, fault))
        return SeededPlan(fault, spare_table=spare_table)


_FIELDS: Final[dict[FaultKind, Callable[[Share, random.Random], dict[str, Any]]]] = {
    FaultKind.NAME: lambda where, rng: {"errno": NAME_UNKNOWN},
    FaultKind.REFUSED: lambda where, rng: {"errno": ECONNRESET},
    FaultKind.STALL: lambda where, rng: {"stall_at": where},
    FaultKind.RESET: lambda where, rng: {"reset_after": where},
    FaultKind.TRUNCATED: lambda where, rng: {"truncate_at": where},
    FaultKind.GARBAGE: lambda where, rng: {
        "garbage_at": where, "seed": rng.getrandbits(32), "hang_up": True},
    FaultKind.DRIP: lambda where, rng: {"drip": _SLOWEST, "drip_from": where},
    FaultKind.LENGTH: lambda where, rng: {"lie_length": where, "hang_up": True},
    FaultKind.PORTAL: lambda where, rng: {"raw": _PORTAL_PAGE, "hang_up": True},
    FaultKind.RESTART: lambda where, rng: {"reset_after": where, "down_ms": rng.randrange(*_DOWN_MS)},
}
