"""The machine that runs the loader of sector 0: from the boot ROM to what the loader left at its
jump.
"""

from __future__ import annotations

import functools
import random
import struct
from dataclasses import dataclass
from typing import Final

from slotbench.boards import BoardProfile, Region
from slotbench.formats import FormatError, rtc
from slotbench.formats.descriptor import ImageForm, SlotDescriptor
from slotbench.formats.image import LENGTH_WORD_OFFSET
from slotbench.formats.seal import PAGE_BYTES
from slotbench.vboard.flash.nor import SECTOR
from slotbench.vboard.loader.image import load
from slotbench.vboard.loader.model import BootResult, NothingBoots
from slotbench.vboard.lx106.cpu import Cpu, Handover
from slotbench.vboard.lx106.loader import HEADER_BYTES, loader_image, loader_symbols, rom_table
from slotbench.vboard.lx106.memory import BASE, DRAM, IRAM, ROM_DATA, CpuFault, CpuMemory
from slotbench.vboard.lx106.rom import RomHooks
from slotbench.vboard.lx106.sha256 import DigestHooks
from slotbench.vboard.signals import BenchViolation
from slotbench.vboard.soc import DPORT_CACHE, RTC_BASE, RTC_BYTES, Soc

__all__ = ["BootCost", "LoaderMachine"]

_STACK_AT_ENTRY: Final = 0x3FFFFF90
"""Below it lie the ROM's own frames."""
_ROM_MAIN: Final = 0x40001000
"""Where the ROM called the loader from; nobody may come back."""
_WAIT_US: Final = 30_000_000
_WATCHDOG_US: Final = 1_600_000
"""The shortest time-out that the hardware watchdog is known to run with after a restart by the SDK.
"""
_CPU_MHZ: Final = 52
_WATCHDOG: Final = {0x60000900: 0x39, 0x60000904: 11, 0x60000908: 13}
"""Registers of the hardware watchdog, and what the SDK sets them to: on, 8.2 s in two stages."""
_FEED: Final = 0x60000914
_FEED_VALUE: Final = 0x73
_UART_FIFO: Final = 0x60000000
_UART_STATUS: Final = 0x6000001C
_TAIL: Final = slice(rtc.ADDRESS - RTC_BASE, rtc.ADDRESS - RTC_BASE + rtc.TAIL_BYTES)


@dataclass(frozen=True, slots=True)
class BootCost:
    """What a boot cost.

    Instructions; bytes of stack below the ROM's; the longest time between two feeds of the watchdog
    (us); stretches (start, end) of addresses that executed, in the order of the first time.
    """

    instructions: int
    stack_bytes: int
    unfed_us: int
    ran: tuple[tuple[int, int], ...]


