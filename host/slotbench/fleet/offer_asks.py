"""What people ask of a channel in which no rollout is under way: a higher percentage, a pause, an end of it.

Who asks writes a row. The process that signs makes a head of it, and takes the row away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from slotbench.errors import USAGE, BenchError
from slotbench.fleet.audit_log import Actor, record_action
from slotbench.fleet.offers import OfferedHead, newest_heads
from slotbench.fleet.rollout_store import open_rollouts
from slotbench.fleet.schema import asks
from slotbench.formats.head import Head

__all__ = ["AskedOffer", "OfferStep", "ask_offer", "cancel_ask", "list_asks", "note_problem", "settle_ask"]


class OfferStep(StrEnum):
    """What can be asked."""

    PROMOTE = "promote"
    PAUSE = "pause"
    RESUME = "resume"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedOffer:
    """What was asked of a channel that offers the release `digest`, and is not signed yet.

    `percent` is what it is raised to, for PROMOTE. `problem` says why it could not be signed so far.
    """

    product: str
    channel: str
    digest: str
    step: OfferStep
    percent: int
    at: int
    by: str
    problem: str

    def is_done(self, head: Head) -> bool:
        """Whether the channel's head says so already."""
        if self.step is OfferStep.PROMOTE:
            return head.percent >= self.percent
        return head.paused is (self.step is OfferStep.PAUSE)

    def words(self) -> str:
        """What is asked, in words."""
        return f"promote to {self.percent} %" if self.step is OfferStep.PROMOTE else self.step.value


def ask_offer(
    connection: Connection, actor: Actor, now: int, product: str, channel: str, digest: str,
    step: OfferStep, percent: int = 0,
) -> AskedOffer:
    """Ask something of the release `digest` in a channel. What was asked last counts.

    Raises BenchError (usage) if it makes no sense: another release is offered, a rollout is under way, a
    percentage that is no step up, a pause of what is paused.
    """
    head = next(
        (each for each in newest_heads(connection) if (each.product, each.channel) == (product, channel)),
        None)

    def refusal(what: str, cure: str) -> BenchError:
        return BenchError(what, where=f"{product}/{channel}", cure=cure, exit_code=USAGE)

    if head is None or head.digest != digest:
        raise refusal("the channel offers another release now", "look at it again, and ask there")
    if any((each.product, each.channel) == (product, channel) for each in open_rollouts(connection)):
        raise refusal("a rollout is under way here", "pause, resume or abort the rollout instead")
    if problem := _nonsense(head, step, percent):
        raise refusal(problem, "look at the release's page again")
    asked = AskedOffer(
        product=product, channel=channel, digest=digest, step=step,
        percent=percent if step is OfferStep.PROMOTE else 0, at=now, by=actor.who[:64], problem="")
    _forget(connection, product, channel)
    connection.execute(insert(asks).values(**{
        name: getattr(asked, name) for name in AskedOffer.__slots__} | {"step": step.value}))
    record_action(
        connection, actor, now, f"ask {step}", f"{product}/{channel} counter {head.counter}", asked.words())
    return asked


def cancel_ask(connection: Connection, actor: Actor, now: int, product: str, channel: str) -> None:
    """Take back what was asked. Raises BenchError (usage) if nothing is waiting."""
    found = [each for each in list_asks(connection) if (each.product, each.channel) == (product, channel)]
    if not found:
        raise BenchError(
            "nothing is waiting here: it was signed already", where=f"{product}/{channel}",
            cure="look at the release's page again", exit_code=USAGE)
    _forget(connection, product, channel)
    record_action(connection, actor, now, "ask taken back", f"{product}/{channel}", found[0].words())


def list_asks(connection: Connection, product: str | None = None) -> list[AskedOffer]:
    """What was asked and is not signed yet. One query."""
    statement = select(asks).order_by(asks.c.product, asks.c.channel)
    if product is not None:
        statement = statement.where(asks.c.product == product)
    return [_view(row) for row in connection.execute(statement).mappings()]


def settle_ask(connection: Connection, asked: AskedOffer) -> None:
    """Take a row away that is settled; what was asked since then stays."""
    connection.execute(delete(asks).where(*_same(asked)))


def note_problem(connection: Connection, asked: AskedOffer, problem: str) -> None:
    """Write down why it could not be signed. It is tried again."""
    connection.execute(update(asks).where(*_same(asked)).values(problem=problem[:200]))


def _nonsense(head: OfferedHead, step: OfferStep, percent: int) -> str:
    """Why this cannot be asked of the channel's head; empty if it can."""
    if step is OfferStep.PROMOTE and not head.percent < percent <= 100:
        return f"{percent} % is no step up from {head.percent} %"
    if step is OfferStep.PAUSE and head.paused:
        return "it is paused"
    if step is OfferStep.RESUME and not head.paused:
        return "it is not paused"
    return ""


def _same(asked: AskedOffer) -> tuple[Any, ...]:
    return (
        asks.c.product == asked.product, asks.c.channel == asked.channel, asks.c.at == asked.at,
        asks.c.step == asked.step.value, asks.c.percent == asked.percent)


def _forget(connection: Connection, product: str, channel: str) -> None:
    connection.execute(delete(asks).where(asks.c.product == product, asks.c.channel == channel))


def _view(row: Mapping[Any, Any]) -> AskedOffer:
    return AskedOffer(**{**row, "step": OfferStep(row["step"])})
