"""The measurements, taken in turns, and what they are beside those of `slotbench serve`."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slotbench.errors import BenchError
from slotbench.prove.servers.contestants import RunningServer, run_server
from slotbench.prove.servers.load import fetch, slow_readers

__all__ = ["LoadPlan", "OURS", "ServerFigures", "Spread", "measure", "ratios"]

OURS: Final = "slotbench serve"
_POLL_TIMEOUT_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """What is asked of each server in each round. `timeout_s` is how long a poll may take beside slow
    readers.
    """

    rounds: int = 5
    polls: int = 600
    downloads: int = 60
    readers: int = 50
    polls_beside: int = 40
    timeout_s: float = _POLL_TIMEOUT_S


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFigures:
    """One round of a server. Rates are in a second, `cpu_...` in milliseconds of its CPU for one answer.

    `answered` is how many of the polls beside slow readers were answered in time, of `asked`.
    """

    polls_304: float
    polls_200: float
    downloads: float
    cpu_304: float
    cpu_download: float
    answered: int
    asked: int


@dataclass(frozen=True, slots=True)
class Spread:
    """A median of all rounds, and the lowest and highest of them."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """That of these values."""
        return cls(statistics.median(values), min(values), max(values))


def measure(
    site: Path, head: str, image: str, names: Sequence[str], plan: LoadPlan, seed: int = 0,
) -> Iterator[tuple[int, str, ServerFigures]]:
    """Measure each server once in each round, in an order that is drawn. `head` and `image` are paths.

    Raises BenchError if an answer is not what it has to be.
    """
    drawn = random.Random(seed)
    for number in range(plan.rounds):
        for name in drawn.sample(list(names), len(names)):
            with run_server(name, site) as server:
                yield number, name, _figures(server, site, head, image, plan)


def ratios(found: Mapping[str, Sequence[ServerFigures]], field: str) -> dict[str, Spread]:
    """How many times as much each server does as ours, round by round."""
    ours = [float(getattr(each, field)) for each in found[OURS]]
    return {
        name: Spread.of([getattr(each, field) / (own or 1) for each, own in zip(figures, ours, strict=True)])
        for name, figures in found.items()}


def _figures(server: RunningServer, site: Path, head: str, image: str, plan: LoadPlan) -> ServerFigures:
    port = server.port
    known = fetch(port, head)
    _expect(known.status == 200 and known.body_bytes == (site / head[1:]).stat().st_size, head)
    condition = (
        f"If-None-Match: {known.etag}\r\n" if known.etag else f"If-Modified-Since: {known.modified}\r\n")
    size = (site / image[1:]).stat().st_size

    def poll_again() -> None:
        _expect(fetch(port, head, condition).status == 304, head)

    def poll() -> None:
        _expect(fetch(port, head).status == 200, head)

    def download() -> None:
        answer = fetch(port, image)
        _expect((answer.status, answer.body_bytes) == (200, size), image)

    polls_304, cpu_304 = _rate(server, poll_again, plan.polls)
    polls_200, _ = _rate(server, poll, plan.polls)
    downloads, cpu_download = _rate(server, download, plan.downloads)
    answered = 0
    with slow_readers(port, image, plan.readers):
        for _ in range(plan.polls_beside):
            with suppress(OSError):
                answered += fetch(port, head, condition, timeout_s=plan.timeout_s).status == 304
    return ServerFigures(
        polls_304=polls_304, polls_200=polls_200, downloads=downloads, cpu_304=cpu_304,
        cpu_download=cpu_download, answered=answered, asked=plan.polls_beside)


def _rate(server: RunningServer, ask: Callable[[], None], number: int) -> tuple[float, float]:
    """How often in a second it answers, and how many milliseconds of its CPU an answer takes."""
    ask()
    cpu_s, begun = server.cpu_s(), time.perf_counter()
    for _ in range(number):
        ask()
    seconds = time.perf_counter() - begun
    return number / seconds, 1000 * (server.cpu_s() - cpu_s) / number


def _expect(is_right: bool, path: str) -> None:
    if not is_right:
        raise BenchError("a server answered something else than the file", where=path, cure="report it")
