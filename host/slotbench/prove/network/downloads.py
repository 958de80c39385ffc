"""What a board downloaded of images, from the log of its network.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from slotbench.vboard.network.base import HttpRequest
from slotbench.vboard.network.http_faults import NetworkFault

__all__ = ["Downloads"]

Span = tuple[int, int]
"""Where in the image the bytes of one response begin and end."""


@dataclass(frozen=True, slots=True)
class Downloads:
    """`spans` has one span for each response with bytes of an image.

    `interrupted` counts the responses that a fault spoiled.
    """

    spans: tuple[Span, ...]
    interrupted: int = 0

    @classmethod
    def from_log(cls, requests: Iterable[HttpRequest]) -> Downloads:
        """The downloads among the requests of a FaultyNetwork."""
        images = [request for request in requests if request.file.startswith("images/")]
        return cls(
            tuple(_span(request) for request in images),
            sum(request.fault is not None for request in images))

    @property
    def image_bytes(self) -> int:
        """Bytes of images over all responses."""
        return sum(end - start for start, end in self.spans)

    @property
    def most_again(self) -> int:
        """The most bytes of one response that later responses brought again."""
        return max((_overlap(span, self.spans[at + 1 :]) for at, span in enumerate(self.spans)), default=0)


def _span(request: HttpRequest) -> Span:
    start = int(request.range.removeprefix("bytes=").partition("-")[0]) if request.range else 0
    fault = request.fault
    elsewhere = isinstance(fault, NetworkFault) and not fault.asks_server
    return start, start if elsewhere else start + request.body_bytes


def _overlap(span: Span, later: Iterable[Span]) -> int:
    """Bytes of a span that are in any of the later ones."""
    again, at = 0, span[0]
    for start, end in sorted(later):
        start, end = max(start, at), min(end, span[1])
        if start < end:
            again, at = again + end - start, end
    return again
