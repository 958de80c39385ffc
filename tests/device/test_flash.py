"""twoslot.flash: chip_size is raised around one flash call only, and errors of the chip become codes."""

from __future__ import annotations

from typing import Any

import pytest

from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.flash.nor import SECTOR
from slotbench.vboard.signals import PowerCut
from slotbench.vboard.soc import Soc
from slotbench.vboard.vm import CPythonVM
from support.device.board import BOARD, DeviceBoard, firmware, refusal

SLOT = BOARD.slots[1].image.start
USUAL = BOARD.visible_bytes


@pytest.fixture
def port(vm: CPythonVM) -> Any:
    return vm.import_("twoslot.flash").Flash()


class ChipSizeWatch:
    """Notes chip_size at each flash call and after it."""

    def __init__(self, soc: Soc, monkeypatch: pytest.MonkeyPatch) -> None:
        self.during: list[int] = []
        for name in ("flash_read", "flash_write", "flash_erase"):
            call = getattr(soc, name)

            def noted(*arguments: Any, call: Any = call) -> Any:
                self.during.append(soc.chip_size)
                return call(*arguments)

            monkeypatch.setattr(soc, name, noted)


CALLS = {
    "read": lambda port, addr: port.read(addr, bytearray(256)),
    "write": lambda port, addr: port.write(addr, bytearray(256)),
    "erase": lambda port, addr: port.erase(addr),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("addr", "size"),
    [
        (0x1000, USUAL), (USUAL - SECTOR, USUAL), (USUAL, BOARD.chip_bytes), (SLOT, BOARD.chip_bytes),
        (BOARD.chip_bytes - SECTOR, BOARD.chip_bytes),
    ],
    ids=["journal", "last visible", "first above", "slot", "last"])
def test_chip_size_is_raised_only_where_it_must_be_and_put_back(
    board: DeviceBoard, port: Any, monkeypatch: pytest.MonkeyPatch, call: str, addr: int, size: int,
) -> None:
    watch = ChipSizeWatch(board.soc, monkeypatch)
    CALLS[call](port, addr)

    assert watch.during == [size]
    assert board.soc.chip_size == USUAL


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("above", [0, 4 * SECTOR])
def test_a_call_that_fails_puts_chip_size_back_too(
    board: DeviceBoard, vm: CPythonVM, port: Any, call: str, above: int,
) -> None:
    with refusal(vm, "FlashError", 62, 5):
        CALLS[call](port, BOARD.chip_bytes + above)
    assert board.soc.chip_size == USUAL


def test_a_program_error_puts_chip_size_back_too(board: DeviceBoard, port: Any) -> None:
    with pytest.raises(ValueError):
        port.write(SLOT, bytearray(3))
    assert board.soc.chip_size == USUAL


@pytest.mark.parametrize("call", ["write", "erase"])
def test_nothing_reaches_the_flash_after_a_cut(board: DeviceBoard, port: Any, call: str) -> None:
    board.flash.arm(Cut(board.flash.operations, CutMode.BEFORE))
    before = board.flash.peek(SLOT, SECTOR)
    with pytest.raises(PowerCut):
        CALLS[call](port, SLOT)
    assert board.flash.peek(SLOT, SECTOR) == before


def test_the_sdks_own_saves_hit_no_slot_nor_the_journal(board: DeviceBoard, port: Any) -> None:
    """It computes their place from chip_size, which is raised while it saves: in every call here."""
    board.soc.sdk_save_every = 1
    board.put_slot(1, firmware(2), counter=6)
    keep = [BOARD.journal, BOARD.window_log, BOARD.window, BOARD.filesystem, BOARD.loader, BOARD.identity]
    keep += [region for slot in BOARD.slots for region in (slot.table, slot.descriptor)]
    before = [board.flash.peek(region.start, region.size) for region in keep]
    spare = board.flash.peek(SLOT, BOARD.slot_bytes)
    for addr in (SLOT, BOARD.slots[0].image.start, BOARD.slots[1].image.end - SECTOR):
        port.erase(addr)
        port.write(addr, bytearray(64))
    board.flash.poke(SLOT, spare)

    assert board.soc.saves > 4
    assert [board.flash.peek(region.start, region.size) for region in keep] == before
    sdk = {op.addr for op in board.flash.log or [] if op.actor == "sdk"}
    assert sdk and not any(addr in slot.image for addr in sdk for slot in BOARD.slots)


@pytest.mark.parametrize("log2", [19, 20, 21, 22, 23, 24])
def test_the_size_is_the_chips_own(board: DeviceBoard, vm: CPythonVM, log2: int) -> None:
    """Not what an image's header or the ROM says, which a clone of a module has wrong."""
    board.soc.flash_id = log2 << 16 | 0x40EF

    assert vm.import_("twoslot.flash").Flash().size == 1 << log2
