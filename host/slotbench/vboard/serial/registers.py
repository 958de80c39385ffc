"""Words of the chip that a flashing tool reads and writes over the serial port: ROM, eFuse, UART,
SPI.
"""

from __future__ import annotations

from typing import Final

from slotbench.vboard.soc import Soc

__all__ = ["ChipRegisters"]

_CHIP_MAGIC: Final = 0x40001000
_MAGIC_ESP8266: Final = 0xFFF0C101
_UART_CLKDIV: Final = 0x60000014
_UART_CLOCK_HZ: Final = 52_000_000
"""Twice the 26 MHz crystal: UART clock while the ROM runs."""
_EFUSE: Final = 0x3FF00050
_OUI: Final = 0x5CCF7F

_SPI: Final = 0x60000200
_SPI_CMD: Final = _SPI
_SPI_ADDR: Final = _SPI + 0x04
_SPI_USER2: Final = _SPI + 0x24
_SPI_W0: Final = _SPI + 0x40
_SPI_USR: Final = 1 << 18
"""Bit of SPI_CMD that starts a user command; the hardware takes it back when it is done."""

_READ_ID: Final = 0x9F
_READ_SFDP: Final = 0x5A
_STATUS: Final = (0x05, 0x35, 0x15)
_SFDP_SIGNATURE: Final = b"SFDP\x06\x01\x00\xff"
_BAUD: Final = 115200


class ChipRegisters:
    """The words of one start of the chip. `attached`: whether the flash answers yet; `baud`: the
    UART's.
    """

    def __init__(self, soc: Soc) -> None:
        self._soc = soc
        self._words: dict[int, int] = {}
        self.attached = False
        self.baud = _BAUD

    def read(self, address: int) -> int:
        """The 32-bit word at `address`; what is not modelled reads as it was written, 0 before."""
        if address == _CHIP_MAGIC:
            return _MAGIC_ESP8266
        if address == _UART_CLKDIV:
            return round(_UART_CLOCK_HZ / self.baud)
        if _EFUSE <= address < _EFUSE + 16:
            return self._efuse()[(address - _EFUSE) // 4]
        return self._words.get(address, 0)

    def write(self, address: int, value: int, mask: int = 0xFFFFFFFF) -> None:
        """Set the bits of `mask` in the word at `address`; writing to SPI_CMD runs the command set
        up.
        """
        value = self._words.get(address, 0) & ~mask | value & mask
        if address == _SPI_CMD and value & _SPI_USR:
            self._words[_SPI_W0] = self._spi(self._words.get(_SPI_USER2, 0) & 0xFF)
            value &= ~_SPI_USR
        self._words[address] = value

    def _spi(self, command: int) -> int:
        """What the flash shifts out after `command`, first byte lowest."""
        if not self.attached:
            return 0xFFFFFF
        if command == _READ_ID:
            return self._soc.flash_id
        if command == _READ_SFDP:
            start = self._words.get(_SPI_ADDR, 0) >> 8
            return int.from_bytes(_SFDP_SIGNATURE[start : start + 4].ljust(4, b"\xff"), "little")
        return 0 if command in _STATUS else 0xFFFFFF

    def _efuse(self) -> tuple[int, int, int, int]:
        """The four words that hold the MAC; `machine.unique_id()` is its last three bytes and one
        above.
        """
        identity = int.from_bytes(self._soc.unique_id[:4], "little")
        return (identity & 0xFF) << 24, identity >> 8, 0, _OUI
