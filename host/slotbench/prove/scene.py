"""One product, its keys, a published release 2, and boards that run release 1: what proofs are made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from slotbench import boards
from slotbench.flashing.plan import Firmware, factory
from slotbench.formats.journal import SlotState
from slotbench.release.workshop import Workshop
from slotbench.server import create_app
from slotbench.vboard import firmware
from slotbench.vboard.board import State, VirtualBoard
from slotbench.vboard.factory import board_files, factory_flash
from slotbench.vboard.vm import DeviceVM
from slotbench.vboard.wsgi import WsgiNetwork

__all__ = ["MAIN", "Scene", "runs_confirmed"]

PRODUCT: Final = "lamp"
NOW: Final = 1_790_000_000
MAIN: Final = "import time, twoslot\nwhile True:\n    twoslot.tick()\n    time.sleep_ms(1000)\n"
"""An application that gives the updater its turn once a second."""

_SIZE: Final = 96 * 1024
"""24 whole blocks."""


class Scene:
    """Keys, releases and boards in `folder`; the network is the server's application, without sockets."""

    def __init__(self, folder: Path, *, board: str = "generic_4m", seed: int = 0) -> None:
        self.map = boards.load(board)
        self.seed = seed
        self.workshop = Workshop(folder, PRODUCT, NOW)
        self.app = create_app(self.workshop.site.root)
        first, second = (firmware.build(f"{n}.0.0", size=_SIZE, seed=seed) for n in (1, 2))
        self.workshop.publish(second, [self.map], version="2.0.0", counter=2, now=NOW)
        writes = factory(self.map, Firmware(data=first, product=PRODUCT, version="1.0.0", counter=1))
        self._flash = factory_flash(self.map, [(write.offset, write.data) for write in writes], seed=seed)

    def board(self, vm: Callable[..., DeviceVM], *, main: str | None = MAIN, **options: Any) -> VirtualBoard:
        """A board, off, that was just set up; without `main` it stays at the REPL."""
        settings = {
            "product": PRODUCT, "board": self.map.name, "channel": "stable", "server": "http://updates.lan",
            "mpy_abi": 6}
        files = board_files(settings, self.workshop.keys_path.read_bytes(), main=main or "")
        if main is None:
            del files["/main.py"]
        return VirtualBoard(
            self.map, self._flash.clone(), WsgiNetwork(self.app), files, seed=self.seed, vm=vm, **options)


def runs_confirmed(board: VirtualBoard, counter: int) -> bool:
    """Whether this release runs as the confirmed active one."""
    cell, result = board.cell, board.result
    return (
        board.state is State.RUNNING and cell is not None and result is not None and result.counter == counter
        and cell.active == result.slot and cell.states[cell.active] is SlotState.CONFIRMED)
