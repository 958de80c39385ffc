"""A board, the hostile server it asks, and what must hold of both whatever the server does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.network.faults import ConnectionPlan, FaultyNetwork
from slotbench.vboard.network.wsgi import WsgiNetwork
from support.invariants import Invariants
from support.testbed import TestBed, runs_confirmed

MAIN = """\
import time
import twoslot

longest = 0
while True:
    start = time.ticks_ms()
    twoslot.tick()
    longest = max(longest, time.ticks_diff(time.ticks_ms(), start))
    time.sleep_ms({sleep_ms})
"""
"""An application that measures for how long the updater keeps it from its own work."""

IDLE_MODULES = frozenset(("twoslot", "twoslot.schedule"))
"""What of the package may stay loaded between two checks."""


@dataclass(frozen=True)
class Refusal:
    """An entry of the board's own log."""

    at_ms: int
    code: int
    where: int


class Scene:
    """A new board of `testbed` that runs release 1, and its server. Nothing has power yet.

    `origin` is what the server would answer if it were right; `plan` as FaultyNetwork has it.
    """

    def __init__(
        self, testbed: TestBed, *, sleep_ms: int = 1000, seed: int = 0,
        plan: Callable[[], ConnectionPlan] | None = None,
    ) -> None:
        self.testbed = testbed
        self.origin = WsgiNetwork(testbed.app)
        self.server = FaultyNetwork(self.origin, *([plan] if plan else []))
        self.board: VirtualBoard = testbed.board(self.server)
        self.board.soc.random.seed(seed)
        self.printed: list[str] = []
        self.board.on_print = self.printed.append
        self.put_file("/main.py", MAIN.format(sleep_ms=sleep_ms).encode())

    def put_file(self, path: str, content: bytes) -> None:
        """Change a file of the board; the invariants hold from here on."""
        self.board.files[path] = content
        assert isinstance(self.board.on_boot, Invariants)
        self.board.on_boot.begin(self.board)

    def settle(self, **changes: object) -> None:
        """Change settings in twoslot.json."""
        settings = {**self.testbed.settings(), **changes}
        self.put_file("/twoslot.json", repr(settings).replace("'", '"').encode())

    # What the board says.

    @property
    def refusals(self) -> list[Refusal]:
        """What the board remembers for log(): the last eight."""
        return [Refusal(*entry) for entry in self.board.evaluate("twoslot._log")]

    @property
    def codes(self) -> set[int]:
        """The codes among them, but for the network that is not up yet and for being up to date."""
        return {refusal.code for refusal in self.refusals} - {1, 28}

    @property
    def longest_tick_ms(self) -> int:
        """The longest that one tick() took since the application was started."""
        return int(self.board.evaluate("longest"))

    @property
    def loaded(self) -> set[str]:
        """The modules of the package that are on the heap."""
        names = self.board.evaluate("list(__import__('sys').modules)")
        return {name for name in names if name.split(".")[0] == "twoslot"}

    def runs(self, counter: int) -> bool:
        """Whether this release runs, confirmed."""
        return runs_confirmed(self.board, counter)

    # What must not change.

    def kept(self) -> dict[str, bytes]:
        """All that no failed attempt may touch: the running slot, the window, the user's files and
        the loader.
        """
        board, flash = self.board.profile, self.board.flash
        result = self.board.result
        assert result is not None
        slot = board.slots[result.slot]
        regions = {
            "block table": slot.table, "descriptor": slot.descriptor, "active image": slot.image,
            "exec window": board.window, "filesystem": board.filesystem, "loader": board.loader,
        }
        return {name: flash.peek(region.start, region.size) for name, region in regions.items()}

    def require_calm(self) -> None:
        """No exception reached the application."""
        text = "".join(self.printed)
        assert "Traceback" not in text and "Error" not in text, text

    def story(self) -> str:
        """What happened, for people."""
        boots = [f"{boot.at_ms / 1000:10.3f} s  boot {boot.slot} {boot.why.name}" for boot in self.board.boots]
        lines = [*self.server.recent_requests().splitlines(), *boots]
        return "\n".join([*sorted(lines), f"journal: {self.board.cell}", "".join(self.printed)[-2000:]])
