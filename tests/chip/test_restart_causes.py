"""Why the chip restarted, on official firmware: what ROM and SDK leave, what slotboot makes of it, what the firmware is told."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from slotbench import boards
from slotbench.formats import rtc
from slotbench.formats.descriptor import ImageForm, SlotDescriptor
from slotbench.formats.journal import JournalCell, SlotState
from slotbench.vboard.chip import Machine
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.lx106.loader import loader_sector
from support.chip.firmware_images import found, missing

PROFILE = boards.load("generic_4m")
PROMPT = '"help()" for more information.\r\n>>> '
HARDWARE_CAUSE = 0x60000714
IMAGE = "MicroPython 1.26.0"
"""1.22.1 and 1.9.4, with an older SDK, passed too."""
SOFTWARE = (("machine.reset()", 4), ("machine.mem32[16]", 2))


class RestartedBoard:
    """An official image in slot A, started by slotboot."""

    def __init__(self, image: bytes) -> None:
        flash = NorFlash(PROFILE.chip_bytes)
        flash.poke(0, loader_sector(PROFILE))
        place = PROFILE.slots[0]
        flash.poke(place.image.start, image)
        flash.poke(place.descriptor.start, SlotDescriptor(
            slot=0, form=ImageForm.E9, counter=1, length=len(image), sha256=hashlib.sha256(image).digest(),
            fs_start=PROFILE.fs_start, product="lamp", version="1", confirmed=True).pack())
        flash.poke(PROFILE.journal.start, JournalCell(
            sequence=1, state_a=SlotState.CONFIRMED, counter_a=1, attempts=3, copies=8).pack())
        self.machine = Machine(flash)
        self.heard = bytearray()
        self.machine.on_uart = self.heard.extend
        self.machine.power_on()
        self.to_prompt()

    def to_prompt(self) -> None:
        assert self.machine.run_until(PROMPT, 60_000_000), self.heard.decode("latin-1")[-400:]

    def restart(self, line: str) -> None:
        """Type a line that ends in a restart."""
        self.machine.uart_write(line.encode() + b"\r\r")
        self.to_prompt()

    def by_hardware(self, cause: int) -> None:
        """A start of this cause: 1 power, 2 reset pin, 4 watchdog, 5 deep sleep."""
        match cause:
            case 1:
                self.machine.power_off()
                self.machine.power_on()
                self.to_prompt()
            case 2:
                self.machine.press_reset()
                self.to_prompt()
            case 4:
                self.restart("import machine; machine.disable_irq()\rwhile True: pass")
            case 5:
                self.restart("import machine, esp; esp.deepsleep(1000)")
        assert self.machine.read_word(HARDWARE_CAUSE) == cause

    def told(self) -> tuple[int, int]:
        """What slotboot left to Python, and what machine.reset_cause() says."""
        tail = rtc.Tail.unpack(self.machine.read(rtc.ADDRESS, rtc.TAIL_BYTES))
        self.heard.clear()
        self.machine.uart_write(b"import machine; print(machine.reset_cause())\r")
        assert self.machine.run_until("\n>>> ", 5_000_000)
        return tail.reset_reason, int(self.heard.split()[-2])


@pytest.fixture(scope="module")
def board(core: Path) -> RestartedBoard:
    if IMAGE not in found():
        pytest.skip(missing(IMAGE))
    return RestartedBoard(found()[IMAGE].read_bytes())


@pytest.mark.parametrize("cause", [1, 2, 4, 5])
def test_each_kind_of_restart_after_each_cause(board: RestartedBoard, cause: int) -> None:
    """A restart by the SDK is a jump to the ROM, which then tells the cause before."""
    board.by_hardware(cause)
    hardware, sdk = board.told()
    assert hardware == {1: 0, 2: 6, 4: 1, 5: 5}[cause]
    # With interrupts off the SDK does not see the watchdog's first stage: nothing tells it of the bite.
    assert sdk == (0 if cause == 4 else hardware)
    for line, reason in SOFTWARE:
        board.restart(f"import machine\r{line}")
        assert board.machine.read_word(HARDWARE_CAUSE) == cause
        assert board.told() == (reason, reason)
    board.by_hardware(2)
    assert board.told() == (6, 6), "what the SDK wrote down before is of the past"


def test_a_bite_that_the_sdk_saw_coming(board: RestartedBoard) -> None:
    """Its handler of the first stage writes the reason down, and the second stage resets the chip."""
    board.by_hardware(2)
    board.restart("import machine; dog = machine.WDT()\rwhile True: pass")
    assert board.machine.read_word(HARDWARE_CAUSE) == 4
    assert board.told() == (1, 1)
