"""A board in download mode, through esptool's API: read, write, erase, digest, reset; errors in our words."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import esptool
from esptool import cmds
from esptool.logger import EsptoolLogger, TemplateLogger
from serial import SerialException

from slotbench.errors import USAGE, BenchError

__all__ = ["DEFAULT_BAUD", "EsptoolLink", "Progress", "connected"]

Progress = Callable[[int, int], object]
"""Called with how much is done, and of how much."""

DEFAULT_BAUD: Final = 460800
"""Four times what the ROM begins with; USB bridges of these boards take it."""

_ROM_BAUD: Final = 115200
_CHIP: Final = "ESP8266"
_PIECE_BYTES: Final = 64 * 1024
"""What is compared, read and written at once: a run that was broken off goes on behind the last whole one."""
_ERASED_PIECE: Final = b"\xff" * _PIECE_BYTES
_PSEUDO_TERMINALS: Final = "/dev/pts/"

_logger = logging.getLogger(__name__)


class EsptoolLink:
    """The flash of the board on `port`: `flash_bytes`, JEDEC id `flash_id`, and the chip's `mac` in hex.

    Every method raises BenchError when the board is lost; so does `with connected(...)` around it.
    """

    def __init__(self, port: str, esp: Any) -> None:
        self.port = port
        self._esp = esp
        self.mac = bytes(esp.read_mac()).hex()
        self.flash_id: int = esp.flash_id()
        size = cmds.detect_flash_size(esp)
        if size is None:
            raise BenchError(
                f"size of the flash is not known (JEDEC id 0x{self.flash_id:06x})", where=port,
                do="check the board's power; a chip that answers ffffff is not connected")
        self.flash_bytes: int = esptool.util.flash_size_bytes(size)

    def read(self, start: int, size: int, progress: Progress | None = None) -> bytes:
        """`size` bytes from flash offset `start`. What is erased is told by its digest, and not sent over."""
        data = bytearray()
        for at, length in _pieces(start, size):
            if length == _PIECE_BYTES and self.holds(at, _ERASED_PIECE):
                data += _ERASED_PIECE
            else:
                with _lost(self.port, f"while reading 0x{at:06x}"), _shown(progress, len(data), length, size):
                    data += cmds.read_flash(self._esp, at, length)
        if progress is not None:
            progress(size, size)
        return bytes(data)

    def write(self, start: int, data: bytes, progress: Progress | None = None) -> bool:
        """Write whole sectors, each piece compared by MD5. False: all of it was there already."""
        written = False
        for at, length in _pieces(start, len(data)):
            piece = data[at - start : at - start + length]
            if self.holds(at, piece):
                continue
            written = True
            with (
                _lost(self.port, f"while writing 0x{at:06x}-0x{at + length - 1:06x}"),
                _shown(progress, at - start, length, len(data)),
            ):
                cmds.write_flash(self._esp, [(at, piece)], flash_size="keep")
        if progress is not None:
            progress(len(data), len(data))
        return written

    def erase(self, start: int, size: int) -> None:
        """Erase whole sectors."""
        with _lost(self.port, f"while erasing 0x{start:06x}"):
            cmds.erase_region(self._esp, start, size)

    def holds(self, start: int, data: bytes) -> bool:
        """Whether the flash has `data` at `start`."""
        return self.digest(start, len(data)) == _md5(data)

    def digest(self, start: int, size: int) -> str:
        """MD5 in hex, computed on the chip."""
        with _lost(self.port, f"while checking 0x{start:06x}"):
            digest: str = self._esp.flash_md5sum(start, size)
            return digest

    def reset(self) -> None:
        """Start what is in the flash; on a port without lines, closing it does."""
        if _has_lines(self.port):
            with _lost(self.port, "at the reset"):
                cmds.reset_chip(self._esp, "hard-reset")


@contextmanager
def connected(port: str, baud: int = DEFAULT_BAUD) -> Iterator[EsptoolLink]:
    """The board on `port` (a device, or a URL of pyserial) in download mode, with esptool's stub.

    Raises BenchError: nothing there or nothing that answers (exit code 2), not an ESP8266.
    """
    EsptoolLogger().set_logger(_LOG)
    with _chip(port) as rom:
        if rom.CHIP_NAME != _CHIP:
            raise BenchError(
                f"this is an {rom.CHIP_NAME}, twoslot runs on the {_CHIP} only", where=port,
                do="connect another board", exit_code=USAGE)
        with _lost(port, "while starting esptool's stub"):
            esp = cmds.run_stub(rom)
            cmds.attach_flash(esp)
            if baud != _ROM_BAUD and _has_lines(port):
                esp.change_baud(baud)
            link = EsptoolLink(port, esp)
        yield link


def _chip(port: str) -> Any:
    """The chip, whatever it is, in download mode."""
    mode = "default-reset" if _has_lines(port) else "no-reset"
    try:
        return cmds.detect_chip(port, _ROM_BAUD, mode)
    except (esptool.FatalError, SerialException, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        there = "://" in port or os.path.exists(port)
        raise BenchError(
            f"no board answers ({reason})" if there else "no such serial port", where=port,
            do="check cable and port, close other programs on it; boards without reset circuit: hold FLASH "
               "(GPIO0) while pressing RST" if there else "check the cable; `ls /dev/tty*` lists the ports",
            exit_code=USAGE) from None


def _has_lines(port: str) -> bool:
    """Whether DTR and RTS get to the board: not over raw TCP, not through a virtual board's pty."""
    return not port.startswith("socket:") and not str(Path(port).resolve()).startswith(_PSEUDO_TERMINALS)


@contextmanager
def _lost(port: str, when: str) -> Iterator[None]:
    """What esptool and the serial port say about a board that is gone, or does not do as it is told."""
    try:
        yield
    except esptool.FatalError as error:
        reason = str(error).splitlines()[0].rstrip(".")
    except (SerialException, OSError) as error:
        reason = f"the port is gone: {error}"
    else:
        return
    raise BenchError(
        f"lost the board {when} ({reason})", where=port, do="check the cable, and run the same command again")


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


class _Log(TemplateLogger):  # type: ignore[misc]
    """What esptool says, for -vv; and its progress, for whoever wants it."""

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
        """Nothing collapses here."""

    def progress_bar(
        self, cur_iter: int, total_iters: int, prefix: str = "", suffix: str = "", bar_length: int = 30,
    ) -> None:
        if self.progress is not None:
            self.progress(cur_iter, total_iters)

    def set_verbosity(self, verbosity: str) -> None:
        """It is the verbosity of slotbench."""


_LOG: Final = _Log()


@contextmanager
def _shown(progress: Progress | None, done: int, length: int, size: int) -> Iterator[None]:
    """Tell of a piece of `length` bytes under way, `done` of `size` before it, while esptool works."""
    if progress is not None:
        _LOG.progress = lambda part, whole: progress(done + length * part // max(whole, 1), size)
    try:
        yield
    finally:
        _LOG.progress = None


def _pieces(start: int, size: int) -> Iterator[tuple[int, int]]:
    """A region in pieces (start, size) that end at multiples of the piece's size."""
    end = start + size
    while start < end:
        length = min(end, (start // _PIECE_BYTES + 1) * _PIECE_BYTES) - start
        yield start, length
        start += length
