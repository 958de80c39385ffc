"""The chip's SPI commands on the bench's NOR flash, which owns content, log, cuts, wear and time."""

from __future__ import annotations

import ctypes
from typing import Any, Final

from slotbench.vboard.chip.binding import ERASE, PROGRAM, READ, CFlashCalls
from slotbench.vboard.flash.nor import BLOCK, SECTOR, NorFlash

__all__ = ["FlashBridge"]

_PAGE: Final = 256
_CHIP_ERASE_US: Final = 10_000_000
"""Typical of a Winbond W25Q32FV: a chip erase is quicker than those of its sectors."""


class FlashBridge:
    """Answers the core's program, erase and read callbacks.

    A page program of less than a page costs its share of a page's time. What the flash raises (PowerCut,
    BenchViolation) is kept in `error` and stops the chip; Machine raises it again. `actor` is who did it in
    the flash's log.
    """

    def __init__(self, core: Any, chip: Any, flash: NorFlash, actor: str = "chip") -> None:
        self._core = core
        self._chip = chip
        self.flash = flash
        self.actor = actor
        self.error: BaseException | None = None
        self._shown: tuple[bytes, ...] = ()
        self.calls = CFlashCalls(PROGRAM(self._program), ERASE(self._erase), READ(self._read))

    @property
    def jedec_id(self) -> int:
        """Manufacturer, type, capacity as RDID gives them, the first byte lowest."""
        return (self.flash.size.bit_length() - 1) << 16 | 0x40EF

    def refresh(self) -> None:
        """Let the chip see what the flash holds now; sectors that it has seen are not copied again."""
        sectors = self.flash.sectors(0, self.flash.size)
        for index, sector in enumerate(sectors):
            if index >= len(self._shown) or sector is not self._shown[index]:
                self._core.chip_flash_update(self._chip, index * SECTOR, sector, SECTOR)
        self._shown = sectors
        self._core.chip_flash_slow_reads(self._chip, bool(self.flash.weak))

    def _update(self, offset: int, length: int) -> None:
        self._core.chip_flash_update(self._chip, offset, self.flash.peek(offset, length), length)
        if self.flash.weak:
            self._core.chip_flash_slow_reads(self._chip, 1)

    def _timed(self, offset: int, length: int, busy_us: Any, action: Any, share: float = 1.0) -> int:
        """Do it, say how long it takes, show what it left; non-zero when the chip is to stop."""
        clock = self.flash.clock
        before = clock.us
        try:
            action()
        except BaseException as error:
            self.error = error
            return 1
        finally:
            busy_us[0] = max(1, round((clock.us - before) * share))
            clock.us = before
            self._update(offset, length)
        return 0

    def _program(self, _host: object, offset: int, data: Any, length: int, busy_us: Any) -> int:
        start, end = offset & ~3, (offset + length + 3) & ~3
        padded = b"\xff" * (offset - start) + bytes(data[:length]) + b"\xff" * (end - offset - length)
        return self._timed(
            start, len(padded), busy_us, lambda: self.flash.write(start, padded, self.actor), length / _PAGE)

    def _erase(self, _host: object, offset: int, length: int, busy_us: Any) -> int:
        def erase() -> None:
            if length == BLOCK:
                self.flash.erase_block(offset // BLOCK, self.actor)
                return
            for sector in range(offset // SECTOR, (offset + length) // SECTOR):
                self.flash.erase(sector, self.actor)

        error = self._timed(offset, length, busy_us, erase)
        if length > BLOCK:
            busy_us[0] = _CHIP_ERASE_US
        return error

    def _read(self, _host: object, offset: int, data: Any, length: int) -> int:
        clock = self.flash.clock
        before = clock.us
        try:
            content = self.flash.read(offset, length)
        except BaseException as error:
            self.error = error
            return 1
        finally:
            clock.us = before
        ctypes.memmove(data, content, length)
        return 0
