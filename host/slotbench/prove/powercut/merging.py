"""States from which a board came to rest: a run that gets into one of them again ends there.

What a board without power does next depends on its flash and on chance. So the state at the end of
a cut is the flash and the seed; at a boot it is the flash, what the loader left in RTC memory, and
why the board started. Both count only with what the promises know of the past. What followed is not
run again but added: so a bound on all of a run, of boots or of bytes, holds for the whole of it.

Where only contents count, the seed is left out. Each flash content is then started once, with the
luck of the first cut that left it, unless words in it read differently each time.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from slotbench.formats import rtc
from slotbench.prove.invariants import OF_TWOSLOT, Invariants, require
from slotbench.prove.powercut.bench import ScenarioRun
from slotbench.vboard.board import Boot, VirtualBoard
from slotbench.vboard.soc import RTC_BASE

__all__ = ["KnownStateReached", "RemainingCost", "Settled", "StateMerger", "image_bytes"]


class RemainingCost(NamedTuple):
    """What lies between a state and rest: boots, and bytes received in answers to requests for
    images.
    """

    boots: int
    received: int


Settled = dict[int, RemainingCost]
"""By the hash of a state: 64 bits, of which a million leave no room for chance."""


class KnownStateReached(Exception):
    """In a state from which another run came to rest; `whole` is this run with that one's end."""

    def __init__(self, whole: RemainingCost) -> None:
        super().__init__(whole)
        self.whole = whole


def image_bytes(board: VirtualBoard) -> int:
    """Bytes a board received in answers to requests for images and patches."""
    requests = board.network.requests
    return sum(request.received for request in requests if request.path.startswith(("/images/", "/patches/")))


class StateMerger:
    """At every boot: are the promises kept, and is this a state that is known already?

    The flash of a state is all that a board uses, the files that an update may change, and words
    that read differently each time; not the parameters that the SDK saves, which nothing reads
    back.
    """

    content = 0
    """Hash of what the last cut left: flash and files, and nothing of chance."""

    def __init__(
        self, board: VirtualBoard, course: ScenarioRun, settled: Settled | None, by_content: bool = False
    ) -> None:
        assert isinstance(board.on_boot, Invariants)
        self._invariants = board.on_boot
        self._board = board
        self._course = course
        self._settled = settled
        self._by_content = by_content
        self._seen: list[tuple[int, RemainingCost]] = []

    def without_power(self, seed: int) -> None:
        """Before the board is switched on, with its luck from `seed`. Raises KnownStateReached."""
        self.content = hash(self._flash())
        luck = 0 if self._by_content and not self._board.flash.weak else seed
        self._pass("off", luck)

    def __call__(self, board: VirtualBoard, boot: Boot) -> None:
        """At a boot. Raises KnownStateReached, or Broken when a promise is not kept."""
        self._invariants(board, boot)
        require(board.cell is not None, 10, "the journal is lost")
        tail = bytes(board.soc.rtc[rtc.RETAINED_ADDRESS - RTC_BASE :][: rtc.RETAINED_BYTES + rtc.TAIL_BYTES])
        info = bytes(board.soc.rtc[: rtc.SEEN_MARK + 4 - rtc.RESTART_INFO])
        self._pass(tail, info, board.soc.hardware_cause, boot.slot, boot.why, boot.reason)

    def came_to_rest(self, whole: RemainingCost) -> None:
        """All states that this run was in lead to rest; `whole` is what it took from its beginning.
        """
        if self._settled is not None:
            for state, so_far in self._seen:
                left = RemainingCost(whole.boots - so_far.boots, whole.received - so_far.received)
                self._settled[state] = left

    def _pass(self, *how: Hashable) -> None:
        """Go through a state; raises KnownStateReached."""
        if self._settled is None:
            return
        before = RemainingCost(max(0, len(self._board.boots) - 1), image_bytes(self._board))
        state = hash((self._flash(), how, frozenset(self._invariants.trials.items())))
        self._seen.append((state, before))
        left = self._settled.get(state)
        if left is not None:
            raise KnownStateReached(RemainingCost(before.boots + left.boots, before.received + left.received))

    def _flash(self) -> Hashable:
        flash, places = self._board.flash, self._board.profile
        used = [
            region for slot in places.slots for region in (slot.table, slot.descriptor, slot.image)
        ] + [places.journal, places.window_log, places.window]
        content = hash(tuple(hash(flash.sectors(region.start, region.size)) for region in used))
        course = self._course
        goal = id(course.testbed), id(course.ends), course.online
        pinned = tuple(self._board.files.get(name) for name in OF_TWOSLOT)
        return goal, self._board.loader, content, pinned, tuple(sorted(flash.weak.items()))
