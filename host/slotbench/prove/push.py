"""The parts of a push, measured over real sockets on loopback, with modelled network and flash
times.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slotbench.errors import BenchError
from slotbench.formats.document import Document
from slotbench.formats.release import DEVELOPMENT
from slotbench.prove.invariants import image_for
from slotbench.prove.testbed import MAIN, MINUTES_MS, NOW, PRODUCT, TestBed, runs_confirmed
from slotbench.push.client import PORT, ListenerStatus, PushClient, PushTimes
from slotbench.release.build import build_release
from slotbench.release.development import ON_BOARD
from slotbench.release.keys import SigningKey
from slotbench.vboard.board import BoardState, VirtualBoard
from slotbench.vboard.flash.nor import BLOCK, PAGE, FlashOperation
from slotbench.vboard.micropython.process import VMDied
from slotbench.vboard.network.turns import ClientStopped, TurnTakingNetwork
from slotbench.vboard.signals import BenchViolation
from slotbench.vboard.vm import CPythonVM, DeviceVM

__all__ = ["Measured", "PushTestBed", "PushThread", "fits", "measure_push", "run"]

_LISTENS: Final = "import twoslot\ntwoslot.listen(10, wait=False)\n" + MAIN
_WAITS: Final = "import twoslot\ntwoslot.listen(10)\n" + MAIN
_WAIT_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds of virtual time by the models of network and flash. Computing takes no virtual time.

    `sent` is `network`, `flash`, and asking, reading what is there, and the SDK's own saves;
    `restart` is `verify` (the loader reads the image), `window` (it fills the exec window), and
    joining the network.
    """

    bytes: int
    sent: float
    network: float
    flash: float
    read_back: float
    restart: float
    verify: float
    window: float
    total: float


class PushTestBed:
    """A test bed whose boards accept pushed releases signed by `key`; `main` is their application.
    """

    def __init__(
        self, folder: Path, *, size: int, seed: int = 0, vm: Callable[..., DeviceVM] = CPythonVM,
        key: SigningKey | None = None, main: str = _LISTENS,
    ) -> None:
        self.key = key if key is not None else SigningKey.generate()
        self.secret = secrets.token_bytes(32)
        self.testbed = TestBed(folder, size=size, seed=seed, vm=vm, main=main, edit=self.mark)

    def mark(self, files: dict[str, bytes]) -> None:
        """Give a board the secret and the development key of this test bed."""
        modulus = base64.b64encode(self.key.modulus).decode()
        files["/twoslot.secret"] = json.dumps({"secret": self.secret.hex()}).encode()
        files[f"/{ON_BOARD}"] = json.dumps({"modulus": modulus}).encode()
        settings = {**json.loads(files["/twoslot.json"]), "development": True}
        files["/twoslot.json"] = json.dumps(settings).encode()

    def board(self) -> VirtualBoard:
        """A board that is off, with a network of real sockets. It takes turns with a PushThread."""
        return self.testbed.board(TurnTakingNetwork(), server="http://127.0.0.1:1")

    def release(self, number: int) -> tuple[Document, bytes]:
        """A signed development release, and its image."""
        version = f"{number}.0.0-dev"
        image = self.testbed.images[DEVELOPMENT | number] = self.testbed.firmware(version)
        data = image_for(image, 1)
        made = build_release(
            data, product=PRODUCT, boards=[self.testbed.profile], version=version, counter=number,
            created=NOW, fs_start=self.testbed.profile.fs_start, fs_version=0x00020001, mpy_abi=6)
        return self.key.sign(made.to_payload()), data


