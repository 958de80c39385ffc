"""A board in download mode, through esptool's API. Its errors become BenchError."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, Final

import esptool
import esptool.loader
from esptool import cmds
from esptool.logger import EsptoolLogger, TemplateLogger
from esptool.reset import HardReset
from serial import SerialException

from slotbench.errors import USAGE, BenchError
from slotbench.serial_port import has_lines, open_port, other_programs, uninterrupted

__all__ = ["DEFAULT_BAUD", "EsptoolLink", "Progress", "connected_board"]

Progress = Callable[[int, int], object]
"""Called with the number of bytes that are done, and their total."""

DEFAULT_BAUD: Final = 460800
"""Four times the ROM's rate. The USB bridges of these boards support it."""

_ROM_BAUD: Final = 115200
_CHIP: Final = "ESP8266"
_PIECE_BYTES: Final = 64 * 1024
"""The unit of comparing, reading and writing. A repeated command continues behind the last whole piece."""
_ERASED_PIECE: Final = b"\xff" * _PIECE_BYTES

_logger = logging.getLogger(__name__)


class EsptoolLink:
    """The flash of the board on `port`: its size `flash_bytes`, its JEDEC id `flash_id`, and the chip's `mac`
    in hex. `baud` is the speed of the line.

    Every method raises BenchError if the board is lost.
    """

    def __init__(self, port: str, esp: Any, baud: int) -> None:
        self.port = port
        self.baud = baud
        self._esp = esp
        self.mac = bytes(esp.read_mac()).hex()
        self.flash_id: int = esp.flash_id()
        size = cmds.detect_flash_size(esp)
        if size is None:
            raise BenchError(
                f"the size of the flash is unknown (JEDEC id 0x{self.flash_id:06x})", where=port,
                cure="check the power of the board; the id ffffff means that no flash chip is connected")
        self.flash_bytes: int = esptool.util.flash_size_bytes(size)

    def read(self, start: int, size: int, progress: Progress | None = None) -> bytes:
        """Read `size` bytes from flash offset `start`.

        Erased pieces are recognised by their digest and not sent.
        """
        data = bytearray()
        for at, length in _split_pieces(start, size):
            if length == _PIECE_BYTES and self.holds(at, _ERASED_PIECE):
                data += _ERASED_PIECE
            else:
                with (
                    _lost_board(self.port, f"while reading 0x{at:06x}"),
                    _shown_progress(progress, len(data), length, size),
                ):
                    data += cmds.read_flash(self._esp, at, length)
        if progress is not None:
            progress(size, size)
        return bytes(data)

    def write(self, start: int, data: bytes, progress: Progress | None = None) -> bool:
        """Write whole sectors and check each piece by MD5.

        Return False if the flash held all of `data` already.
        """
        written = False
        for at, length in _split_pieces(start, len(data)):
            piece = data[at - start : at - start + length]
            if self.holds(at, piece):
                continue
            written = True
            with (
                _lost_board(self.port, f"while writing 0x{at:06x}-0x{at + length - 1:06x}"),
                _shown_progress(progress, at - start, length, len(data)),
            ):
                cmds.write_flash(self._esp, [(at, piece)], flash_size="keep")
        if progress is not None:
            progress(len(data), len(data))
        return written

    def erase(self, start: int, size: int) -> None:
        """Erase whole sectors."""
        with _lost_board(self.port, f"while erasing 0x{start:06x}"):
            cmds.erase_region(self._esp, start, size)

    def holds(self, start: int, data: bytes) -> bool:
        """Whether the flash holds `data` at offset `start`."""
        return self.digest(start, len(data)) == _md5_hex(data)

    def digest(self, start: int, size: int) -> str:
        """The MD5 of `size` bytes at offset `start` in hex, computed on the chip."""
        with _lost_board(self.port, f"while checking 0x{start:06x}"):
            digest: str = self._esp.flash_md5sum(start, size)
            return digest


