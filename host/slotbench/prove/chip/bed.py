"""What proofs on the emulated chip need: boards that run real firmware, and the server they talk to."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from slotbench.boards import BoardProfile
from slotbench.flashing.plan import Firmware, factory_writes
from slotbench.formats import blocks, journal
from slotbench.formats.descriptor import ImageForm, SlotDescriptor
from slotbench.formats.journal import JournalCell, SlotState
from slotbench.formats.seal import PAGE_BYTES
from slotbench.images import identify
from slotbench.mpy.pack import packed_files
from slotbench.release.publisher import Publisher
from slotbench.repl.first_application import no_application
from slotbench.server import create_app
from slotbench.server.background import BackgroundServer
from slotbench.vboard.chip.board import ChipBoard
from slotbench.vboard.chip.files import for_chip
from slotbench.vboard.chip.network.slirp import HOST
from slotbench.vboard.chip.network.wire import FrameFaults, Wire
from slotbench.vboard.clock import Clock
from slotbench.vboard.factory import PHY_BLOCK, board_files
from slotbench.vboard.flash.littlefs import FlashFiles
from slotbench.vboard.flash.nor import SECTOR, NorFlash
from slotbench.vboard.lx106.loader import loader_sector
from slotbench.vboard.states import BoardState

__all__ = [
    "NOW", "PRODUCT", "REPORT_HEAP", "BedConsole", "ChipBed", "RunningChip", "image_facts", "is_confirmed",
    "newest_cell",
]

PRODUCT: Final = "lamp"
NOW: Final = 1_790_000_000
PROMPT: Final = b">>> "
REPORT_HEAP: Final = """\
import gc, time, twoslot
def free(what):
    gc.collect()
    print("@slotbench", what, gc.mem_free())
free("main")
"""
"""How a main.py begins that reports its free heap as marks."""
_STEP_US: Final = 50_000
_MARK: Final = re.compile(r"@slotbench (\w+) (-?\d+)")


@dataclass(frozen=True, slots=True)
class Facts:
    """What an image tells: its MicroPython, the disk version of its littlefs, its .mpy version, the version
    of the twoslot frozen into it (0: none), and whether a frozen main.py hides the file.
    """

    version: str
    fs_version: int
    mpy_abi: int
    twoslot: int
    hides_main: bool


def image_facts(image: bytes) -> Facts:
    """The facts of a MicroPython image; for an unknown version those of the newest known."""
    found = identify(image)
    return Facts(
        found.micropython or "unknown", found.fs_version or 0x00020001, found.mpy_abi or 6, found.twoslot,
        found.hides_main)


class BedConsole:
    """What a board printed. `marks` are the numbers of lines `@slotbench NAME NUMBER`, by name, in order."""

    def __init__(self, echo: Callable[[str], object] = lambda text: None) -> None:
        self.data = bytearray()
        self._echo = echo

    def append(self, data: bytes) -> None:
        """The board said something."""
        self.data += data
        self._echo(data.decode("latin-1"))

    @property
    def text(self) -> str:
        """All of it."""
        return self.data.decode("latin-1").replace("\r\n", "\n")

    def marks(self, name: str) -> list[int]:
        """The numbers said under this name."""
        return [int(number) for found, number in _MARK.findall(self.text) if found == name]

    def last_lines(self, count: int = 20) -> list[str]:
        """The last lines, without empty ones."""
        return [line for line in self.text.splitlines() if line.strip()][-count:]


@dataclass(frozen=True, slots=True)
class RunningChip:
    """A board with its console and its wire."""

    board: ChipBoard
    console: BedConsole
    wire: Wire

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Pull the plug and take the wire away."""
        if self.board.state is not BoardState.OFF:
            self.board.power_off()
        self.wire.close()

    def run_until(self, done: Callable[[], bool], limit_s: float, *, instructions: int | None = None) -> bool:
        """Let time go on until `done()`; False when the limit is over before, or the power is lost."""
        end_us = self.board.us + round(limit_s * 1e6)
        while not done():
            if self.board.us >= end_us or self.board.state is BoardState.OFF:
                return False
            if instructions is not None and self.board.machine.instructions >= instructions:
                return False
            self.board.run(min(end_us, self.board.us + _STEP_US))
        return True

    def wait_for_text(self, text: str | bytes, limit_s: float, *, start: int | None = None) -> bool:
        """Whether the board says this within so many seconds of its time; what it said before counts from
        `start`, an offset into the console.
        """
        wanted = text.encode() if isinstance(text, str) else text
        begin = len(self.console.data) if start is None else start
        return self.run_until(lambda: self.console.data.find(wanted, begin) >= 0, limit_s)

    def type_line(self, line: str, limit_s: float = 30.0) -> str | None:
        """Type a line at the prompt; what it prints until the prompt is back, None when it does not come."""
        begin = len(self.console.data)
        self.board.send_bytes(line.encode() + b"\r")
        for text in (line[-20:], PROMPT):
            if not self.wait_for_text(text, limit_s, start=begin):
                return None
        text = self.console.data[begin:].decode("latin-1").replace("\r\n", "\n")
        return text.partition("\n")[2].removesuffix(PROMPT.decode())


