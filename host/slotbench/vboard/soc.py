"""The ESP8266 as software sees it: flash through the ROM, memory words, RTC memory, resets, the
SDK.

Numbers are from the boot ROM and Espressif's SDK 2.2.0-dev(9422289) as MicroPython links it.
"""

from __future__ import annotations

import random
from typing import Final

from slotbench.vboard.buffers import offset_in_object
from slotbench.vboard.clock import Clock
from slotbench.vboard.flash.nor import BLOCK, SECTOR, NorFlash
from slotbench.vboard.memory import SdkHeap
from slotbench.vboard.signals import BenchViolation, ChipReset, DeviceOSError, PowerCut

__all__ = [
    "CHIP_SIZE_WORD", "DPORT_CACHE", "MAPPED_BYTES", "ROM_CHIP_SIZE", "RTC_BASE", "SIZE_OF_NIBBLE", "Soc",
]

FLASH_ID_WORD: Final = 0x3FFFC718
CHIP_SIZE_WORD: Final = 0x3FFFC71C
"""`flashchip->chip_size`: bounds every ROM flash call."""
ROM_CHIP_SIZE: Final = 0x400000
"""What the ROM sets it to at every start."""
DPORT_CACHE: Final = 0x3FF0000C
RTC_BASE: Final = 0x60001100
RTC_BYTES: Final = 0x300
MAPPED_BYTES: Final = 0x100000

SIZE_OF_NIBBLE: Final = {
    0: 0x80000, 1: 0x40000, 2: 0x100000, 3: 0x200000, 4: 0x400000, 5: 0x200000, 6: 0x400000,
    8: 0x800000, 9: 0x1000000,
}
"""`chip_size` that the SDK takes from the high nibble of byte 3 of the header at flash offset 0."""

_HARDWARE_CAUSE: Final = {0: 1, 1: 4, 5: 5, 6: 2}
"""The SDK's reset reason -> what the ROM finds in register 0x60000714. After all others, which are
jumps to the ROM, it finds what was there.
"""
_ZEROES_COUNTER: Final = (0, 5, 6)
"""After these reasons the RTC's counter starts from 0; after all others it goes on."""
_RESTART_INFO: Final = slice(0, 28)
"""In the RTC memory: `rst_info`, whose first word is the reason."""
_WATCHDOG: Final = 1

_EIO: Final = 5
_PARAMETERS: Final = 0x498
_SELECTOR_MAGIC: Final = 0x55AA55AA
_PHY_BYTES: Final = 128
_PHY_MAGIC: Final = 0x05


