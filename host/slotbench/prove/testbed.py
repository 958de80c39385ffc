"""A product with its keys, its served directory, and boards set up with release 1."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from slotbench import boards
from slotbench.flashing.plan import Firmware, factory_writes
from slotbench.formats.journal import SlotState
from slotbench.images.frozen import twoslot_number
from slotbench.prove.invariants import Image, Invariants, image_for
from slotbench.release.publish import Rollout
from slotbench.release.publisher import Publisher
from slotbench.server import create_app
from slotbench.vboard import firmware
from slotbench.vboard.board import BoardState, VirtualBoard
from slotbench.vboard.factory import board_files, factory_flash
from slotbench.vboard.firmware import Behaviour
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.loader.model import LoaderModel
from slotbench.vboard.lx106.machine import LoaderMachine
from slotbench.vboard.network.base import Network
from slotbench.vboard.network.wsgi import WsgiApp, WsgiNetwork
from slotbench.vboard.serial.terminal import Terminal
from slotbench.vboard.vm import CPythonVM, DeviceVM

__all__ = [
    "HOURS_MS", "MAIN", "MINUTES_MS", "NOW", "PRODUCT", "Edit", "TestBed", "runs_confirmed", "update_to",
    "without_main",
]

PRODUCT: Final = "lamp"
NOW: Final = 1_790_000_000
MAIN: Final = "import time, twoslot\nwhile True:\n    twoslot.tick()\n    time.sleep_ms(1000)\n"
"""An application that calls the updater once a second."""

HOURS_MS: Final = 3_600_000
MINUTES_MS: Final = 60_000

Edit = Callable[[dict[str, bytes]], object]
"""Changes the files of a board before it is used."""


def without_main(files: dict[str, bytes]) -> None:
    """Remove main.py, so that the board stays at its REPL."""
    del files["/main.py"]


class TestBed:
    """Images by counter (a pair for an in-place board), the publisher that published them, and
    boards that boot counter 1. `folder` gets the keys, the releases and the served directory.
    `keys` is a folder of existing keys.

    `size` is that of every image in bytes: small images make runs short and still use every
    mechanism. `vm` runs the Python of the boards. `main` is their application, `edit` changes the
    files of all of them. `frozen` are the frozen modules of release 1. With `patches` each
    release has patches from so many releases before it.
    """

    __test__ = False  # pytest takes classes whose name begins with Test for tests

    def __init__(
        self, folder: Path, *, board: str = "generic_4m", size: int = firmware.SMALLEST_BYTES, seed: int = 0,
        vm: Callable[..., DeviceVM] = CPythonVM, keys: Path | None = None, main: str = MAIN,
        edit: Edit | None = None, frozen: tuple[str, ...] = (), patches: int = 0,
    ) -> None:
        self.size = size
        self.seed = seed
        self.vm = vm
        self.main = main
        self.edit = edit
        self.patches = patches
        self._installed: dict[str, dict[str, bytes]] = {}
        self.profile = boards.load(board)
        if keys is not None:
            shutil.copytree(keys, folder / "keys", dirs_exist_ok=True)
        self.publisher = Publisher(folder, PRODUCT, NOW)
        self.app: WsgiApp = create_app(self.publisher.site.root)
        self.images: dict[int, Image] = {1: self.firmware("1.0.0", frozen=frozen)}
        first = Firmware(
            data=self.image(1, 0), product=PRODUCT, version="1.0.0", counter=1,
            twoslot=twoslot_number(frozen))
        if patches:
            self.publisher.publish(
                self.images[1], [self.profile], version="1.0.0", counter=1, now=NOW)
        writes = [(write.offset, write.data) for write in factory_writes(self.profile, first)]
        self.factory = factory_flash(self.profile, writes, seed=seed)

    def firmware(
        self, version: str, does: Behaviour = Behaviour.HEALTHY, frozen: tuple[str, ...] = (),
    ) -> Image:
        """A bench image of this size; a pair of them for an in-place board."""
        images = firmware.for_board(
            self.profile, version, does, size=self.size, seed=self.seed, frozen=frozen)
        return images if self.profile.in_place else images[0]

    def image(self, counter: int, slot: int) -> bytes:
        """The image of a release that a slot takes."""
        return image_for(self.images[counter], slot)

    def publish(
        self, counter: int, does: Behaviour = Behaviour.HEALTHY, *, floor: int = 0,
        rollout: Rollout = Rollout(), frozen: tuple[str, ...] = (), allow_older: bool = False,
    ) -> Image:
        """Publish version COUNTER.0.0 and return its image, or pair of images."""
        image = self.images[counter] = self.firmware(f"{counter}.0.0", does, frozen)
        self.publisher.publish(
            image, [self.profile], version=f"{counter}.0.0", counter=counter, now=NOW + counter, floor=floor,
            rollout=rollout, allow_older=allow_older, patches=self.patches)
        return image

    def settings(self, server: str = "http://updates.lan") -> dict[str, object]:
        """The settings that `slotbench deploy` would write to twoslot.json."""
        return {
            "product": PRODUCT, "board": self.profile.name, "channel": "stable", "server": server,
            "interval_s": 600,
        }

    def _files(self, server: str) -> dict[str, bytes]:
        """The files of a board, read from the disk once."""
        if server not in self._installed:
            files = board_files(self.settings(server), self.publisher.keys_path.read_bytes(), main=self.main)
            if self.edit is not None:
                self.edit(files)
            self._installed[server] = files
        return dict(self._installed[server])

    def board(
        self, network: Network | None = None, *, flash: NorFlash | None = None,
        server: str = "http://updates.lan", sdk_save_every: int = 29, seed: int | None = None,
        loader: type[LoaderModel] | type[LoaderMachine] = LoaderModel, past: Invariants | None = None,
        vm: Callable[..., DeviceVM] | None = None, edit: Edit | None = None, terminal: Terminal | None = None,
    ) -> VirtualBoard:
        """A board that is off and checks the promises at every boot.

        With `past` it continues the past of another board. `vm` replaces that of the test bed, and
        `edit` changes the files further. With a `terminal` the REPL follows main.py.
        """
        invariants = Invariants(self.images)
        files = self._files(server)
        if edit is not None:
            edit(files)
        board = VirtualBoard(
            self.profile, flash if flash is not None else self.factory.clone(),
            network if network is not None else WsgiNetwork(self.app), files,
            seed=self.seed if seed is None else seed, vm=vm or self.vm, loader=loader, on_boot=invariants,
            sdk_save_every=sdk_save_every, terminal=terminal)
        if past is not None:
            invariants.go_on_from(past)
        else:
            invariants.begin(board)
        return board


def runs_confirmed(board: VirtualBoard, counter: int) -> bool:
    """Whether this release runs as the confirmed active one."""
    result = board.result
    if board.state is not BoardState.RUNNING or result is None or result.counter != counter:
        return False
    cell = board.cell
    return (
        cell is not None and cell.active == result.slot and cell.states[cell.active] is SlotState.CONFIRMED)


def update_to(board: VirtualBoard, counter: int, *, hours: int = 4) -> None:
    """Run the board until `counter` runs confirmed, powered on first if it is off. Fails if it does
    not get there.
    """
    if board.state is BoardState.OFF:
        board.power_on()
    board.run(hours * HOURS_MS, until=lambda: runs_confirmed(board, counter))
    assert runs_confirmed(board, counter), f"counter {counter} is not confirmed after {hours} h: {board.cell}"
