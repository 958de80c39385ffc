"""What a device that speaks DDI is told when it polls: the rules of boards, decided on the server. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from slotbench.formats.head import NO_RELEASE, Head

__all__ = ["ActionState", "OpenAction", "PollStep", "is_offered", "next_step"]


class ActionState(StrEnum):
    """How an action stands. The first three are open."""

    OFFERED = "offered"
    CANCELING = "canceling"
    """The device was asked to give it up, and did not answer yet."""
    KEPT = "kept"
    """The device was asked to give it up, and goes on."""
    INSTALLED = "installed"
    FAILED = "failed"
    CANCELED = "canceled"
    """It was called off, and the device gave it up."""
    DECLINED = "declined"
    """The device gave it up without being asked."""

    @property
    def is_open(self) -> bool:
        """Whether the device may still report about it."""
        return self in (ActionState.OFFERED, ActionState.CANCELING, ActionState.KEPT)


class PollStep(StrEnum):
    """What is to be done at a poll."""

    NOTHING = "nothing"
    OFFER = "offer"
    """A new action, for the release of the head."""
    DROP = "drop"
    """The open action ends: the device does not know of it yet."""
    CALL_OFF = "call-off"
    """The device is asked to give the open action up."""
    REVIVE = "revive"
    """The release is offered again before the device gave it up."""


@dataclass(frozen=True, slots=True)
class OpenAction:
    """The open action of a device. `is_fetched` says whether the device knows what it is about."""

    id: int
    digest: str
    counter: int
    state: ActionState
    is_fetched: bool


def is_offered(head: Head | None, device_id: str, cohort: str | None, running: int, now: int) -> bool:
    """Whether a head offers its release to a device that runs the counter `running`, as boards decide it.

    `now` is Unix seconds.
    """
    if head is None or head.release == NO_RELEASE:
        return False
    return now < head.expires and head.counter > running and _is_in(head, device_id, cohort)


def next_step(
    head: Head | None, device_id: str, cohort: str | None, running: int, now: int, action: OpenAction | None,
    given_up: Collection[str] = (),
) -> PollStep:
    """What to do. `given_up` has the digests of releases that the device gave up: it gets none of them again.

    A head that expired offers nothing new. It stops nothing: nobody withdrew the release.
    """
    if action is None:
        offered = is_offered(head, device_id, cohort, running, now)
        is_new = offered and head is not None and head.release not in given_up
        return PollStep.OFFER if is_new else PollStep.NOTHING
    if head is not None and head.release == action.digest and _is_in(head, device_id, cohort):
        return PollStep.REVIVE if action.state is ActionState.CANCELING else PollStep.NOTHING
    if action.state is not ActionState.OFFERED:
        return PollStep.NOTHING
    return PollStep.CALL_OFF if action.is_fetched else PollStep.DROP


def _is_in(head: Head, device_id: str, cohort: str | None) -> bool:
    return not head.paused and head.includes(device_id, cohort)
