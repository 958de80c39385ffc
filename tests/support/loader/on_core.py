"""The loader on the emulated chip: our ROM starts it, the core in C runs it; one boot, held against the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from slotbench.boards import BoardProfile
from slotbench.vboard.chip import Machine, Stop, StopReason
from slotbench.vboard.flash.nor import FlashOperation, NorFlash
from slotbench.vboard.loader.model import BootResult, LoaderModel, NothingBoots
from slotbench.vboard.soc import CHIP_SIZE_WORD, RTC_BASE, RTC_BYTES, Soc
from support.loader.bench import chip_with, same_flash

_CAUSE: Final = 0x60000714
_ENTRY_WORD: Final = 4
"""Of the image at flash offset 0."""
_START_US: Final = 1_000_000
_LIMIT_US: Final = 25_000_000
"""A loader that starts nothing is then in its first wait."""


class CoreBoot:
    """One boot of the loader in sector 0 of the chip's flash, up to a jump to `entry`.

    The chip's flash, RTC memory and `chip_size` are what it left. Raises PowerCut where the flash does.
    """

    def __init__(self, soc: Soc, entry: int | None) -> None:
        self.machine = machine = Machine(soc.flash)
        printed = bytearray()
        machine.on_uart = printed.extend
        machine.power_on()
        loader = int.from_bytes(soc.flash.peek(_ENTRY_WORD, 4), "little")
        machine.set_breakpoint(loader)
        assert machine.run_us(_START_US).reason is StopReason.BREAKPOINT, "the ROM loads the loader and enters it"
        machine.clear_breakpoint(loader)
        machine.write(RTC_BASE, bytes(soc.rtc))
        machine.write_word(_CAUSE, soc.hardware_cause)
        machine.stop_on(StopReason.EXCEPTION)
        if entry is not None:
            machine.set_breakpoint(entry)
        printed.clear()
        self.stop: Stop = machine.run_us(_LIMIT_US)
        self.console = tuple(printed.decode("ascii").replace("\r", "").split("\n")[:-1])
        soc.rtc[:] = machine.read(RTC_BASE, RTC_BYTES)
        soc.chip_size = machine.read_word(CHIP_SIZE_WORD)


def core_as_model(board: BoardProfile, flash: NorFlash, *, seed: int = 0, **start: Any) -> NorFlash:
    """One boot on the core and one of the model: what starts, operations, flash and RTC memory must be equal.

    Returns the flash that they left. The ROM programs 32 bytes at a time, the model all it is asked for.
    """
    soc, twin = (chip_with(flash.clone(), seed=seed, **start) for _ in range(2))
    expected = LoaderModel(twin, board).boot(rounds=1)
    entry = expected.entry if isinstance(expected, BootResult) else None
    booted = CoreBoot(soc, entry)
    assert same_flash(soc.flash, twin.flash)
    assert _stretches(soc.flash.log) == _stretches(twin.flash.log)
    assert bytes(soc.rtc) == bytes(twin.rtc)
    assert booted.console == expected.console
    counters = booted.machine.counters()
    assert counters.flash_busy == counters.flash_unlatched == 0
    if isinstance(expected, NothingBoots):
        assert booted.stop.reason is StopReason.LIMIT, booted.stop
        return soc.flash
    assert (booted.stop.reason, booted.stop.pc) == (StopReason.BREAKPOINT, expected.entry), booted.stop
    assert soc.chip_size == board.visible_bytes
    for address, content in expected.segments:
        assert booted.machine.read(address, len(content)) == content
    return soc.flash


def _stretches(log: Sequence[FlashOperation] | None) -> list[tuple[str, int, int]]:
    """(kind, start, end) of the operations; programs one behind the other are one."""
    assert log is not None
    found: list[tuple[str, int, int]] = []
    for it in log:
        start = it.addr
        if it.kind == "program" and found and found[-1][0] == "program" and found[-1][2] == start:
            start = found.pop()[1]
        found.append((it.kind, start, it.addr + it.length))
    return found
