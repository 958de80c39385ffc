"""Frames that reach an emulated chip whose firmware has no room for them."""

from __future__ import annotations

from pathlib import Path

from slotbench.vboard.chip.machine import Machine
from slotbench.vboard.chip.network.netif import Netif, Tap
from slotbench.vboard.flash.nor import NorFlash

SAFE = 0x40100100
PBUFS, PBUF_BYTES, PBUF_COUNT, REFERENCES_AT = 0x3FFA0000, 2048, 64, 14


class ArrivedFrames:
    """The end of a wire at which these frames have arrived."""

    def __init__(self, *frames: bytes) -> None:
        self._frames = list(frames)

    @property
    def has_arrived(self) -> bool:
        return bool(self._frames)

    def receive(self) -> bytes | None:
        return self._frames.pop(0) if self._frames else None


def test_a_frame_without_a_buffer_is_counted(core: Path) -> None:
    machine = Machine(NorFlash(0x80000, log=False))
    tap = Tap(machine, ArrivedFrames(bytes(60), bytes(4000), bytes(60)))  # type: ignore[arg-type]
    tap.reset()
    tap.netif, tap._safe = Netif(0x3FFF0000, 0x40200000, 0x40200100), SAFE
    tap.deliver_frames()
    assert tap.handle_breakpoint(SAFE) and (tap.received, tap.dropped) == (1, 0)
    assert tap.handle_breakpoint(0x4000FFF4)
    assert tap.handle_breakpoint(SAFE) and (tap.received, tap.dropped) == (1, 1), "too long"
    for number in range(PBUF_COUNT):
        machine.write(PBUFS + number * PBUF_BYTES + REFERENCES_AT, b"\x02\x00")
    assert tap.handle_breakpoint(SAFE) and (tap.received, tap.dropped) == (1, 2), "the firmware holds all"
    assert not tap.handle_breakpoint(SAFE), "nothing has arrived any more"
