"""Download mode: the serial protocol of the ESP8266's ROM loader, and of the stub that esptool puts
there.

Protocol: Espressif's esptool documentation, "Serial Protocol"; error codes as its
`FatalError.WithResult` names them. The stub is not executed: a program that was loaded to RAM and
is started says `OHAI`, and from then on the stub's commands are answered here. Flash is the board's
own, with its rules, time and cuts.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable
from enum import IntEnum
from functools import reduce
from operator import xor
from typing import Final

from slotbench.vboard.flash.nor import SECTOR
from slotbench.vboard.serial.flash_write import DownloadWrite, Refused, erase
from slotbench.vboard.serial.registers import ChipRegisters
from slotbench.vboard.serial.slip import SlipReader, pack
from slotbench.vboard.soc import Soc

__all__ = ["SYNC_HEAD", "DownloadMode"]

SYNC_HEAD: Final = b"\xc0\x00\x08\x24\x00\x00\x00\x00\x00\x07\x07\x12\x20"
"""How every conversation with the ROM begins."""

_SYNC_PAYLOAD: Final = b"\x07\x07\x12\x20" + b"\x55" * 32
_SYNC_ANSWERS: Final = 8
_SYNC_VALUE_ROM: Final = 0x20120707
"""Any number but 0, which says that the stub runs already."""
_FRAME_BYTES_MAX: Final = 2 * (0x4000 + 64)
"""The stub's longest block and its header, every byte of it escaped."""
_HEADER: Final = struct.Struct("<BBHI")
_DATA_HEADER: Final = struct.Struct("<IIII")
_CHECKSUM_SEED: Final = 0xEF
_SECTORS_PER_BLOCK: Final = 16
_ROM_MAXIMUM_BLOCK: Final = 0x1800


class RomCommand(IntEnum):
    """Commands; from SPI_SET_PARAMS on the stub alone knows them."""

    FLASH_BEGIN = 0x02
    FLASH_DATA = 0x03
    FLASH_END = 0x04
    MEM_BEGIN = 0x05
    MEM_END = 0x06
    MEM_DATA = 0x07
    SYNC = 0x08
    WRITE_REG = 0x09
    READ_REG = 0x0A
    SPI_SET_PARAMS = 0x0B
    SPI_ATTACH = 0x0D
    CHANGE_BAUDRATE = 0x0F
    FLASH_DEFL_BEGIN = 0x10
    FLASH_DEFL_DATA = 0x11
    FLASH_DEFL_END = 0x12
    SPI_FLASH_MD5 = 0x13
    ERASE_FLASH = 0xD0
    ERASE_REGION = 0xD1
    READ_FLASH = 0xD2
    RUN_USER_CODE = 0xD3


class RomFault(IntEnum):
    """Second status byte of a command that failed."""

    ROM_INVALID = 0x05
    ROM_FAILED = 0x06
    ROM_CHECKSUM = 0x07
    BAD_LENGTH = 0xC0
    BAD_CHECKSUM = 0xC1
    INVALID_COMMAND = 0xC3
    FAILED_SPI = 0xC4
    NOT_IN_FLASH_MODE = 0xC6
    INFLATE = 0xC7
    NOT_ENOUGH_DATA = 0xC8
    TOO_MUCH_DATA = 0xC9
    NOT_IMPLEMENTED = 0xFF


class _Reading:
    """A READ_FLASH under way: how far it was sent and how far the host has it; all in bytes."""

    def __init__(self, start: int, length: int, block: int, unacknowledged_max: int) -> None:
        self.start, self.length, self.block = start, length, block
        self.window = block * unacknowledged_max
        self.sent = self.acknowledged = 0
        self.digest = hashlib.md5(usedforsecurity=False)


