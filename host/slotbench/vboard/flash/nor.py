"""The NOR flash of a virtual board. Programming clears bits, erasing sets sectors; operations are
counted, timed and cut.

Stricter than the part: a program that would have to raise a bit is a BenchViolation (`lenient=True`
gives the real AND), and so is a misaligned or out-of-range access. Sectors are kept as shared
immutable bytes until they are written, so that `clone()` costs microseconds.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from slotbench.errors import USAGE, BenchError
from slotbench.vboard.clock import Clock
from slotbench.vboard.flash.cuts import Cut, CutMode, commit_happens, torn_erase, torn_program
from slotbench.vboard.flash.timing import FlashOperation, FlashTiming, Kind
from slotbench.vboard.signals import BenchViolation, PowerCut

__all__ = [
    "BLOCK", "PAGE", "SECTOR", "BenchViolation", "FlashOperation", "FlashTiming", "NorFlash", "PowerCut",
]

BLOCK: Final = 0x10000
SECTOR: Final = 4096
PAGE: Final = 256
_BLANK: Final = b"\xff" * SECTOR


class NorFlash:
    """A NOR flash of `size` bytes.

    `image` is its first content (shorter is padded with 0xFF); with `path` the content comes from
    that file when it exists, and `save()` writes it back. `operations` counts erases and programs,
    as do `erases`, `programs`, `programmed_bytes` and `wear` (erases of each sector); `log` lists
    them, or is None when it is switched off. Faults: `weak` (word address -> mask of bits that read
    differently each time) and `stuck` (sector -> share of an operation that still works).
    """

    def __init__(
        self,
        size: int,
        path: Path | str | None = None,
        image: bytes | None = None,
        clock: Clock | None = None,
        *,
        timing: FlashTiming | None = None,
        lenient: bool = False,
        log: bool = True,
        seed: int = 0,
    ) -> None:
        if size <= 0 or size % SECTOR:
            raise ValueError(f"flash size {size} is not a multiple of {SECTOR}")
        self.size = size
        self.path = Path(path) if path is not None else None
        self.clock = clock if clock is not None else Clock()
        self.timing = timing if timing is not None else FlashTiming()
        self.lenient = lenient
        self.seed = seed
        self.powered = True
        self.weak: dict[int, int] = {}
        self.stuck: dict[int, float] = {}
        self.wear = [0] * (size // SECTOR)
        self.log: list[FlashOperation] | None = [] if log else None
        self.reset_counters()
        self._sectors: list[bytes | bytearray] = [_BLANK] * (size // SECTOR)
        self._open: set[int] = set()  # those that are bytearrays
        if self.path is not None and self.path.exists():
            image = self._load(self.path)
        if image:
            self.poke(0, image)

    def reset_counters(self) -> None:
        """Count and log from 0 again, with no cut armed; wear stays."""
        self.operations = self.erases = self.programs = self.programmed_bytes = 0
        self.log = [] if self.log is not None else None
        self._cuts: dict[int, Cut] = {}
        self._noise = random.Random(self.seed)

    def arm(self, *cuts: Cut) -> None:
        """Lose power at these operations: `Cut.index` is what `operations` is when the operation
        starts.
        """
        for cut in cuts:
            if cut.index < self.operations:
                raise ValueError(f"operation {cut.index} is over: the next one is {self.operations}")
            self._cuts[cut.index] = cut

    def disarm(self) -> None:
        """Forget all planned cuts."""
        self._cuts.clear()

    def power_on(self) -> None:
        """Switch the power on; the content is what the cut left."""
        self.powered = True

    def power_off(self) -> None:
        """Switch the power off: every access until `power_on()` raises PowerCut."""
        self.powered = False

    # What software on the chip can do.

    def read(self, addr: int, length: int) -> bytes:
        """Return `length` bytes from `addr`, both multiples of 4."""
        if not self.powered or (addr | length) & 3 or not 0 <= addr <= self.size - length:
            self._check(addr, length, "read")
        self.clock.us += length // self.timing.read_bytes_per_us
        offset = addr % SECTOR
        if offset + length < SECTOR:
            data = bytes(self._sectors[addr // SECTOR][offset : offset + length])
        else:
            data = self.peek(addr, length)
        return self._blur(addr, data) if self.weak else data

    def write(self, addr: int, data: bytes | bytearray | memoryview, actor: str = "cpu") -> None:
        """Program `data` at `addr`, both multiples of 4; it may span pages and sectors."""
        data = bytes(data)
        self._check(addr, len(data), "program")
        if not data:
            return
        cut = self._begin("program", addr, len(data), actor)
        old = self.peek(addr, len(data))
        new = self._and(addr, old, data, actor)
        pages = (addr + len(data) - 1) // PAGE - addr // PAGE + 1
        self.clock.us += pages * self.timing.page_program_us
        if cut is not None and cut.mode in (CutMode.TORN, CutMode.WEAK):
            new, page = torn_program(addr, old, data, _luck(cut, addr))
            if cut.mode is CutMode.WEAK:
                self._weaken(addr + page.start, old[page], data[page])
        self.programs += 1
        self.programmed_bytes += len(data)
        self.poke(addr, new)
        if cut is not None:
            self._die(cut)

    def erase(self, sector: int, actor: str = "cpu") -> None:
        """Erase sector number `sector` to 0xFF."""
        self._erase(range(sector, sector + 1), self.timing.sector_erase_us, actor)

    def erase_block(self, block: int, actor: str = "cpu") -> None:
        """Erase 64 KB block number `block` to 0xFF: one operation, torn in all of its sectors."""
        first = block * BLOCK // SECTOR
        self._erase(range(first, first + BLOCK // SECTOR), self.timing.block_erase_us, actor)

    def _erase(self, sectors: range, takes_us: int, actor: str) -> None:
        addr, length = sectors.start * SECTOR, len(sectors) * SECTOR
        self._check(addr, length, "erase")
        cut = self._begin("erase", addr, length, actor)
        self.clock.us += takes_us
        self.erases += 1
        old = self.peek(addr, length)
        if self.weak:
            for word in range(addr, addr + length, 4):
                self.weak.pop(word, None)
        torn = None
        if cut is not None and cut.mode in (CutMode.TORN, CutMode.WEAK):
            torn = torn_erase(old, _luck(cut, addr))
        for sector in sectors:
            self.wear[sector] += 1
            at = (sector - sectors.start) * SECTOR
            if torn is not None:
                self._sectors[sector] = torn[at : at + SECTOR]
            elif sector in self.stuck:
                self._sectors[sector] = self._partly(sector, old[at : at + SECTOR], _BLANK)
            else:
                self._sectors[sector] = _BLANK
        if cut is not None and cut.mode is CutMode.WEAK:
            self._weaken(addr, b"\xff" * length, old)
        if cut is not None:
            self._die(cut)

    def commit(self, change: Callable[[], object], length: int) -> None:
        """Let the filesystem change by `change`, `length` bytes, as littlefs does: all at once.

        It is counted and cut as erases and programs are; torn, it happened (odd seeds) or did not.
        """
        if not self.powered:
            raise PowerCut
        cut = self._begin("commit", -1, length, "python")
        if cut is None or commit_happens(cut):
            change()
        if cut is not None:
            self._die(cut)

    # What a programmer with a clip can do: without time, log, rules or power.

    def peek(self, addr: int, length: int) -> bytes:
        """Return the cells' content at any address and length within the chip."""
        if addr < 0 or length < 0 or addr + length > self.size:
            raise ValueError(f"0x{addr:06X} + {length} is outside the chip of {self.size} bytes")
        sector, offset = divmod(addr, SECTOR)
        if offset + length <= SECTOR:
            if length == SECTOR:
                return bytes(self._sectors[sector])
            return bytes(self._sectors[sector][offset : offset + length]) if length else b""
        last = (addr + length - 1) // SECTOR
        return b"".join(self._sectors[sector : last + 1])[offset : offset + length]

    def sectors(self, start: int, size: int) -> tuple[bytes, ...]:
        """The content of whole sectors, as bytes shared with every clone that has not changed them.

        Those are compared and hashed in no time.
        """
        self._close()
        first = start // SECTOR
        return tuple(self._sectors[first : first + size // SECTOR])  # type: ignore[arg-type]

    def poke(self, addr: int, data: bytes | bytearray) -> None:
        """Set the cells at `addr` to `data`."""
        if addr < 0 or addr + len(data) > self.size:
            raise ValueError(f"0x{addr:06X} + {len(data)} is outside the chip of {self.size} bytes")
        done = 0
        while done < len(data):
            sector, offset = divmod(addr + done, SECTOR)
            part = data[done : done + SECTOR - offset]
            if len(part) == SECTOR:
                self._sectors[sector] = bytes(part)
            else:
                own = self._sectors[sector]
                if isinstance(own, bytes):
                    own = self._sectors[sector] = bytearray(own)
                    self._open.add(sector)
                own[offset : offset + len(part)] = part
            done += len(part)

    def set_weak(self, addr: int, length: int, mask: int = 0xFFFFFFFF) -> None:
        """Let the bits of `mask` in these words read differently each time, until the sector is
        erased.
        """
        for word in range(addr & ~3, addr + length, 4):
            self.weak[word] = mask

    def set_stuck(self, sector: int, works: float = 0.0) -> None:
        """Wear `sector` out: an erase or program moves only the share `works` (0 to 1) of its bits.
        """
        self.stuck[sector] = works

    def clone(self, clock: Clock | None = None) -> NorFlash:
        """Return an independent flash: same content, wear and faults; no file, counters at 0."""
        twin = NorFlash(self.size, clock=clock, timing=self.timing, lenient=self.lenient, seed=self.seed)
        twin.log = self.log if self.log is None else []
        twin.copy_from(self)
        return twin

    def copy_from(self, other: NorFlash) -> None:
        """Take over content, wear and faults of `other`, which has the same size."""
        other._close()
        self._sectors = other._sectors.copy()
        self._open = set()
        self.wear = other.wear.copy()
        self.weak = other.weak.copy()
        self.stuck = other.stuck.copy()

    def _close(self) -> None:
        """Make all sectors immutable, to be shared."""
        for index in self._open:
            self._sectors[index] = bytes(self._sectors[index])
        self._open.clear()

    def dump(self, path: Path | str) -> None:
        """Write the content to `path` so that it is there whole or not at all."""
        target = Path(path)
        try:
            handle, name = tempfile.mkstemp(dir=target.parent, prefix=target.name + ".")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.writelines(self._sectors)
                os.replace(name, target)
            except BaseException:
                os.unlink(name)
                raise
        except OSError as error:
            where = f"{target}: {error.strerror}"
            raise BenchError(
                "cannot write flash image", where=where, cure="make room on the disk, or use another folder",
                exit_code=USAGE) from error

    def save(self) -> None:
        """Write the content to the image file this flash was opened with."""
        if self.path is None:
            raise ValueError("this flash has no image file")
        self.dump(self.path)

    def _load(self, path: Path) -> bytes:
        try:
            image = path.read_bytes()
        except OSError as error:
            where = f"{path}: {error.strerror}"
            raise BenchError(
                "cannot read flash image", where=where, cure="check the path and its permissions",
                exit_code=USAGE) from error
        if len(image) != self.size:
            sizes = f"{len(image)} bytes, the chip has {self.size}"
            raise BenchError(
                "flash image has another size", where=f"{path}: {sizes}",
                cure="give a dump of the whole chip (slotbench backup), or make the board anew",
                exit_code=USAGE)
        return image

    def _check(self, addr: int, length: int, kind: str) -> None:
        if not self.powered:
            raise PowerCut
        if (addr | length) & 3:
            raise BenchViolation(f"{kind} at 0x{addr:06X}, {length} bytes: not a multiple of 4")
        if addr < 0 or length < 0 or addr + length > self.size:
            raise BenchViolation(f"{kind} at 0x{addr:06X}, {length} bytes: the chip has {self.size} bytes")

    def _begin(self, kind: Kind, addr: int, length: int, actor: str) -> Cut | None:
        index = self.operations
        self.operations += 1
        cut = self._cuts.pop(index, None) if self._cuts else None
        if cut is not None and cut.mode is CutMode.BEFORE:
            self._die(cut)
        if self.log is not None:
            self.log.append(FlashOperation(index, kind, addr, length, actor))
        return cut

    def _die(self, cut: Cut) -> None:
        self.powered = False
        raise PowerCut(cut)

    def _and(self, addr: int, old: bytes, data: bytes, actor: str) -> bytes:
        if not self.stuck and old.count(0xFF) == len(old):
            return data
        result = (int.from_bytes(old, "little") & int.from_bytes(data, "little")).to_bytes(len(old), "little")
        sectors = range(addr // SECTOR, (addr + len(data) - 1) // SECTOR + 1)
        worn = [sector for sector in sectors if sector in self.stuck]
        if result != data and not self.lenient and not worn:
            self._require_falling(addr, old, data, actor)
        for sector in worn:
            start = max(addr, sector * SECTOR) - addr
            end = min(addr + len(data), (sector + 1) * SECTOR) - addr
            result = result[:start] + self._partly(sector, old[start:end], result[start:end]) + result[end:]
        return result

    def _require_falling(self, addr: int, old: bytes, data: bytes, actor: str) -> None:
        for offset, (was, wanted) in enumerate(zip(old, data)):
            place = addr + offset
            unsure = self.weak.get(place & ~3, 0) >> (place & 3) * 8 & 0xFF
            if wanted & ~was & ~unsure:
                raise BenchViolation(
                    f"{actor} programs 0x{place:06X} from 0x{was:02X} to 0x{wanted:02X}: "
                    "only an erase raises bits"
                )

    def _partly(self, sector: int, old: bytes, new: bytes) -> bytes:
        rng = random.Random(f"{self.seed}:{sector}:{self.operations}")
        moves = _drawn_bits(rng, 8 * len(old), self.stuck[sector])
        was, wanted = int.from_bytes(old, "little"), int.from_bytes(new, "little")
        return (was ^ (was ^ wanted) & moves).to_bytes(len(old), "little")

    def _weaken(self, addr: int, high: bytes, low: bytes) -> None:
        """Make the bits that are 1 in `high` and 0 in `low` unsure."""
        for offset in range(0, len(high), 4):
            up = int.from_bytes(high[offset : offset + 4], "little")
            if mask := up & ~int.from_bytes(low[offset : offset + 4], "little"):
                self.weak[addr + offset] = mask

    def _blur(self, addr: int, data: bytes) -> bytes:
        here = range(addr, addr + len(data), 4)
        words = [word for word in here if word in self.weak] if len(here) < len(self.weak) else [
            word for word in sorted(self.weak) if word in here]
        if not words:
            return data
        blurred = bytearray(data)
        for word in words:
            offset = word - addr
            value = int.from_bytes(blurred[offset : offset + 4], "little")
            value ^= self._noise.getrandbits(32) & self.weak[word]
            blurred[offset : offset + 4] = value.to_bytes(4, "little")
        return bytes(blurred)


def _drawn_bits(rng: random.Random, count: int, share: float) -> int:
    """A number of `count` bits, each of them set with the probability `share`.

    A byte is drawn for each bit, all of them at once: they become the digits of a number in the base 2. Where
    a byte alone does not decide, another draw does.
    """
    sure, rest = divmod(256 * share, 1)
    digits = bytes(ord("1" if byte < sure else "0" if byte > sure else "?") for byte in range(256))
    first, *others = rng.randbytes(count).translate(digits).split(b"?")
    decided = ((b"1" if rng.random() < rest else b"0") + part for part in others)
    return int(b"0" + first + b"".join(decided), 2)


def _luck(cut: Cut, addr: int) -> random.Random:
    """Random numbers of a torn operation, independent of its index: the same operation is torn the
    same way in every run.
    """
    return random.Random(f"{cut.mode.value}:{cut.seed}:{addr}")
