"""The netif of the firmware that runs on an emulated chip: found in its memory, and tapped for
frames.

Frames out: a breakpoint at the netif's `linkoutput` copies the pbuf and returns to the caller.
Frames in: at a point where nothing of lwIP is under way, `input` is called with a pbuf in memory
that the real chip lacks.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from typing import Final

from slotbench.vboard.chip.machine import Machine, Registers
from slotbench.vboard.chip.network.slirp import GUEST
from slotbench.vboard.chip.network.wire import Wire

__all__ = ["Netif", "Tap", "find_netif"]

DRAM_START: Final = 0x3FFE8000
DRAM_BYTES: Final = 0x18000

_MASK: Final = bytes([255, 255, 255, 0])
_IRAM: Final = range(0x40100000, 0x40110000)
_FLASH: Final = range(0x40200000, 0x40300000)
_ROM: Final = range(0x40000000, 0x40010000)
_INTR_LOCK: Final = 0x40000F74
"""`ets_intr_lock` of the ROM. A firmware that waits calls it from the loop that runs its tasks,
again and again.
"""
_RETURN: Final = 0x4000FFF4
"""Where a function called by the bench returns to: nothing of the ROM lies there."""
_CALL_BYTES: Final = 3
_SAMPLES: Final = 400
_SAMPLED_SHARE: Final = 0.5
_PC: Final = 16
_PS: Final = 230
_SAR: Final = 3
_INTERRUPT_LEVEL: Final = 0xF
_STACK_ALIGN: Final = 16

_PBUFS: Final = 0x3FFA0000
_PBUF_BYTES: Final = 2048
_PBUF_COUNT: Final = 64
_PBUF_HEAD: Final = struct.Struct("<IIHHBBHI")
"""lwIP's `struct pbuf`: next, payload, tot_len, len, type, flags, ref, and the SDK's own pointer.
"""
_PAYLOAD_AT: Final = 66
"""From the pbuf to the frame: room for headers, and the IP header behind 14 bytes is aligned."""
_FRAME_BYTES_MAX: Final = _PBUF_BYTES - _PAYLOAD_AT
_REF_AT: Final = 14
_HELD: Final = 2
"""References of a pbuf in use: the firmware's, and the bench's, so that the firmware never frees it."""
_FREE: Final = 1
_CHAIN_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Netif:
    """A netif: its address, and those of its functions `input` and `linkoutput`."""

    address: int
    input: int
    linkoutput: int


def find_netif(dram: bytes, start: int = DRAM_START) -> Netif | None:
    """The netif for 192.168.4.1 in the chip's data memory, which begins at address `start`; else
    None.

    A netif is `next`, ip, mask, gateway, and the functions `input`, `output`, `linkoutput`.
    """
    pattern = GUEST.packed + _MASK + GUEST.packed
    at = dram.find(pattern)
    while at >= 0:
        if at % 4 == 0 and at >= 4 and at + 24 <= len(dram):
            next_netif, *_, receive, output, send = struct.unpack_from("<I12xIII", dram, at - 4)
            if _is_data(next_netif) and all(map(_is_code, (receive, output, send))):
                return Netif(start + at - 4, receive, send)
        at = dram.find(pattern, at + 1)
    return None


class Tap:
    """The frames between a machine's firmware and a wire.

    Call `deliver_frames` now and then, and `reset` at every start of the chip. `handle_breakpoint` gets
    every stop at a breakpoint and says whether it was one of the tap's. `netif` is None until one is
    found. `sent`, `received` and `dropped` count frames; a frame is dropped when it is too long, or when
    the firmware holds every pbuf.
    """

    def __init__(self, machine: Machine, wire: Wire) -> None:
        self.netif: Netif | None = None
        self.sent = self.received = self.dropped = 0
        self._machine = machine
        self._wire = wire
        self._callers: Counter[int] = Counter()
        self._safe: int | None = None
        self._is_armed = False
        self._before: Registers | None = None
        self._next_pbuf = 0
        machine.map_scratch()

    def reset(self) -> None:
        """The chip starts anew: nothing is known of what runs on it."""
        for address in self._breakpoints():
            self._machine.clear_breakpoint(address)
        self.netif = self._safe = self._before = None
        self._is_armed = False
        self._callers.clear()
        self._next_pbuf = 0
        for number in range(_PBUF_COUNT):
            self._machine.write(
                _PBUFS + number * _PBUF_BYTES, bytes(_REF_AT) + _FREE.to_bytes(2, "little"))

    @property
    def is_ready(self) -> bool:
        """Whether frames go both ways."""
        return self._safe is not None

    @property
    def safe_point(self) -> int | None:
        """Where nothing of lwIP is under way: in the loop that runs the firmware's tasks."""
        return self._safe

    def deliver_frames(self) -> None:
        """Find the netif, and let frames that have arrived in."""
        if self.netif is None:
            self.netif = find_netif(self._machine.read(DRAM_START, DRAM_BYTES))
            if self.netif is not None:
                self._machine.set_breakpoint(self.netif.linkoutput)
                self._machine.set_breakpoint(_INTR_LOCK)
        elif self._safe is not None:
            self._arm(self._before is None and self._has_frame())

    def handle_breakpoint(self, pc: int) -> bool:
        """A breakpoint was reached; whether it is dealt with here."""
        if self.netif is None:
            return False
        if pc == self.netif.linkoutput:
            self._take_frame()
        elif pc == _RETURN and self._before is not None:
            self._return()
        elif pc == self._safe and self._is_armed:
            self._give_frame()
        elif pc == _INTR_LOCK and self._safe is None:
            self._sample()
        else:
            return False
        return True

    def _breakpoints(self) -> list[int]:
        if self.netif is None:
            return []
        return [self.netif.linkoutput, *([_INTR_LOCK] if self._safe is None else [self._safe, _RETURN])]

    def _sample(self) -> None:
        """Who waits: the caller that locks interrupts far more often than others is the loop that
        runs tasks.

        There no task is under way, and so nothing of lwIP.
        """
        registers = self._machine.registers()
        if registers.ps & _INTERRUPT_LEVEL:
            return
        self._callers[registers.a[0]] += 1
        if self._callers.total() < _SAMPLES:
            return
        caller, count = self._callers.most_common(1)[0]
        if count < self._callers.total() * _SAMPLED_SHARE:
            self._callers.clear()
            return
        self._machine.clear_breakpoint(_INTR_LOCK)
        self._machine.set_breakpoint(_RETURN)
        self._safe = caller - _CALL_BYTES

    def _arm(self, on: bool) -> None:
        """Stop at the safe point only while there is something to give."""
        if self._safe is not None and on is not self._is_armed:
            change = self._machine.set_breakpoint if on else self._machine.clear_breakpoint
            change(self._safe)
            self._is_armed = on

    def _has_frame(self) -> bool:
        return self._wire.has_arrived

    def _take_frame(self) -> None:
        """`linkoutput(netif, pbuf)` is called: copy the frame, and return 0."""
        registers = self._machine.registers()
        frame, address = b"", registers.a[3]
        for _ in range(_CHAIN_MAX):
            following, payload, total, length = struct.unpack("<IIHH", self._machine.read(address, 12))
            frame += self._machine.read(payload, length)
            if length >= total or not following:
                break
            address = following
        self._machine.set_register(2, 0)
        self._machine.set_register(_PC, registers.a[0])
        self.sent += 1
        self._wire.send(frame)

    def _give_frame(self) -> None:
        """Call `input(pbuf, netif)` from here."""
        assert self.netif is not None
        frame = self._wire.receive()
        if frame is None or len(frame) > _FRAME_BYTES_MAX or (pbuf := self._place(frame)) is None:
            self.dropped += frame is not None
            self._arm(self._has_frame())
            return
        before = self._machine.registers()
        self._before = before
        self._arm(False)
        self._machine.set_register(0, _RETURN)
        self._machine.set_register(1, (before.a[1] & -_STACK_ALIGN) - _STACK_ALIGN)
        self._machine.set_register(2, pbuf)
        self._machine.set_register(3, self.netif.address)
        self._machine.set_register(_PC, self.netif.input)
        self.received += 1

    def _return(self) -> None:
        """`input` is back: go on where the firmware was."""
        before, self._before = self._before, None
        assert before is not None
        for number, value in enumerate(before.a):
            self._machine.set_register(number, value)
        self._machine.set_special(_SAR, before.sar)
        self._machine.set_special(_PS, before.ps)
        self._machine.set_register(_PC, before.pc)
        self._arm(self._has_frame())

    def _place(self, frame: bytes) -> int | None:
        """The address of a pbuf with this frame; None when the firmware holds all there are."""
        for _ in range(_PBUF_COUNT):
            address = _PBUFS + self._next_pbuf * _PBUF_BYTES
            self._next_pbuf = (self._next_pbuf + 1) % _PBUF_COUNT
            if self._references(address) <= _FREE:
                self._free_next(address)
                head = _PBUF_HEAD.pack(0, address + _PAYLOAD_AT, len(frame), len(frame), 0, 0, _HELD, 0)
                self._machine.write(address, head.ljust(_PAYLOAD_AT, b"\0") + frame)
                return address
        return None

    def _references(self, pbuf: int) -> int:
        return int.from_bytes(self._machine.read(pbuf + _REF_AT, 2), "little")

    def _free_next(self, pbuf: int) -> None:
        """Give up the reference of a freed pbuf to the next in its chain: the firmware's `pbuf_free` stops
        at a pbuf that the bench holds too.
        """
        following = int.from_bytes(self._machine.read(pbuf, 4), "little")
        if _PBUFS <= following < _PBUFS + _PBUF_COUNT * _PBUF_BYTES:
            references = max(_FREE, self._references(following) - 1)
            self._machine.write(following + _REF_AT, references.to_bytes(2, "little"))


def _is_code(address: int) -> bool:
    return any(address in region for region in (_IRAM, _FLASH, _ROM))


def _is_data(address: int) -> bool:
    return address == 0 or DRAM_START <= address < DRAM_START + DRAM_BYTES
