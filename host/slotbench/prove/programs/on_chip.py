"""Runs programs on an emulated chip with a firmware: one start, a soft reset before each program."""

from __future__ import annotations

from typing import Final

from slotbench.boards import BoardProfile
from slotbench.errors import BenchError
from slotbench.flashing.plan import Firmware, factory_writes
from slotbench.prove.programs.program import Bench, Program
from slotbench.vboard.chip.board import ChipBoard
from slotbench.vboard.chip.network.wire import Wire
from slotbench.vboard.clock import Clock
from slotbench.vboard.factory import factory_flash
from slotbench.vboard.states import BoardState

__all__ = ["ChipPrograms"]

_START_S: Final = 60.0
_PROMPT: Final = b">>> "
_RAW: Final = b"raw REPL; CTRL-B to exit\r\n>"
_END: Final = b"\x04>"
_OK: Final = "OK"
_STEP_US: Final = 20_000
_CHUNK: Final = 64
_CHUNK_US: Final = 6_000


class ChipPrograms:
    """A board of `profile` that runs `image`, with a prompt. `server` is the port of the programs' server, 0
    without a network.

    Raises BenchError when it does not come to a prompt.
    """

    def __init__(self, profile: BoardProfile, image: bytes, *, server: int = 0) -> None:
        firmware = Firmware(data=image, product="programs", version="1.0", counter=1)
        writes = [(write.offset, write.data) for write in factory_writes(profile, firmware)]
        flash = factory_flash(profile, writes, log=False)
        flash.poke(profile.filesystem.start, b"\xff" * profile.filesystem.size)
        flash.clock = Clock()
        self._server = server
        self._wire = Wire(lambda: flash.clock.us) if server else None
        self._heard = bytearray()
        self._uart1 = bytearray()
        self._board = ChipBoard(
            profile, flash, wire=self._wire, patient=True, on_text=self._heard.extend, connected=bool(server))
        self._board.machine.on_uart1 = self._uart1.extend
        self._board.power_on()
        if not self._wait(_PROMPT, _START_S):
            raise BenchError("the firmware does not come to a prompt", where=self._said()[-200:])
        if server:
            # The filesystem is there now: the next start finds the bench's network in it.
            self._start()

    def close(self) -> None:
        """Take the board and its wire away."""
        if self._board.state is not BoardState.OFF:
            self._board.power_off()
        if self._wire is not None:
            self._wire.close()

    def run(self, program: Program) -> tuple[str, str]:
        """Run a program; what it printed, and what the bench saw of it."""
        self._soft_reset()
        pins = self._board.machine.pins
        parts = {part.name: part for part in program.parts()} if program.parts is not None else {}
        for part in parts.values():
            pins.attach(part)
        bench = Bench(pins, parts, self._uart1, self._server)
        self._uart1.clear()
        if program.prepare is not None:
            program.prepare(bench)
        try:
            printed = self._type(program.source, program)
            if program.then:
                self._wait_for_prompt(program.limit_s)
                printed = self._type(program.then, program)
            return printed, program.evidence(bench) if program.evidence is not None else ""
        finally:
            pins.detach_all()

    def what_is_wrong(self, program: Program) -> str:
        """Run a program; how it differs from what it must do, empty when it does not."""
        printed, seen = self.run(program)
        wanted = program.prints.replace("SERVER", str(self._server))
        if printed.strip() != wanted.strip():
            return f"prints {printed.strip()!r}, not {wanted.strip()!r}"
        return "" if seen == program.seen else f"the bench saw {seen!r}, not {program.seen!r}"

    def _start(self) -> None:
        self._heard.clear()
        self._board.reset()
        if not self._wait(_PROMPT, _START_S):
            raise BenchError("the firmware does not come to a prompt", where=self._said()[-200:])

    def _soft_reset(self) -> None:
        """A clean heap; where the last program hangs, a reset."""
        for _ in range(2):
            self._heard.clear()
            self._board.send_bytes(b"\r\x03\x03\x01")
            if self._wait(_RAW, 5):
                self._heard.clear()
                self._board.send_bytes(b"\x04")
                if self._wait(_RAW, 5):
                    return
            self._start()
        raise BenchError("the board comes to no prompt any more", where=self._said()[-200:])

    def _wait_for_prompt(self, limit_s: float) -> None:
        """After a restart, or a soft reset in raw mode, back to the raw prompt."""
        self._wait(_PROMPT, limit_s) or self._heard.endswith(b">")
        self._heard.clear()
        self._board.send_bytes(b"\x01")
        self._wait(_RAW, 5)

    def _type(self, source: str, program: Program) -> str:
        """Run a source in the raw REPL; what it printed, errors too."""
        self._heard.clear()
        data = source.replace("SERVER", str(self._server)).encode()
        for at in range(0, len(data), _CHUNK):
            self._board.send_bytes(data[at : at + _CHUNK])
            self._board.run(self._board.us + _CHUNK_US)
        self._board.send_bytes(b"\x04")
        ended = self._wait((_END, _PROMPT, _RAW), program.limit_s)
        printed = self._said().partition(_OK)[2]
        return printed.replace("\x04", "").removesuffix(">") if ended else f"{printed}(no end)"

    def _wait(self, wanted: bytes | tuple[bytes, ...], limit_s: float) -> bool:
        end_us = self._board.us + round(limit_s * 1e6)
        wanted = (wanted,) if isinstance(wanted, bytes) else wanted
        while not any(text in self._heard for text in wanted):
            if self._board.us >= end_us or self._board.state is BoardState.OFF:
                return False
            self._board.run(min(end_us, self._board.us + _STEP_US))
        return True

    def _said(self) -> str:
        return self._heard.decode("utf-8", "replace").replace("\r\n", "\n")
