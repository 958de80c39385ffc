"""A product with test keys, its served directory and boards set up with release 1."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from slotbench import boards
from slotbench.flashing.plan import Firmware, factory
from slotbench.formats.journal import SlotState
from slotbench.formats.keys import Keys
from slotbench.release.keys import SigningKey
from slotbench.release.publish import Rollout
from slotbench.release.workshop import Workshop
from slotbench.server import create_app
from slotbench.vboard import firmware
from slotbench.vboard.board import State, VirtualBoard, board_files, factory_flash
from slotbench.vboard.firmware import Does
from slotbench.vboard.flash import NorFlash
from slotbench.vboard.net import Network
from slotbench.vboard.wsgi import WsgiNetwork

from support.invariants import Invariants, image_for

PRODUCT = "lamp"
MAIN = "import time, twoslot\nwhile True:\n    twoslot.tick()\n    time.sleep_ms(1000)\n"
NOW = 1_790_000_000
HOURS_MS = 3_600_000
MINUTES_MS = 60_000
_TEST_KEYS = Path(__file__).parents[1] / "vectors" / "keys"


class World:
    """Images by counter (for an in-place board those of slot A and B), the workshop that published them, and
    boards that boot counter 1.

    `size` is that of every image in bytes; small ones make runs short and leave every mechanism in them.
    """

    def __init__(
        self, folder: Path, *, board: str = "generic_4m", size: int = firmware.SMALLEST_BYTES, seed: int = 0,
    ) -> None:
        self.size = size
        self.seed = seed
        self.map = boards.load(board)
        keys = folder / "keys"
        keys.mkdir()
        for role in ("offline", "online"):
            shutil.copy(_TEST_KEYS / f"test-only-{role}.pem", keys / f"{role}.pem")
            (keys / f"{role}.pem").chmod(0o600)
        offline, online = (SigningKey.load(keys / f"{role}.pem") for role in ("offline", "online"))
        pinned = Keys(product=PRODUCT, epoch=1, issued=NOW, offline=(offline.modulus,), online=online.modulus)
        (keys / f"{PRODUCT}.keys").write_bytes(offline.sign(pinned.to_payload()).pack())
        self.workshop = Workshop(folder, PRODUCT, NOW)
        self.app = create_app(self.workshop.site.root)
        self.images = {1: self.firmware("1.0.0")}
        first = Firmware(data=self.image(1, 0), product=PRODUCT, version="1.0.0", counter=1)
        writes = [(write.offset, write.data) for write in factory(self.map, first)]
        self.factory = factory_flash(self.map, writes, seed=seed)

    def firmware(self, version: str, does: Does = Does.HEALTHY) -> Any:
        """A bench image of this world's size; for an in-place board a pair of them."""
        images = firmware.for_board(self.map, version, does, size=self.size, seed=self.seed)
        return images if self.map.in_place else images[0]

    def image(self, counter: int, slot: int) -> bytes:
        """The image of a release that a slot takes."""
        return image_for(self.images[counter], slot)

    def publish(
        self, counter: int, does: Does = Does.HEALTHY, *, floor: int = 0, rollout: Rollout = Rollout()
    ) -> Any:
        """Publish version COUNTER.0.0 and return its image, or pair of images."""
        image = self.images[counter] = self.firmware(f"{counter}.0.0", does)
        self.workshop.publish(
            image, [self.map], version=f"{counter}.0.0", counter=counter, now=NOW + counter, floor=floor,
            rollout=rollout)
        return image

    def settings(self, server: str = "http://updates.lan") -> dict[str, object]:
        """What deploy would write to twoslot.json."""
        return {
            "product": PRODUCT, "board": self.map.name, "channel": "stable", "server": server,
            "interval_s": 600,
        }

    def board(
        self, network: Network | None = None, *, flash: NorFlash | None = None,
        server: str = "http://updates.lan", sdk_save_every: int = 29,
    ) -> VirtualBoard:
        """A board, off, that checks the invariants of design 9 at every boot."""
        invariants = Invariants(self.images)
        board = VirtualBoard(
            self.map, flash if flash is not None else self.factory.clone(),
            network if network is not None else WsgiNetwork(self.app),
            board_files(
                self.settings(server), self.workshop.keys_path.read_bytes(), main=MAIN, board=self.map),
            seed=self.seed, on_boot=invariants, sdk_save_every=sdk_save_every)
        invariants.begin(board)
        return board


def runs_confirmed(board: VirtualBoard, counter: int) -> bool:
    """Whether this release runs as the confirmed active one."""
    cell, result = board.cell, board.result
    return (
        board.state is State.RUNNING and cell is not None and result is not None and result.counter == counter
        and cell.active == result.slot and cell.states[cell.active] is SlotState.CONFIRMED)


def update_to(board: VirtualBoard, counter: int, *, hours: int = 4) -> None:
    """Run (powering on when it is off) until `counter` runs confirmed; fails when it does not get there."""
    if board.state is State.OFF:
        board.power_on()
    board.run(hours * HOURS_MS, until=lambda: runs_confirmed(board, counter))
    assert runs_confirmed(board, counter), f"counter {counter} is not confirmed after {hours} h: {board.cell}"