@contextmanager
def connected_board(port: str, baud: int = DEFAULT_BAUD) -> Iterator[EsptoolLink]:
    """The board on `port` (a device or a pyserial URL) in download mode, with esptool's stub.

    However the block ends, the board is reset and starts its flash; on a port without control lines the stub
    is told to start it, and closing the port of a virtual board resets it. Raises BenchError if the port
    cannot be opened or no board answers (exit code 2), or if it is not an ESP8266.
    """
    EsptoolLogger().set_logger(_LOG)
    esptool.loader.HexFormatter = _NothingInHex
    with closing(open_port(port, _ROM_BAUD)) as line:
        chip: Any = None
        try:
            chip = _detect_chip(port, line)
            if chip.CHIP_NAME != _CHIP:
                raise BenchError(
                    f"the chip is an {chip.CHIP_NAME}; twoslot runs only on the {_CHIP}", where=port,
                    cure="connect another board", exit_code=USAGE)
            with _lost_board(port, "while starting esptool's stub"):
                chip = cmds.run_stub(chip)
                cmds.attach_flash(chip)
                speed = baud if has_lines(port) else _ROM_BAUD
                if speed != _ROM_BAUD:
                    chip.change_baud(speed)
                link = EsptoolLink(port, chip, speed)
            yield link
        except BaseException:
            _start_board(port, line, chip, failed=True)
            raise
        _start_board(port, line, chip, failed=False)


def _start_board(port: str, line: Any, chip: Any, *, failed: bool) -> None:
    """Start what is in flash. Raises BenchError if that fails, unless the command has `failed` already."""
    with uninterrupted():
        try:
            with _lost_board(port, "at the reset"):
                if has_lines(port):
                    HardReset(line)()
                elif chip is not None and chip.IS_STUB:
                    chip.soft_reset(False)
        except BenchError as error:
            if not failed:
                raise
            _logger.warning("the board was not started again: %s; press its reset button", error.what)


def _detect_chip(port: str, line: Any) -> Any:
    """Connect to the chip in download mode and detect its type."""
    mode = "default-reset" if has_lines(port) else "no-reset"
    try:
        return cmds.detect_chip(line, _ROM_BAUD, mode)
    except (esptool.FatalError, SerialException, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        cure = ("check the cable and the port; on a board without a reset circuit hold FLASH (GPIO0) while "
                "you press RST")
        if programs := other_programs(port):
            cure = f"end the other programs that use the port: {', '.join(programs)}"
        raise BenchError(
            f"no board answers ({reason})", where=port, cure=cure, exit_code=USAGE) from None


@contextmanager
def _lost_board(port: str, when: str) -> Iterator[None]:
    """Turn the errors of esptool and the serial port into a BenchError."""
    try:
        yield
    except esptool.FatalError as error:
        reason = str(error).splitlines()[0].rstrip(".")
    except (SerialException, OSError) as error:
        reason = f"serial port error: {error}"
    else:
        return
    raise BenchError(
        f"lost the board {when} ({reason})", where=port,
        cure="check the cable and run the same command again")


def _md5_hex(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


class _EsptoolLog(TemplateLogger):  # type: ignore[misc]
    """Passes esptool's messages to the log, and its progress to `progress`."""

    progress: Progress | None = None

    def print(self, *args: object, **kwargs: object) -> None:
        _logger.debug("esptool: %s", " ".join(str(arg) for arg in args).strip())

    def note(self, message: str) -> None:
        _logger.debug("esptool: %s", message)

    def warning(self, message: str) -> None:
        _logger.info("esptool: %s", message)

    def error(self, message: str) -> None:
        _logger.info("esptool: %s", message)

    def stage(self, finish: bool = False) -> None:
        """Does nothing: slotbench has no collapsible output."""

    def progress_bar(
        self, cur_iter: int, total_iters: int, prefix: str = "", suffix: str = "", bar_length: int = 30,
    ) -> None:
        if self.progress is not None:
            self.progress(cur_iter, total_iters)

    def set_verbosity(self, verbosity: str) -> None:
        """Does nothing: slotbench sets the verbosity."""


_LOG: Final = _EsptoolLog()


class _NothingInHex:
    """In place of esptool's HexFormatter, which writes out every packet for a trace that is off: that is most
    of the time it takes to read a flash.
    """

    def __init__(self, data: bytes, auto_split: bool = True) -> None:
        """Takes what the other one takes."""

    def __str__(self) -> str:
        return ""


@contextmanager
def _shown_progress(progress: Progress | None, done: int, length: int, size: int) -> Iterator[None]:
    """Report esptool's progress on a piece of `length` bytes; `done` of `size` bytes came before it."""
    if progress is not None:
        _LOG.progress = lambda part, whole: progress(done + length * part // max(whole, 1), size)
    try:
        yield
    finally:
        _LOG.progress = None


def _split_pieces(start: int, size: int) -> Iterator[tuple[int, int]]:
    """Split a region into pieces (start, size in bytes) that end at multiples of the piece size."""
    end = start + size
    while start < end:
        length = min(end, (start // _PIECE_BYTES + 1) * _PIECE_BYTES) - start
        yield start, length
        start += length
