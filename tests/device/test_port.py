"""twoslot.port: chip_size is raised around one flash call only, and errors of the chip become codes."""

from __future__ import annotations

from typing import Any

import pytest

from slotbench.formats.rtc import Tail, Why
from slotbench.vboard.chip import Chip
from slotbench.vboard.cuts import Cut, CutMode
from slotbench.vboard.flash import SECTOR
from slotbench.vboard.signals import ChipReset, PowerCut
from slotbench.vboard.vm import CPythonVM
from support.device_board import BOARD, DeviceBoard, firmware, refusal

SLOT = BOARD.slots[1].image.start
USUAL = BOARD.visible_bytes


@pytest.fixture
def port(vm: CPythonVM) -> Any:
    return vm.import_("twoslot.port").Port(BOARD.chip_bytes)


class Watch:
    """Notes chip_size at each flash call and after it."""

    def __init__(self, chip: Chip, monkeypatch: pytest.MonkeyPatch) -> None:
        self.during: list[int] = []
        for name in ("flash_read", "flash_write", "flash_erase"):
            call = getattr(chip, name)

            def noted(*arguments: Any, call: Any = call) -> Any:
                self.during.append(chip.chip_size)
                return call(*arguments)

            monkeypatch.setattr(chip, name, noted)


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
    watch = Watch(board.chip, monkeypatch)
    CALLS[call](port, addr)

    assert watch.during == [size]
    assert board.chip.chip_size == USUAL


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("above", [0, 4 * SECTOR])
def test_a_call_that_fails_puts_chip_size_back_too(
    board: DeviceBoard, vm: CPythonVM, port: Any, call: str, above: int,
) -> None:
    with refusal(vm, "FlashError", 62, 5):
        CALLS[call](port, BOARD.chip_bytes + above)
    assert board.chip.chip_size == USUAL


def test_a_program_error_puts_chip_size_back_too(board: DeviceBoard, port: Any) -> None:
    with pytest.raises(ValueError):
        port.write(SLOT, bytearray(3))
    assert board.chip.chip_size == USUAL


@pytest.mark.parametrize("call", ["write", "erase"])
def test_nothing_reaches_the_flash_after_a_cut(board: DeviceBoard, port: Any, call: str) -> None:
    board.flash.arm(Cut(board.flash.operations, CutMode.BEFORE))
    before = board.flash.peek(SLOT, SECTOR)
    with pytest.raises(PowerCut):
        CALLS[call](port, SLOT)
    assert board.flash.peek(SLOT, SECTOR) == before


def test_the_sdks_own_saves_hit_no_slot_nor_the_journal(board: DeviceBoard, port: Any) -> None:
    """It computes their place from chip_size, which is raised while it saves: in every call here."""
    board.chip.sdk_save_every = 1
    board.put_slot(1, firmware(2), counter=6)
    keep = [BOARD.journal, BOARD.window_log, BOARD.window, BOARD.filesystem, BOARD.loader, BOARD.identity]
    keep += [region for slot in BOARD.slots for region in (slot.table, slot.descriptor)]
    before = [board.flash.peek(region.start, region.size) for region in keep]
    spare = board.flash.peek(SLOT, BOARD.slot_bytes)
    for addr in (SLOT, BOARD.slots[0].image.start, BOARD.slots[1].image.end - SECTOR):
        port.erase(addr)
        port.write(addr, bytearray(64))
    board.flash.poke(SLOT, spare)

    assert board.chip.saves > 4
    assert [board.flash.peek(region.start, region.size) for region in keep] == before
    sdk = {op.addr for op in board.flash.log or [] if op.actor == "sdk"}
    assert sdk and not any(addr in slot.image for addr in sdk for slot in BOARD.slots)


def test_a_chip_smaller_than_its_map_is_refused(board: DeviceBoard, vm: CPythonVM) -> None:
    board.chip.flash_id = 21 << 16 | 0x40EF
    with refusal(vm, "FlashError", 66, 0x200000):
        vm.import_("twoslot.port").Port(0x400000)
    board.chip.flash_id = 23 << 16 | 0x40EF
    assert vm.import_("twoslot.port").Port(0x400000).chip_bytes == 0x400000, "a larger chip will do"


# The loader's word.


@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize("why", Why)
def test_the_tail_is_what_the_loader_left(board: DeviceBoard, slot: int, why: Why) -> None:
    vm = board.start(slot, why, trial=why == Why.TRIAL, left=2, counter=0x80000001, reason=6, note=5)
    tail = vm.import_("twoslot.port").Port(BOARD.chip_bytes).tail()

    assert (tail.slot, tail.why, tail.trial, tail.attempts_left) == (slot, why, why == Why.TRIAL, 2)
    assert (tail.reason, tail.note) == (6, 5)


def test_a_tail_with_any_bit_wrong_is_none(board: DeviceBoard, port: Any) -> None:
    raw = Tail(slot=1, trial=True, attempts_left=2, why=Why.TRIAL, counter=6, reset_reason=4).pack()
    for byte in range(24):
        broken = bytearray(raw)
        broken[byte] ^= 0x20
        board.leave_tail(bytes(broken))
        assert port.tail() is None, f"byte {byte} does not matter"
    for noise in (bytes(32), b"\xff" * 32, b"2SR1" + bytes(28)):
        board.leave_tail(noise)
        assert port.tail() is None


def test_the_note_is_not_sealed(board: DeviceBoard, port: Any) -> None:
    """It is written after the seal: by the hook, and by confirm."""
    port.note(10)

    assert board.tail().note == 10
    assert port.tail().note == 10


def test_user_memory_up_to_its_limit_leaves_the_tail_alone(vm: CPythonVM, port: Any) -> None:
    vm.exec("import machine\nmachine.RTC().memory(bytes(460))")
    assert port.tail() is not None
    vm.exec("machine.RTC().memory(bytes(461))")
    assert port.tail() is None, "the limit of FORMATS 4 is not the real one"


# Time, chance, identity, reset.


def test_the_clock_is_0_until_it_was_set(vm: CPythonVM, port: Any) -> None:
    assert port.now() == 0
    vm.exec("import machine\nmachine.RTC().datetime((2018, 12, 1, 0, 0, 0, 0, 0))")
    assert port.now() == 0, "a clock before 2019 was never set"
    vm.exec("machine.RTC().datetime((2026, 9, 21, 0, 12, 13, 20, 0))")
    assert abs(port.now() - 1_789_992_800) <= 1


def test_ticks_since_and_sleep(board: DeviceBoard, port: Any) -> None:
    start = port.ticks()
    port.sleep_ms(1234)
    assert 1234 <= port.since(start) <= 1236

    board.chip.clock.us = board.chip.boot_us + ((1 << 30) - 100) * 1000
    start = port.ticks()
    port.sleep_ms(300)
    assert 300 <= port.since(start) <= 302, "a wrap of the ticks"


@pytest.mark.parametrize("below", [1, 2, 1000, 30000, 65536])
def test_random_stays_below_and_reaches_everywhere(port: Any, below: int) -> None:
    drawn = [port.random(below) for _ in range(2000)]

    assert 0 <= min(drawn) and max(drawn) < below
    assert max(drawn) >= 0.98 * (below - 1) and min(drawn) <= 0.02 * below


def test_the_device_id_is_the_chips_in_hex(board: DeviceBoard, port: Any) -> None:
    assert port.device_id() == board.chip.unique_id.hex() == "4a7e1c00"


def test_reset_goes_through_the_loader(port: Any) -> None:
    with pytest.raises(ChipReset) as reset:
        port.reset()
    assert reset.value.reason == 4
