"""A board with an emulated chip that runs live in a thread: control socket, serial port, network, as `board run`."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pytest

from slotbench import boards
from slotbench.flashing.plan import Firmware, factory_writes
from slotbench.images import identify
from slotbench.images.versions import OLDEST
from slotbench.vboard.chip.network import slirp
from slotbench.vboard.chip.network.wire import Wire
from slotbench.vboard.chip.runner import ChipRunner
from slotbench.vboard.clock import Clock
from slotbench.vboard.factory import factory_flash
from slotbench.vboard.live.control_socket import ControlSocket, request_facts
from slotbench.vboard.live.folder import BoardFolder
from slotbench.vboard.serial.uart import Uart
from support.chip.firmware_images import found
from support.chip.started import let_it_have_started

LIMIT_S: Final = 240
_SIZE_4_MB: Final = 0x40
_FS_START: Final = 0x100000
_FS_START_1M: Final = 0x99000
_UNIQUE_ID: Final = b"\x0a\x1b\x2c\x00"


def need_slirp() -> None:
    """Skip, or fail where nothing may be missing, without libslirp."""
    if reason := slirp.missing():
        if os.environ.get("TWOSLOT_REQUIRE_TOOLS"):
            pytest.fail(reason)
        pytest.skip(reason)


def any_micropython() -> bytes:
    """The newest MicroPython here that fits a slot, or the test is skipped."""
    if not (usable := _usable()):
        pytest.skip("no MicroPython firmware that fits a slot is here (TWOSLOT_IMAGES)")
    return usable[0][1]


def recent_micropython(count: int = 1) -> list[bytes]:
    """Firmware that twoslot runs on, newest first, or the test is skipped."""
    usable = [(version, data) for version, data in _usable() if version >= OLDEST]
    if len(usable) < count:
        pytest.skip(f"{len(usable)} of {count} images of MicroPython 1.20 or later are here (TWOSLOT_IMAGES)")
    return [data for _, data in usable[:count]]


def oldest_micropython() -> bytes:
    """The oldest firmware that twoslot is said to run on, with littlefs 2.0, or the test is skipped."""
    usable = [data for version, data in _usable() if version < (1, 22)]
    if not usable:
        pytest.skip("no MicroPython 1.20 or 1.21 is here (TWOSLOT_IMAGES)")
    return usable[-1]


def frozen_micropython(*, with_main: bool = False) -> bytes:
    """Firmware with twoslot frozen, and with a main.py or not, or the test is skipped, in CI too."""
    identified = [(identify(data), data) for data in (path.read_bytes() for path in found().values())]
    usable = [
        data for image, data in identified
        if image.problem is None and image.fs_start == _FS_START and image.has_twoslot
        and image.hides_main is with_main and not image.hides_hook]
    if not usable:
        what = "twoslot and a main.py" if with_main else "twoslot"
        pytest.skip(f"no MicroPython firmware with {what} frozen is here (TWOSLOT_IMAGES)")
    return usable[0]


def flash_1m_micropython() -> bytes:
    """MicroPython's build for 1 MB of flash that twoslot runs on, or the test is skipped."""
    identified = [(identify(data), data) for data in (path.read_bytes() for path in found().values())]
    usable = [
        data for image, data in identified
        if image.problem is None and image.fs_start == _FS_START_1M and _numbers(image.micropython or "0") >= OLDEST]
    if not usable:
        pytest.skip("no FLASH_1M build of MicroPython 1.20 or later is here (TWOSLOT_IMAGES)")
    return usable[0]


def _usable() -> list[tuple[tuple[int, ...], bytes]]:
    """Version and bytes of the images here that MicroPython's default build is, newest first. None of them
    has twoslot in it.
    """
    identified = [(identify(data), data) for data in (path.read_bytes() for path in found().values())]
    return sorted((
        (_numbers(image.micropython or "0"), data) for image, data in identified
        if image.problem is None and image.fs_start == _FS_START and not image.has_twoslot), reverse=True)


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"(\d+)\.(\d+)", version)
    return tuple(map(int, found.groups())) if found else (0, 0)


def plain_folder(path: Path, image: bytes) -> BoardFolder:
    """A board that starts `image` from slot A and has no file."""
    profile = boards.load("generic_4m")
    first = Firmware(data=image, product="lamp", version="1.0", counter=1)
    flash = factory_flash(profile, [(write.offset, write.data) for write in factory_writes(profile, first)])
    flash.poke(profile.filesystem.start, b"\xff" * profile.filesystem.size)
    let_it_have_started(profile, flash, image, _UNIQUE_ID)
    return BoardFolder.create(path, profile.name, flash, {}, unique_id=_UNIQUE_ID)


class ChipBench:
    """The board of `folder`, as fast as it goes.

    `grace_s` is the real time that a peer of the board gets for an answer before the board's time goes on.
    `shown` is its screen, `tty` its pty, `port` its raw TCP, `port_with_lines` its RFC 2217 with DTR and RTS.
    """

    def __init__(self, folder: BoardFolder, *, grace_s: float = 2.0) -> None:
        self.folder = folder
        self.tty = folder.path.with_name("board.tty")
        self.shown = ""
        self._wake, woken = socket.socketpair()
        self._woken = woken
        clock = Clock()
        self.wire = Wire(lambda: clock.us, grace_s=grace_s)
        self.uart = Uart(time.monotonic)
        self.uart.open_pty(self.tty)
        self.uart.open_tcp(0)
        self.uart.open_rfc2217(0)
        self.port, self.port_with_lines = (transport.name for transport in self.uart.transports[1:])
        self._control = ControlSocket(folder.socket_path, woken.fileno(), self.uart.fileno(), self.wire.fileno())
        self.runner = ChipRunner(
            folder, folder.load_flash(clock), self.wire, speed=None, now=time.monotonic, poll=self._control.poll,
            say=self._say, uart=self.uart, places={})
        self._thread = threading.Thread(target=self._run, name="chip", daemon=True)
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None,
    ) -> None:
        self.runner.stop()
        self._wake.send(b"\0")
        self._thread.join(LIMIT_S)
        self._control.close()
        self.uart.close()
        self.wire.close()
        self._wake.close()
        self._woken.close()
        if self._error is not None and error is None:
            raise self._error

    def request_facts(self, **fields: Any) -> tuple[str, dict[str, Any]]:
        """What was printed over it, and the facts of the answer. Raises BenchError as the board does."""
        told: list[str] = []
        facts = request_facts(self.folder.socket_path, fields, told.append)
        return "".join(told), facts

    def until_shown(self, words: str, start: int = 0) -> None:
        """Wait until these words are on the screen, from `start` characters on."""
        event = threading.Event()
        end_s = time.monotonic() + LIMIT_S
        while words not in self.shown[start:]:
            assert time.monotonic() < end_s and self._thread.is_alive(), f"{words!r} not in {self.shown[-2000:]!r}"
            event.wait(0.02)

    def _run(self) -> None:
        try:
            self.runner.run()
        except BaseException as error:
            self._error = error

    def _say(self, text: str) -> None:
        self.shown += text