class DownloadMode:
    """The ROM of `soc` since its reset with GPIO0 low. `send` takes what it says.

    `left` becomes true when the host asks for the application. `junk()` is what arrived outside of
    frames.
    """

    def __init__(self, soc: Soc, send: Callable[[bytes], object]) -> None:
        self.left = False
        self.stub = False
        self._soc = soc
        self._send = send
        self._slip = SlipReader(_FRAME_BYTES_MAX)
        self._registers = ChipRegisters(soc)
        self._write: DownloadWrite | None = None
        self._inflate = zlib.decompressobj()
        self._reading: _Reading | None = None
        # Commands that answer with their value, or with bytes in front of the status.
        self._rom: dict[int, Callable[[bytes], int | bytes]] = {
            RomCommand.FLASH_BEGIN: self._flash_begin, RomCommand.FLASH_DATA: self._flash_data,
            RomCommand.FLASH_END: self._flash_end, RomCommand.MEM_BEGIN: self._mem_begin,
            RomCommand.MEM_DATA: self._mem_data, RomCommand.MEM_END: self._mem_end,
            RomCommand.SYNC: self._sync, RomCommand.WRITE_REG: self._write_reg,
            RomCommand.READ_REG: self._read_reg,
        }
        self._stub: dict[int, Callable[[bytes], int | bytes]] = {
            **self._rom, RomCommand.SPI_SET_PARAMS: self._accept, RomCommand.SPI_ATTACH: self._attach,
            RomCommand.CHANGE_BAUDRATE: self._change_baud, RomCommand.FLASH_DEFL_BEGIN: self._deflate_begin,
            RomCommand.FLASH_DEFL_DATA: self._deflate_data, RomCommand.FLASH_DEFL_END: self._flash_end,
            RomCommand.SPI_FLASH_MD5: self._md5, RomCommand.ERASE_FLASH: self._erase_flash,
            RomCommand.ERASE_REGION: self._erase_region, RomCommand.READ_FLASH: self._read_flash,
        }

    def receive(self, data: bytes) -> None:
        """Take bytes from the host. Raises PowerCut when a flash operation of theirs is cut."""
        for frame in self._slip.feed(data):
            if self._reading is not None:
                self._acknowledged(self._reading, frame)
            elif len(frame) >= _HEADER.size and frame[0] == 0:
                self._command(frame)

    def line_noise(self) -> bytes:
        """What arrived outside of frames since this was asked last: nobody who speaks to a ROM
        sends any.
        """
        return self._slip.take_junk()

    def _command(self, frame: bytes) -> None:
        _, op, length, checksum = _HEADER.unpack_from(frame)
        body = frame[_HEADER.size :]
        if self.stub and op == RomCommand.RUN_USER_CODE:
            self.left = True
            return
        verb = (self._stub if self.stub else self._rom).get(op)
        try:
            if verb is None:
                raise Refused(RomFault.NOT_IMPLEMENTED if self.stub else RomFault.ROM_INVALID)
            if len(body) != length:
                raise Refused(RomFault.BAD_LENGTH if self.stub else RomFault.ROM_INVALID)
            if op in (RomCommand.FLASH_DATA, RomCommand.MEM_DATA, RomCommand.FLASH_DEFL_DATA):
                self._require_checksum(body, checksum)
            value = verb(body)
        except Refused as refused:
            self._answer(op, status=bytes([1, refused.code]))
            return
        except struct.error:
            self._answer(op, status=bytes([1, RomFault.BAD_LENGTH if self.stub else RomFault.ROM_INVALID]))
            return
        if isinstance(value, bytes):
            self._answer(op, data=value)
        else:
            for _ in range(_SYNC_ANSWERS if op == RomCommand.SYNC else 1):
                self._answer(op, value)
        self._after(op)

    def _after(self, op: int) -> None:
        """What the chip goes on with once its answer is out."""
        if op == RomCommand.MEM_END and self.stub:
            self._send(pack(b"OHAI"))
        elif op == RomCommand.READ_FLASH and self._reading is not None:
            self._pump(self._reading)

    def _answer(self, op: int, value: int = 0, data: bytes = b"", status: bytes = b"\0\0") -> None:
        self._send(pack(_HEADER.pack(1, op, len(data) + len(status), value) + data + status))

    def _require_checksum(self, body: bytes, checksum: int) -> None:
        data = body[_DATA_HEADER.size :]
        if _DATA_HEADER.unpack_from(body)[0] != len(data):
            raise Refused(RomFault.BAD_LENGTH if self.stub else RomFault.ROM_INVALID)
        if reduce(xor, data, _CHECKSUM_SEED) != checksum & 0xFF:
            raise Refused(RomFault.BAD_CHECKSUM if self.stub else RomFault.ROM_CHECKSUM)

    # The ROM.

    def _accept(self, body: bytes) -> int:
        return 0

    def _sync(self, body: bytes) -> int:
        if body != _SYNC_PAYLOAD:
            raise Refused(RomFault.ROM_INVALID)
        return 0 if self.stub else _SYNC_VALUE_ROM

    def _read_reg(self, body: bytes) -> int:
        return self._registers.read(struct.unpack("<I", body)[0])

    def _write_reg(self, body: bytes) -> int:
        for address, value, mask, _ in struct.iter_unpack("<IIII", body):
            self._registers.write(address, value, mask)
        return 0

    def _mem_begin(self, body: bytes) -> int:
        if struct.unpack("<IIII", body)[2] > _ROM_MAXIMUM_BLOCK:
            raise Refused(RomFault.ROM_INVALID)
        return 0

    def _mem_data(self, body: bytes) -> int:
        return 0

    def _mem_end(self, body: bytes) -> int:
        stay, _ = struct.unpack("<II", body)
        self.stub = self._registers.attached = self.stub or not stay
        return 0

    def _flash_begin(self, body: bytes) -> int:
        size, _, _, start = struct.unpack_from("<IIII", body)
        self._registers.attached = True
        if self.stub:
            self._write = DownloadWrite(self._soc.flash, start, size, erases=True)
            return 0
        count, first = -(-size // SECTOR), start // SECTOR
        # The ROM's SPIEraseArea erases the sectors up to the next 64 KB block a second time over.
        count += min(count, _SECTORS_PER_BLOCK - first % _SECTORS_PER_BLOCK)
        last = min(first + count, self._soc.flash.size // SECTOR)
        for sector in range(first, last):
            erase(self._soc.flash, sector)
        self._write = DownloadWrite(self._soc.flash, start, self._soc.flash.size - start, erases=False)
        return 0

    def _flash_data(self, body: bytes) -> int:
        write = self._writing()
        data = body[_DATA_HEADER.size :]
        # The last block is padded with 0xFF to its full length, behind what was announced.
        write.add(data[: write.left] if self.stub else data)
        return 0

    def _flash_end(self, body: bytes) -> int:
        (stay,) = struct.unpack("<I", body)
        write, self._write = self._write, None
        if not self.stub:
            self.left = True
        elif write is not None and write.left:
            raise Refused(RomFault.NOT_ENOUGH_DATA)
        elif not stay:
            # GPIO0 was low at the reset and nothing sampled it since: the stub falls back to the
            # ROM.
            self.stub = False
        return 0

    # The stub.

    def _attach(self, body: bytes) -> int:
        self._registers.attached = True
        return 0

    def _change_baud(self, body: bytes) -> int:
        self._registers.baud = struct.unpack("<II", body)[0] or self._registers.baud
        return 0

    def _deflate_begin(self, body: bytes) -> int:
        size, _, _, start = struct.unpack_from("<IIII", body)
        self._write = DownloadWrite(self._soc.flash, start, size, erases=True)
        self._inflate = zlib.decompressobj()
        return 0

    def _deflate_data(self, body: bytes) -> int:
        write = self._writing()
        try:
            data = self._inflate.decompress(body[_DATA_HEADER.size :], write.left + 1)
        except zlib.error:
            raise Refused(RomFault.INFLATE) from None
        if len(data) > write.left:
            raise Refused(RomFault.TOO_MUCH_DATA)
        write.add(data)
        return 0

    def _md5(self, body: bytes) -> bytes:
        start, length, _, _ = struct.unpack("<IIII", body)
        self._require_inside(start, length)
        data = self._soc.flash.peek(start, length)
        self._soc.clock.us += length // self._soc.flash.timing.read_bytes_per_us
        return hashlib.md5(data, usedforsecurity=False).digest()

    def _erase_flash(self, body: bytes) -> int:
        for sector in range(self._soc.flash.size // SECTOR):
            erase(self._soc.flash, sector)
        return 0

    def _erase_region(self, body: bytes) -> int:
        start, length = struct.unpack("<II", body)
        if start % SECTOR or length % SECTOR:
            raise Refused(RomFault.BAD_LENGTH)
        self._require_inside(start, length)
        for sector in range(start // SECTOR, (start + length) // SECTOR):
            erase(self._soc.flash, sector)
        return 0

    def _read_flash(self, body: bytes) -> int:
        start, length, block, unacknowledged_max = struct.unpack("<IIII", body)
        self._require_inside(start, length)
        if not 0 < block <= SECTOR or not unacknowledged_max:
            raise Refused(RomFault.BAD_LENGTH)
        self._reading = _Reading(start, length, block, unacknowledged_max)
        return 0

    def _pump(self, reading: _Reading) -> None:
        """Send as many blocks as the host takes unacknowledged; behind the last one, the MD5 of
        all.
        """
        flash = self._soc.flash
        while reading.sent < reading.length and reading.sent - reading.acknowledged < reading.window:
            size = min(reading.block, reading.length - reading.sent)
            data = flash.peek(reading.start + reading.sent, size)
            self._soc.clock.us += size // flash.timing.read_bytes_per_us
            reading.digest.update(data)
            reading.sent += size
            self._send(pack(data))
        if reading.acknowledged >= reading.length:
            self._reading = None
            self._send(pack(reading.digest.digest()))

    def _acknowledged(self, reading: _Reading, frame: bytes) -> None:
        if len(frame) == 4:
            reading.acknowledged = min(int.from_bytes(frame, "little"), reading.sent)
            self._pump(reading)
        else:
            # Not an acknowledgement: the host has given up and starts over.
            self._reading = None
            if len(frame) >= _HEADER.size and frame[0] == 0:
                self._command(frame)

    def _writing(self) -> DownloadWrite:
        if self._write is None:
            raise Refused(RomFault.NOT_IN_FLASH_MODE if self.stub else RomFault.ROM_FAILED)
        return self._write

    def _require_inside(self, start: int, length: int) -> None:
        if start + length > self._soc.flash.size:
            raise Refused(RomFault.FAILED_SPI)