class Soc:
    """One ESP8266 with its flash and its clock.

    `reset_reason` is the SDK's number for why it started last, `hardware_cause` the ROM's for what the
    hardware did last. `rtc_zero_us` is when the RTC's counter was 0 last. In every `sdk_save_every`-th
    `esp.flash_write` or `flash_erase` the SDK's Wi-Fi tasks save parameters where `chip_size` says
    at that moment (0: never); `saves` counts them. Power loss leaves noise of `seed` in the RTC
    memory. Without power every access raises PowerCut, so that no `finally` reaches the flash.
    `sdk` is the heap that a soft reset leaves alone. `user_start` is what the running firmware has
    for `esp.flash_user_start()`, a constant of its link. `filesystem` is what a VM with littlefs
    knows of its files, from one start to the next.
    """

    def __init__(
        self,
        flash: NorFlash,
        clock: Clock | None = None,
        *,
        seed: int = 0,
        unique_id: bytes = b"\x4a\x7e\x1c\x00",
        sdk_save_every: int = 29,
    ) -> None:
        self.flash = flash
        self.clock = clock if clock is not None else flash.clock
        flash.clock = self.clock
        self.unique_id = unique_id
        self.flash_id = (flash.size.bit_length() - 1) << 16 | 0x40EF
        self.sdk_save_every = sdk_save_every
        self.user_start = MAPPED_BYTES
        self.reset_reason = 0
        self.hardware_cause = _HARDWARE_CAUSE[0]
        self._sdk_runs = False
        self.rtc = bytearray(RTC_BYTES)
        self.sdk = SdkHeap()
        self.filesystem: object = None
        self.random = random.Random(seed)
        self._calls = self.random.randrange(sdk_save_every) if sdk_save_every else 0
        self._late = bool(self.random.getrandbits(1))
        self.saves = 0
        self.power_on()

    def power_on(self) -> None:
        """Switch the power on: RAM and RTC memory hold noise."""
        self.flash.power_on()
        self.rtc[:] = self.random.randbytes(RTC_BYTES)
        self.start(0)

    def power_off(self) -> None:
        """Pull the plug."""
        self.flash.power_off()

    def start(self, reason: int, *, interrupts: bool = True) -> None:
        """The ROM starts: RAM is gone, RTC memory stays. Reasons as in ChipReset, 0 is power.

        Before it restarts, and at the first stage of the hardware watchdog, the SDK writes down why: without
        `interrupts`, or before it was up, it could not see that stage.
        """
        self.require_power()
        self.reset_reason = reason
        self.hardware_cause = _HARDWARE_CAUSE.get(reason, self.hardware_cause)
        warned = reason == _WATCHDOG and self._sdk_runs and interrupts
        if warned or reason in (2, 3, 4, 5):
            self.rtc[_RESTART_INFO] = reason.to_bytes(28, "little")
        self._sdk_runs = False
        self.chip_size = ROM_CHIP_SIZE
        self.dport_cache = 0
        self.boot_us = self.clock.us
        if reason in _ZEROES_COUNTER:
            self.rtc_zero_us = self.clock.us
        self.sdk = SdkHeap()

    def require_power(self) -> None:
        """Raise PowerCut when the chip is dead."""
        if not self.flash.powered:
            raise PowerCut

    # Memory words, as machine.mem32 reaches them.

    def read_word(self, addr: int) -> int:
        """Return the 32-bit word at `addr`, signed as MicroPython's mem32 does; unknown addresses
        read 0.
        """
        if not self.flash.powered:
            raise PowerCut
        if addr == CHIP_SIZE_WORD:
            return self.chip_size
        offset = addr - RTC_BASE
        if 0 <= offset < RTC_BYTES:
            word = int.from_bytes(self.rtc[offset : offset + 4], "little")
        else:
            word = {FLASH_ID_WORD: self.flash_id, DPORT_CACHE: self.dport_cache}.get(addr, 0)
        return word - (1 << 32) if word >> 31 else word

    def write_word(self, addr: int, value: int) -> None:
        """Set the word at `addr`; an address that is not modelled is a BenchViolation."""
        if not self.flash.powered:
            raise PowerCut
        value &= 0xFFFFFFFF
        if addr == CHIP_SIZE_WORD:
            self.chip_size = value
            return
        offset = addr - RTC_BASE
        if 0 <= offset < RTC_BYTES:
            self.rtc[offset : offset + 4] = value.to_bytes(4, "little")
        elif addr == DPORT_CACHE:
            self.dport_cache = value
        else:
            raise BenchViolation(f"0x{value:08X} written to 0x{addr:08X}: nothing is modelled there")

    # The ROM's SPI functions: bounded by chip_size and by nothing else.

    def rom_read(self, addr: int, length: int) -> bytes:
        """SPIRead. Raises OSError(5) where the ROM returns an error."""
        if addr < 0 or addr + length > self.chip_size:
            self.require_power()
            raise DeviceOSError(_EIO)
        return self.flash.read(addr, length)

    def rom_write(self, addr: int, data: bytes | bytearray | memoryview, actor: str) -> None:
        """SPIWrite. Raises OSError(5) where the ROM returns an error."""
        if addr < 0 or addr + len(data) > self.chip_size:
            self.require_power()
            raise DeviceOSError(_EIO)
        self.flash.write(addr, data, actor)

    def rom_erase(self, sector: int, actor: str) -> None:
        """SPIEraseSector. Raises OSError(5) where the ROM returns an error."""
        if not 0 <= sector < self.chip_size // SECTOR:
            self.require_power()
            raise DeviceOSError(_EIO)
        self.flash.erase(sector, actor)

    def rom_erase_block(self, block: int, actor: str) -> None:
        """SPIEraseBlock: 64 KB. Raises OSError(5) where the ROM returns an error."""
        if not 0 <= block < self.chip_size // BLOCK:
            self.require_power()
            raise DeviceOSError(_EIO)
        self.flash.erase_block(block, actor)

    # What ports/esp8266/modesp.c does with them.

    def flash_read(self, addr: int, into: int | bytearray | memoryview) -> bytes | None:
        """`esp.flash_read`: into a buffer, or `into` bytes returned."""
        if isinstance(into, int):
            self._require_words(into, "flash_read")
            return self.rom_read(addr, into)
        view = into if type(into) is bytearray else self._aligned(into, "flash_read")
        length = len(view)
        if length & 3:
            self._require_words(length, "flash_read")
        if 0 <= addr <= self.chip_size - length:
            view[:] = self.flash.read(addr, length)  # as rom_read: this is called oftener than anything else
        else:
            view[:] = self.rom_read(addr, length)
        return None

    def flash_write(self, addr: int, data: bytes | bytearray | memoryview) -> None:
        """`esp.flash_write`."""
        view = self._aligned(data, "flash_write")
        if len(view) & 3:
            raise ValueError("len must be multiple of 4")
        save_after = self._wifi_tasks()
        self.rom_write(addr, view, "python")
        if save_after:
            self._save_parameters()

    def flash_erase(self, sector: int) -> None:
        """`esp.flash_erase`: a sector number."""
        save_after = self._wifi_tasks()
        self.rom_erase(sector, "python")
        if save_after:
            self._save_parameters()

    # What the firmware does before any Python runs.

    def start_sdk(self) -> None:
        """`firmware_start` and the SDK's start: PHY data, and chip_size from the header at flash
        offset 0. What the SDK wrote down before a restart is then forgotten.

        `firmware_start` writes default PHY data at `chip_size - 0x4000` when it finds nothing
        there; that is the ROM's 4 MB unless the loader has set `chip_size`. Raises ChipReset when
        the SDK then does not find PHY data where it looks.
        """
        phy = (self.chip_size - 4 * SECTOR) % self.flash.size
        if self.flash.peek(phy, _PHY_BYTES) == b"\xff" * _PHY_BYTES:
            self.flash.write(phy, bytes([_PHY_MAGIC]) + bytes(_PHY_BYTES - 1), "firmware")
        self.chip_size = SIZE_OF_NIBBLE.get(self.flash.peek(3, 1)[0] >> 4, 0x80000)
        if self.flash.peek((self.chip_size - 4 * SECTOR) % self.flash.size, 1)[0] != _PHY_MAGIC:
            self.clock.advance_ms(100)
            raise ChipReset(4)
        self.rtc[_RESTART_INFO] = bytes(28)
        self._sdk_runs = True

    def _wifi_tasks(self) -> bool:
        """`ets_loop_iter` runs before and after a flash call; True when a save is due in the one
        after.
        """
        self.require_power()
        if not self.sdk_save_every:
            return False
        self._calls += 1
        if self._calls % self.sdk_save_every:
            return False
        self._late = not self._late
        if not self._late:
            self._save_parameters()
        return self._late

    def _save_parameters(self) -> None:
        """Write the copy the selector does not name, then the selector: byte 0 zero means the copy
        at -3.
        """
        self.saves += 1
        end = self.chip_size // SECTOR
        first_is_current = self.flash.peek((end - 1) * SECTOR, 1) == b"\0"
        copy = end - 2 if first_is_current else end - 3
        content = self.random.randbytes(_PARAMETERS)
        selector = bytes([1 if first_is_current else 0, 0, 0, 0])
        selector += _SELECTOR_MAGIC.to_bytes(4, "little") + self.saves.to_bytes(4, "little")
        for sector, data in ((copy, content), (end - 1, selector)):
            self.flash.erase(sector, "sdk")
            self.flash.write(sector * SECTOR, data, "sdk")

    def _aligned(self, data: bytes | bytearray | memoryview, call: str) -> memoryview:
        """The ROM copies by 32-bit words: a pointer that is not 4-aligned ends in exception 9."""
        offset = offset_in_object(data) % 4 if isinstance(data, memoryview) else 0
        view = memoryview(data)
        if offset:
            raise BenchViolation(f"{call} with a buffer at offset {offset} of its object: exception 9")
        return view if view.format == "B" and view.ndim == 1 else view.cast("B")

    def _require_words(self, length: int, call: str) -> None:
        if length % 4:
            raise BenchViolation(f"{call} of {length} bytes: the ROM stores whole words past the buffer")