class PushThread(threading.Thread):
    """A thread that pushes to a board and waits until it is back; seconds are virtual."""

    def __init__(self, desk: PushTestBed, board: VirtualBoard, document: bytes, image: bytes) -> None:
        super().__init__(name="push", daemon=True)
        assert isinstance(board.network, TurnTakingNetwork)
        self._turns = board.network.turns
        self._pusher = PushClient(
            *board.network.place(PORT), lambda device_id: desk.secret, now=lambda: board.clock.us / 1e6,
            sleep=self._turns.sleep, connect=self._turns.connect)
        self._document, self._image = document, image
        self.parts: PushTimes | None = None
        self.back: tuple[ListenerStatus, float] | None = None
        self.error: BenchError | None = None
        self.steps: list[str] = []

    def start(self) -> None:
        """Start the thread. The board goes on only while it waits."""
        self._turns.begin()
        super().start()

    def run(self) -> None:
        """Push, and wait until the board is back or refuses."""
        try:
            self._pusher.wait_for_board(_WAIT_S)
            self.parts = self.push(self._pusher, self._document)
            self.back = self._pusher.wait_for_board(_WAIT_S)
        except BenchError as error:
            self.error = error
        except ClientStopped:
            self.error = BenchError("the board is gone")
        finally:
            self._turns.end()

    def push(self, pusher: PushClient, document: bytes) -> PushTimes:
        """Push the image with its document. Raises BenchError."""
        return pusher.push_release(document, self._image, on_step=self.steps.append)

    def take_turn(self) -> None:
        """Let the thread do what it can without the board."""
        self._turns.settle()

    def is_over(self) -> bool:
        """Whether the thread is at its end, after it had its turn."""
        self.take_turn()
        return not self._turns.active

    def stop(self) -> None:
        """Stop waiting: the board is gone."""
        self._turns.stop()


def run(desk: PushTestBed, board: VirtualBoard, number: int) -> PushThread:
    """Push development release `number` to a board that is off, and run the board meanwhile;
    returns the thread.
    """
    document, image = desk.release(number)
    client = PushThread(desk, board, document.pack(), image)
    client.start()
    try:
        client.take_turn()
        board.power_on()
        board.run(10 * MINUTES_MS, until=client.is_over)
    finally:
        client.stop()
        if client.is_alive():
            board.power_off()
        client.join()
    return client


def fits(desk: PushTestBed) -> bool:
    """Whether a push to a board of this test bed succeeds."""
    board = desk.board()
    try:
        client = run(desk, board, 1)
        return client.error is None and runs_confirmed(board, DEVELOPMENT | 1)
    except (MemoryError, VMDied):
        return False
    finally:
        if board.state is not BoardState.OFF:
            board.power_off()


def measure_push(
    folder: Path, *, size: int, seed: int = 0, vm: Callable[..., DeviceVM] = CPythonVM,
    key: SigningKey | None = None,
) -> Measured:
    """Push an image of `size` bytes to a board that has no block of it and waits in listen(). It takes
    the same time in each run. Raises BenchError if the push fails.
    """
    desk = PushTestBed(folder, size=size, seed=seed, vm=vm, key=key, main=_WAITS)
    board = desk.board()
    board.flash.reset_counters()
    client = run(desk, board, 1)
    if client.error is not None:
        raise client.error
    if client.parts is None or client.back is None or not runs_confirmed(board, DEVELOPMENT | 1):
        raise BenchViolation("what was pushed does not run confirmed")
    parts, restart = client.parts, client.back[1]
    ops = board.flash.log or []
    region = desk.testbed.profile.slots[1]
    of_slot = [op for op in ops if op.addr in region.image or op.addr in region.table]
    of_window = [op for op in ops if op.addr in desk.testbed.profile.window]
    window = _seconds(board, of_window)
    link = board.network.link
    board.power_off()
    return Measured(
        bytes=parts.bytes, sent=parts.sent, network=link.transfer_us(parts.bytes) / 1e6,
        flash=_seconds(board, of_slot), read_back=parts.verified, restart=restart,
        verify=size / board.flash.timing.read_bytes_per_us / 1e6, window=window,
        total=parts.judged + parts.sent + parts.verified + restart)


def _seconds(board: VirtualBoard, ops: list[FlashOperation]) -> float:
    """Seconds that these operations take by the flash's time model."""
    timing = board.flash.timing
    pages = sum(-(-op.length // PAGE) for op in ops if op.kind == "program")
    erases = sum(
        timing.block_erase_us if op.length == BLOCK else timing.sector_erase_us
        for op in ops if op.kind == "erase")
    return (pages * timing.page_program_us + erases) / 1e6