class LoaderMachine:
    """`slotboot` of one board, as machine code: the loader in sector 0 of its flash.

    `accelerate` computes SHA-256 in Python when sector 0 holds the loader that travels with the
    package. RAM is noise of `seed` at every boot. `run` tells about the last boot, `memory` is the
    RAM it left. A loader that breaks a rule of the chip, or does not end, is a BenchViolation.
    """

    def __init__(self, soc: Soc, profile: BoardProfile, *, seed: int = 0, accelerate: bool = True) -> None:
        self._soc = soc
        self._profile = profile
        self._seed = seed
        self._accelerate = accelerate
        self._fed_us = self._unfed_us = 0
        self._code = range(0)
        self.memory = CpuMemory(self)
        self.run: BootCost | None = None
        self.watchdog: set[int] = set()
        """Its registers that the loader set."""

    def boot(self, *, rounds: int = 3) -> BootResult | NothingBoots:
        """Run from reset to the jump. Gives up after `rounds` waits of 30 s, which a real board
        does not.
        """
        memory, soc = self.memory, self._soc
        memory.code_changed = True
        noise = random.Random(f"power on {self._seed}")
        for ram in (DRAM, IRAM):
            memory.data[ram.start - BASE : ram.stop - BASE] = noise.randbytes(len(ram))
        entry = self._load_sector_0()
        cpu = self._cpu = Cpu(memory, self._code)
        rom = self._rom = RomHooks(soc, cpu, rom_table(), seed=self._seed)
        rom.start()
        cpu.hooks[_ROM_MAIN] = self._returned
        self._hook_digest(cpu)
        cpu.registers[:] = [noise.getrandbits(32) for _ in range(16)] + [noise.randrange(32)]
        cpu.registers[0], cpu.registers[1] = _ROM_MAIN, _STACK_AT_ENTRY
        cpu.limit = _WATCHDOG_US * _CPU_MHZ
        self._fed_us, self._unfed_us = soc.clock.us, 0
        rom.on_wait = functools.partial(self._give_up_after, rounds)
        try:
            cpu.run(entry)
        except Handover as jump:
            return self._result(jump.pc)
        except _GivenUp:
            return NothingBoots(rom.console)
        finally:
            rom.tick()
            self._note_feed()
            stack = _STACK_AT_ENTRY - min(cpu.lowest_sp, _STACK_AT_ENTRY)
            self.run = BootCost(cpu.count, stack, self._unfed_us, tuple(cpu.ran))
        raise AssertionError("a CPU does not just stop")

    # What the ROM does with sector 0.

    def _load_sector_0(self) -> int:
        """Load the E9 image at flash offset 0; return its entry. A wrong one makes the ROM print
        and spin.
        """
        sector = self._soc.rom_read(0, SECTOR)
        magic, count, _, _, entry = struct.unpack_from("<BBBBI", sector)
        if magic != 0xE9 or not 1 <= count <= 16:
            raise BenchViolation("sector 0 holds no loader: the ROM spins")
        offset, checksum, code = 8, 0xEF, []
        for _ in range(count):
            address, size = struct.unpack_from("<II", sector, offset)
            content = sector[offset + 8 : offset + 8 + size]
            if len(content) != size:
                raise BenchViolation("the loader is longer than its sector")
            self.memory.write(address, content)
            checksum ^= functools.reduce(int.__xor__, content, 0)
            offset += 8 + size
            if address in IRAM:
                code.append(range(address, address + size))
        if sector[offset | 15] != checksum:
            raise BenchViolation("checksum of the loader in sector 0 is wrong: the ROM spins")
        self._code = range(min(it.start for it in code), max(it.stop for it in code))
        return int(entry)

    def _returned(self, cpu: Cpu) -> None:
        raise CpuFault("the loader returned to the ROM", _ROM_MAIN, _ROM_MAIN, 0)

    def _hook_digest(self, cpu: Cpu) -> None:
        """Take over the digest's functions where they are: in the very loader that the symbols are
        of.
        """
        known = loader_image()[HEADER_BYTES:]
        if self._accelerate and self._soc.flash.peek(HEADER_BYTES, len(known)) == known:
            cpu.hooks.update(DigestHooks(loader_symbols()).hooks)

    # Registers and RTC memory.

    def read(self, address: int) -> int | None:
        """The word at an address outside RAM."""
        if RTC_BASE <= address < RTC_BASE + RTC_BYTES:
            return self._soc.read_word(address) & 0xFFFFFFFF
        return {_UART_STATUS: 0, DPORT_CACHE: self._soc.dport_cache}.get(address)

    def write(self, address: int, value: int) -> bool:
        """Set the word at an address outside RAM."""
        if address == _FEED and value == _FEED_VALUE:
            self._note_feed()
            self._cpu.limit = self._cpu.count + _WATCHDOG_US * _CPU_MHZ
        elif _WATCHDOG.get(address) == value:
            self.watchdog.add(address)
        elif address == _UART_FIFO:
            self._rom.put_character(value)
        elif RTC_BASE <= address < RTC_BASE + RTC_BYTES:
            self._soc.write_word(address, value)
        else:
            return False
        return True

    def _note_feed(self) -> None:
        self._rom.tick()
        now_us = self._soc.clock.us
        self._unfed_us = max(self._unfed_us, now_us - self._fed_us)
        self._fed_us = now_us

    def _give_up_after(self, rounds: int) -> None:
        if self._rom.waited_us >= rounds * _WAIT_US:
            raise _GivenUp

    # What it left.

    def _result(self, entry: int) -> BootResult:
        """From RAM at the jump to `entry`, and the tail that says which image it is of."""
        self._rom.take_chip_size()
        stack = self._cpu.registers[1]
        if not ROM_DATA.stop < stack <= DRAM.stop or stack % 16:
            raise CpuFault("the image gets no stack", entry, stack, 0)
        tail = rtc.Tail.unpack(bytes(self._soc.rtc[_TAIL]))
        length = self._length(tail.slot)
        start = self._profile.slots[tail.slot].image.start
        form = ImageForm.EA if self._profile.in_place else ImageForm.E9
        image = load(form, lambda offset, size: self._soc.flash.peek(start + offset, size), length)
        if image is None:
            raise BenchViolation(f"slot {'AB'[tail.slot]} was started: it holds no image")
        profile = self._profile
        irom_start = start + image.irom_offset if profile.in_place else profile.window.start
        window = Region(irom_start, image.irom_bytes)
        return BootResult(
            slot=tail.slot,
            why=tail.why,
            counter=tail.counter,
            length=length,
            entry=entry,
            segments=tuple((at, self.memory.read(at, len(content))) for at, content in image.segments),
            irom=window,
            console=self._rom.console,
        )

    def _length(self, slot: int) -> int:
        """Of the image in a slot: from its descriptor, or from its own length word when there is
        none.
        """
        place = self._profile.slots[slot]
        try:
            return SlotDescriptor.unpack(self._soc.flash.peek(place.descriptor.start, PAGE_BYTES)).length
        except FormatError:
            word = self._soc.flash.peek(place.image.start + LENGTH_WORD_OFFSET, 4)
            return int.from_bytes(word, "little") + 16


class _GivenUp(Exception):
    """The loader waits, and will for ever."""