class ChipBed(AbstractContextManager["ChipBed"]):
    """A product with keys and a server on this machine; boards of `profile` run `image` from slot A.

    `folder` gets keys and releases. Enter the context for the server to run. Raises BenchError.
    """

    def __init__(self, folder: Path, profile: BoardProfile, image: bytes, *, seed: int = 0) -> None:
        self.profile = profile
        self.image = image
        self.seed = seed
        self.facts = image_facts(image)
        self.publisher = Publisher(folder, PRODUCT, NOW)
        self.server = BackgroundServer(create_app(self.publisher.site.root))

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None,
    ) -> None:
        self.server.__exit__(kind, error, trace)

    def publish(self, image: bytes, counter: int, version: str, patches: int = 0) -> None:
        """Publish a release of `image`, with patches from so many releases before it."""
        self.publisher.publish(
            image, [self.profile], version=version, counter=counter, now=NOW + counter, patches=patches)

    def flash(self, image: bytes | None = None) -> NorFlash:
        """A board's flash as `slotbench flash` leaves it: loader, slot A confirmed, a blank filesystem.

        Slot A has `image`, or the bed's own, with counter 1. Without the loader the ROM starts it.
        """
        image = self.image if image is None else image
        facts = image_facts(image)
        flash = NorFlash(self.profile.chip_bytes, clock=Clock(), seed=self.seed, log=False)
        firmware = Firmware(
            data=image, product=PRODUCT, version=facts.version[:16], counter=1,
            fs_version=facts.fs_version, mpy_abi=facts.mpy_abi, twoslot=facts.twoslot)
        flash.poke(self.profile.visible_bytes - 4 * SECTOR, PHY_BLOCK)
        if self.profile.has_loader:
            flash.poke(self.profile.loader.start, loader_sector(self.profile))
            flash.poke(self.profile.slots[0].table.start, blocks.block_table(image))
        for write in factory_writes(self.profile, firmware):
            flash.poke(write.offset, write.data)
        return flash

    def files(self, main: str, boot: str = "", *, as_files: bool = False) -> dict[str, bytes]:
        """A board's files with twoslot deployed: settings, pinned keys, this main.py, and the package as .mpy
        unless the image has it frozen. `as_files` puts it there all the same.
        """
        settings = {
            "product": PRODUCT, "board": self.profile.name, "channel": "stable",
            "server": f"http://{HOST}:{self.server.port}", "interval_s": 600, "mpy_abi": self.facts.mpy_abi,
        }
        files = board_files(settings, self.publisher.keys_path.read_bytes(), main=main)
        files["/boot.py"] = boot.encode() + files["/boot.py"]
        if not main:
            del files["/main.py"]
        if not self.profile.has_loader:
            others = {path: data for path, data in files.items() if not path.startswith("/twoslot/")}
            own = {**packed_files(), **no_application()}
            return for_chip(others) | {f"/{path}": data for path, data in own.items()}
        if self.facts.twoslot and not as_files:
            files = {path: data for path, data in files.items() if not path.startswith("/twoslot/")}
        return for_chip(files)

    def put_files(self, flash: NorFlash, files: dict[str, bytes]) -> None:
        """Make these the files of the filesystem that the firmware made, or of a new one. For a board at
        rest.
        """
        filesystem = FlashFiles(flash, self.profile.filesystem, self.facts.fs_version)
        filesystem.start(files)
        filesystem.mount()

    def begin_trial(self, flash: NorFlash, image: bytes, counter: int, version: str) -> None:
        """Put `image` into slot B as an update leaves it before the restart: its trial comes next.

        The exec window is blank: the loader has all of it to copy.
        """
        profile = self.profile
        for region in (profile.window, profile.window_log):
            flash.poke(region.start, b"\xff" * region.size)
        for address, data in _slot_b_ready(profile, image, counter, version):
            flash.poke(address, data)

    def running(
        self, flash: NorFlash, *, faults: FrameFaults | None = None, connected: bool = True,
        echo: Callable[[str], object] = lambda text: None,
    ) -> RunningChip:
        """A board over this flash, off. Its time is not real time."""
        wire = Wire(lambda: flash.clock.us, faults=faults)
        console = BedConsole(echo)
        board = ChipBoard(
            self.profile, flash, wire=wire, seed=self.seed, patient=True, on_text=console.append,
            connected=connected)
        return RunningChip(board, console, wire)


def _slot_b_ready(
    profile: BoardProfile, image: bytes, counter: int, version: str,
) -> list[tuple[int, bytes]]:
    """The writes that put a verified image into slot B, with a journal that orders its trial."""
    facts = image_facts(image)
    slot = profile.slots[1]
    descriptor = SlotDescriptor(
        slot=1, form=ImageForm.E9, counter=counter, length=len(image), sha256=hashlib.sha256(image).digest(),
        fs_start=profile.fs_start, product=PRODUCT, version=version[:16], floor=0,
        fs_version=facts.fs_version, mpy_abi=facts.mpy_abi, twoslot=facts.twoslot)
    cell = journal.JournalCell(
        sequence=2, active=1, state_a=journal.SlotState.CONFIRMED, counter_a=1,
        state_b=journal.SlotState.READY, counter_b=counter, attempts=3, copies=8)
    return [
        (slot.image.start, image), (slot.table.start, blocks.block_table(image)),
        (slot.descriptor.start, descriptor.pack()), (profile.journal.start + PAGE_BYTES, cell.pack()),
    ]


def newest_cell(bed: ChipBed, flash: NorFlash) -> JournalCell | None:
    """The newest cell of the boot journal."""
    found = journal.newest_cell(flash.peek(bed.profile.journal.start, bed.profile.journal.size))
    return found[1] if found is not None else None


def is_confirmed(bed: ChipBed, flash: NorFlash, counter: int) -> bool:
    """Whether the active slot holds the release `counter`, confirmed."""
    cell = newest_cell(bed, flash)
    return (
        cell is not None and cell.counters[cell.active] == counter
        and cell.states[cell.active] is SlotState.CONFIRMED)
