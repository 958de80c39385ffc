"""What the power-cut scenarios run on: boards with a past, offers, and one run that is recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from slotbench.boards import BoardProfile
from slotbench.prove.answers import Remembered
from slotbench.prove.testbed import NOW, Edit, TestBed, update_to
from slotbench.prove.vm import RememberingVM
from slotbench.release.keys import SigningKey
from slotbench.release.publish import Rollout
from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.firmware import Behaviour
from slotbench.vboard.flash.nor import FlashOperation, NorFlash
from slotbench.vboard.network.base import Network, NoNetwork
from slotbench.vboard.network.wsgi import WsgiNetwork

__all__ = ["OfferTestBed", "PowerCutBench", "Scenario", "ScenarioRun"]

MAIN: Final = "import time, twoslot\nwhile True:\n    twoslot.tick()\n    time.sleep_ms(10000)\n"
"""An application with other things to do: rest is told in fewer steps."""

_USED: Final = 2
_LATEST: Final = 3


_BEHAVIOURS: Final = {"crash": Behaviour.CRASH, "no-import": Behaviour.NOIMPORT}
"""What release 3 does in the test beds of these names."""


class OfferTestBed(TestBed):
    """A world that offers release 3; `used` is the flash of a board that went from 1 to 2."""

    used: NorFlash

    @cached_property
    def answers(self) -> Remembered:
        """What its server answers, from when it offers release 3."""
        return Remembered(self.app)


class PowerCutBench:
    """Worlds for one flash map, made when they are needed; boards that are new, boards with a past.
    """

    def __init__(
        self, folder: Path, board: str, keys: Path, *, seed: int = 0, edit: Edit | None = None
    ) -> None:
        self._folder = folder
        self._keys = keys
        self._edit = edit
        self.seed = seed
        self.name = board
        self._offered: dict[str, OfferTestBed] = {}

    def testbed(self, name: str = "healthy") -> OfferTestBed:
        """Release 2 is good; the name tells what release 3 is: healthy, crash, withheld from all,
        offered with keys of the next epoch, or patched: with a patch from release 2.
        """
        if name not in self._offered:
            folder = self._folder / f"{self.name}-{name}"
            folder.mkdir()
            testbed = OfferTestBed(
                folder, board=self.name, seed=self.seed, keys=self._keys, main=MAIN, edit=self._edit,
                vm=RememberingVM, patches=int(name == "patched"))
            testbed.publish(_USED)
            used = testbed.board()
            update_to(used, _USED)
            used.power_off()
            testbed.used = used.flash.clone()
            if name == "keys":
                testbed.publisher.rotate(NOW + _USED, online=SigningKey.generate())
            withheld = Rollout(percent=0) if name == "withheld" else Rollout()
            does = _BEHAVIOURS.get(name, Behaviour.HEALTHY)
            testbed.publish(_LATEST, does, rollout=withheld)
            self._offered[name] = testbed
        return self._offered[name]

    @cached_property
    def profile(self) -> BoardProfile:
        """The boards' flash map."""
        return self.testbed().profile


@dataclass(frozen=True, slots=True)
class ScenarioRun:
    """One run that is recorded: a board of `testbed` with the flash `start` does `act`, from power
    on.

    Operations for which `hit` is true are cut. Whatever is cut, the board comes to what `ends`
    says. `online` False: no network. A cut may cost so many bytes `again`, beside a block.
    """

    testbed: OfferTestBed
    start: NorFlash
    act: Callable[[VirtualBoard], object]
    hit: Callable[[FlashOperation], bool]
    ends: Callable[[VirtualBoard], bool]
    online: bool = True
    again: int = 0

    def network(self) -> Network:
        """What a board of this course is connected to."""
        return WsgiNetwork(self.testbed.answers) if self.online else NoNetwork()


@dataclass(frozen=True, slots=True)
class Scenario:
    """A part of an update. `torn` and `weak`: with how many seeds each operation is torn.

    `by_loader`: operations of the loader are among them, so it is proven with its machine code too.
    `repeats`: its operations are those of another scenario, at other places of the journal.
    """

    name: str
    says: str
    courses: Callable[[PowerCutBench], Sequence[ScenarioRun]]
    torn: int = 32
    weak: int = 12
    by_loader: bool = False
    repeats: bool = False
