"""What lies where in an ESP8266, and which accesses it survives.

Instruction RAM answers to whole words only, data RAM to bytes too; nothing answers to an address
that is not a multiple of the access. The flash window does not exist while the cache is off, as it
is in a loader. The boot ROM keeps its own data at the top of data RAM: the one word of it that a
loader may change is chip_size.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from slotbench.vboard.signals import BenchViolation
from slotbench.vboard.soc import CHIP_SIZE_WORD

__all__ = ["BASE", "DRAM", "IRAM", "ROM_DATA", "CpuFault", "CpuMemory", "Peripherals"]

DRAM: Final = range(0x3FFE8000, 0x40000000)
ROM_DATA: Final = range(0x3FFFC000, 0x3FFFEB30)
"""Tables and variables that the ROM copied there at its start and uses in every call."""
IRAM: Final = range(0x40100000, 0x40110000)
"""The upper half becomes the cache once it is switched on."""
BASE: Final = DRAM.start
"""Address of the first byte of `CpuMemory.data`; between DRAM and IRAM it has bytes that nothing
reaches.
"""

_WORD: Final = 0xFFFFFFFF
_ALIGNMENT: Final = 9
_LOAD_STORE: Final = 3
_NO_FETCH: Final = 20
_NO_LOAD: Final = 28
_NO_STORE: Final = 29


class CpuFault(BenchViolation):
    """An access that ends in the ROM's exception handler. `cause` is the LX106's EXCCAUSE."""

    def __init__(self, what: str, pc: int, address: int, cause: int) -> None:
        super().__init__(f"{what}: address 0x{address:08x}, pc 0x{pc:08x} (exccause {cause})")
        self.pc = pc
        self.address = address
        self.cause = cause


class Peripherals(Protocol):
    """Registers and RTC memory, by words."""

    def read(self, address: int) -> int | None:
        """The word at `address`; None when there is nothing."""

    def write(self, address: int, value: int) -> bool:
        """Set the word; False when there is nothing."""


class CpuMemory:
    """RAM of the chip. `data` are its bytes from `BASE`, `words` the same as 32-bit words.

    Translated code does by itself what cannot fail, and changes no code; all else comes here.
    """

    def __init__(self, peripherals: Peripherals) -> None:
        self.data = bytearray(IRAM.stop - BASE)
        self.words = memoryview(self.data).cast("I")
        self.peripherals = peripherals
        self.code: set[int] = set()
        """Addresses of the words that translated code was made of."""
        self.code_start = IRAM.stop
        """Nothing of it lies below."""
        self.code_changed = True
        """Nothing that was translated is right any more."""

    def add_code(self, words: range, literals: Iterable[int]) -> None:
        """Code was translated from these words, and from these literals."""
        self.code.update(words, literals)
        self.code_start = min(self.code_start, words.start, *literals)

    def forget_code(self) -> None:
        """Nothing was translated yet."""
        self.code.clear()
        self.code_start = IRAM.stop
        self.code_changed = False

    def load32(self, address: int, pc: int) -> int:
        """l32i."""
        address &= _WORD
        self._require(address % 4 == 0, "unaligned load", pc, address, _ALIGNMENT)
        if address in DRAM or address in IRAM:
            return self.words[(address - BASE) >> 2]
        value = self.peripherals.read(address)
        if value is None:
            raise CpuFault("load where there is nothing", pc, address, _NO_LOAD)
        return value

    def load16(self, address: int, pc: int) -> int:
        """l16ui."""
        address &= _WORD
        self._require_bytes(address, 2, "load", pc)
        offset = address - BASE
        return int.from_bytes(self.data[offset : offset + 2], "little")

    def load8(self, address: int, pc: int) -> int:
        """l8ui."""
        address &= _WORD
        self._require_bytes(address, 1, "load", pc)
        return self.data[address - BASE]

    def store32(self, address: int, value: int, pc: int) -> None:
        """s32i."""
        address &= _WORD
        self._require(address % 4 == 0, "unaligned store", pc, address, _ALIGNMENT)
        if address in IRAM or address in DRAM and (address not in ROM_DATA or address == CHIP_SIZE_WORD):
            self.words[(address - BASE) >> 2] = value
            self.code_changed |= address in self.code
        elif address in DRAM:
            raise CpuFault("store into the ROM's data", pc, address, _NO_STORE)
        elif not self.peripherals.write(address, value):
            raise CpuFault("store where there is nothing", pc, address, _NO_STORE)

    def store16(self, address: int, value: int, pc: int) -> None:
        """s16i."""
        address &= _WORD
        self._require_bytes(address, 2, "store", pc)
        offset = address - BASE
        self.data[offset : offset + 2] = (value & 0xFFFF).to_bytes(2, "little")

    def store8(self, address: int, value: int, pc: int) -> None:
        """s8i."""
        address &= _WORD
        self._require_bytes(address, 1, "store", pc)
        self.data[address - BASE] = value & 0xFF

    # What the ROM's functions do, and what a test looks at.

    def read(self, address: int, length: int, pc: int = 0) -> bytes:
        """Bytes of RAM."""
        self._require_ram(address, length, "load", pc, _NO_LOAD)
        return bytes(self.data[address - BASE : address - BASE + length])

    def write(self, address: int, data: bytes, pc: int = 0) -> None:
        """Set bytes of RAM."""
        self._require_ram(address, len(data), "store", pc, _NO_STORE)
        if address < ROM_DATA.stop and address + len(data) > ROM_DATA.start:
            raise CpuFault("store into the ROM's data", pc, address, _NO_STORE)
        self.data[address - BASE : address - BASE + len(data)] = data
        if address in IRAM:
            self.code_changed |= not self.code.isdisjoint(range(address & ~3, address + len(data), 4))

    def _require_ram(self, address: int, length: int, what: str, pc: int, cause: int) -> None:
        if not any(ram.start <= address <= address + length <= ram.stop for ram in (DRAM, IRAM)):
            raise CpuFault(f"{what} of {length} bytes outside RAM", pc, address, cause)

    def _require_bytes(self, address: int, size: int, what: str, pc: int) -> None:
        self._require(address % size == 0, f"unaligned {what}", pc, address, _ALIGNMENT)
        self._require(address not in IRAM, f"{what} of less than a word in IRAM", pc, address, _LOAD_STORE)
        nothing = _NO_LOAD if what == "load" else _NO_STORE
        self._require(address in DRAM, f"{what} of less than a word outside data RAM", pc, address, nothing)
        if what == "store" and address in ROM_DATA:
            raise CpuFault("store into the ROM's data", pc, address, _NO_STORE)

    def fetch(self, pc: int) -> int:
        """The 24 bits at `pc`, from instruction RAM."""
        if not IRAM.start <= pc <= IRAM.stop - 3:
            raise CpuFault("code fetch", pc, pc, _NO_FETCH)
        offset = pc - BASE
        return int.from_bytes(self.data[offset : offset + 3], "little")

    def _require(self, holds: bool, what: str, pc: int, address: int, cause: int) -> None:
        if not holds:
            raise CpuFault(what, pc, address, cause)
