"""The part of a response that is on its way to the board: which bytes of it may be read by now."""

from __future__ import annotations

from slotbench.vboard.clock import Clock
from slotbench.vboard.network.base import HttpRequest
from slotbench.vboard.network.http_response import Delivery, End

__all__ = ["PendingDelivery"]


class PendingDelivery:
    """A delivery on its way, part of the response to `request`."""

    def __init__(self, delivery: Delivery, request: HttpRequest | None, clock: Clock) -> None:
        self.delivery = delivery
        self.request = request
        self._clock = clock
        self._begun_us: int | None = None
        self._sent = 0

    def start(self) -> None:
        """Nothing is in front of it any more."""
        if self._begun_us is None:
            self._begun_us = self._clock.us

    @property
    def is_over(self) -> bool:
        """Whether all of it was taken."""
        delivery = self.delivery
        return not delivery.endless and self._sent == len(delivery.data) and self._elapsed_us >= 0

    @property
    def is_reset(self) -> bool:
        """Whether the connection was reset behind it."""
        return self.delivery.end is End.RESET and self.is_over

    @property
    def readable(self) -> bool:
        """Whether a read would find bytes or an end."""
        return self._ready > 0 or self.is_over and self.delivery.end in (End.CLOSE, End.RESET)

    def readinto(self, view: memoryview) -> int:
        """Move what is ready into `view`; return the number of bytes."""
        data, endless = self.delivery.data, self.delivery.endless
        piece = data[self._sent : self._sent + len(view)]
        if endless and len(piece) < len(view):
            at = max(0, self._sent - len(data)) % len(endless)
            more = len(view) - len(piece)
            piece += (endless * (more // len(endless) + 2))[at : at + more]
        piece = piece[: self._ready]
        view[: len(piece)] = piece
        self._sent += len(piece)
        return len(piece)

    @property
    def _elapsed_us(self) -> int:
        """Since its first byte could be sent; negative before that."""
        begun_us = self._clock.us if self._begun_us is None else self._begun_us
        return self._clock.us - begun_us - self.delivery.delay_ms * 1000

    @property
    def _ready(self) -> int:
        """How many bytes may be taken now."""
        delivery, elapsed_us = self.delivery, self._elapsed_us
        if elapsed_us < 0:
            return 0
        ready = len(delivery.data) - self._sent if not delivery.endless else 1 << 30
        if delivery.drip is not None:
            count, ms = delivery.drip
            ready = min(ready, delivery.drip_from + elapsed_us // (ms * 1000) * count - self._sent)
        return max(0, ready)
