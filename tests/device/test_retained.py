"""twoslot.boot.control: the loader's words in RTC memory are accepted when sealed, and are not changed."""

from __future__ import annotations

import hashlib

import pytest

from slotbench.formats.rtc import BootReason, Tail
from slotbench.vboard.vm import CPythonVM
from support.device.board import DeviceBoard, refusal
from support.device.control import loaders_word, on_trial, open_control


@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize("why", BootReason)
def test_it_is_what_the_loader_left(board: DeviceBoard, slot: int, why: BootReason) -> None:
    vm = board.start(slot, why, trial=why == BootReason.TRIAL, left=2, counter=0x80000001, reason=6, note=5)
    word = loaders_word(vm)

    assert word is not None and word[:8] == b"2SR2" + bytes([slot, why == BootReason.TRIAL, 2, why])
    assert (word[12], word[24]) == (6, 5)


def test_a_wrong_bit_invalidates_the_tail(board: DeviceBoard, vm: CPythonVM) -> None:
    raw = Tail(slot=1, trial=True, attempts_left=2, why=BootReason.TRIAL, counter=6, reset_reason=4).pack()
    for byte in range(24):
        broken = bytearray(raw)
        broken[byte] ^= 0x20
        board.leave_tail(bytes(broken))
        assert loaders_word(vm) is None, f"byte {byte} does not matter"
    for noise in (bytes(32), b"\xff" * 32, b"2SR2" + bytes(28)):
        board.leave_tail(noise)
        assert loaders_word(vm) is None


def test_an_impossible_slot_is_refused_although_sealed(board: DeviceBoard, vm: CPythonVM) -> None:
    word = Tail(slot=1, trial=False, attempts_left=0, why=BootReason.ORDINARY, counter=6, reset_reason=0)
    raw = bytearray(word.pack())
    raw[4] = 2
    raw[16:24] = hashlib.sha256(raw[:16]).digest()[:8]
    board.leave_tail(bytes(raw))

    assert loaders_word(vm) is None


def test_without_it_nothing_is_concluded(board: DeviceBoard, vm: CPythonVM) -> None:
    """Under the plain firmware of a board that has no loader."""
    board.leave_tail(bytes(32))
    board.flash.reset_counters()

    with refusal(vm, "FlashError", 64, 0):
        open_control(vm)
    assert board.operations() == []


def test_the_note_is_not_sealed(board: DeviceBoard) -> None:
    """It is written after the seal: by the hook, and by confirm."""
    vm = on_trial(board)
    open_control(vm).confirm()

    word = loaders_word(vm)
    assert board.tail().note == 10
    assert word is not None and word[24] == 10


def test_user_memory_up_to_its_limit_leaves_it_alone(vm: CPythonVM) -> None:
    vm.exec("import machine\nmachine.mem32[0x600013D8] = machine.mem32[0x600013DC] = 0x7A7A7A7A")
    vm.exec("machine.RTC().memory(bytes(452))")
    assert loaders_word(vm) is not None
    assert vm.eval("machine.mem32[0x600013D8], machine.mem32[0x600013DC]") == (0x7A7A7A7A, 0x7A7A7A7A)
    vm.exec("machine.RTC().memory(bytes(453))")
    assert vm.eval("machine.mem32[0x600013D8]") != 0x7A7A7A7A, "the limit of FORMATS, RTC tail is not the real one"
