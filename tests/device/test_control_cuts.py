"""twoslot.boot.control: a power cut at each of its flash operations, in each mode, loses nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from slotbench.formats.journal import SlotState
from slotbench.formats.rtc import BootReason
from slotbench.vboard.flash.cuts import EVERY_MODE, Cut, CutMode
from slotbench.vboard.signals import PowerCut
from support.device.board import BOARD, DeviceBoard, firmware, trial_cell
from support.device.control import activate, open_control
from support.device.decision import first

BEFORE_IMAGES = BOARD.slots[0].image.start
Act = Callable[[], object]


def cut_everywhere(
    board: DeviceBoard, operations: int, prepare: Callable[[], Act], check: Callable[[Cut], None],
) -> None:
    """Cut what `prepare` returns at each of its `operations`, in each mode; then `check`."""
    flash = board.flash
    before = flash.peek(0, BEFORE_IMAGES)
    act = prepare()
    flash.reset_counters()
    act()
    assert len(board.operations()) == operations, "not all operations are cut"
    for operation in range(operations):
        for mode in (*EVERY_MODE, CutMode.WEAK):
            for seed in range(4):
                cut = Cut(operation, mode, seed)
                flash.weak.clear()
                flash.poke(0, before)
                act = prepare()
                flash.reset_counters()
                flash.arm(cut)
                with pytest.raises(PowerCut):
                    act()
                flash.power_on()
                check(cut)


def test_a_cut_while_invalidating_never_leaves_a_cell_without_its_descriptor(board: DeviceBoard) -> None:
    board.put_slot(1, firmware(3), counter=4, confirmed=True)
    board.clear_journal()
    board.put_cell(0, trial_cell(active=0, state_b=SlotState.CONFIRMED, counter_b=4))

    def prepare() -> Act:
        control = open_control(board.start())
        return lambda: control.invalidate_spare()

    def check(cut: Cut) -> None:
        whole = board.descriptor(1) is not None
        assert whole or board.newest().state_b == SlotState.EMPTY, f"after cut {cut}"
        open_control(board.start()).invalidate_spare()
        assert board.newest().state_b == SlotState.EMPTY and board.descriptor(1) is None, f"after cut {cut}"

    cut_everywhere(board, 2, prepare, check)


def test_a_cut_while_activating_leaves_a_ready_slot_or_an_empty_one(board: DeviceBoard) -> None:

    def prepare() -> Act:
        vm = board.start()
        control = open_control(vm)
        control.invalidate_spare()
        return lambda: activate(vm, control)

    def check(cut: Cut) -> None:
        if board.newest().active == 1:
            assert board.descriptor(1) is not None, f"after cut {cut} the cell names no descriptor"
            return
        vm = board.start()
        control = open_control(vm)
        control.invalidate_spare()
        activate(vm, control)
        assert board.newest().active == 1 and board.descriptor(1) is not None, f"after cut {cut}"

    cut_everywhere(board, 2, prepare, check)


def test_a_cut_while_confirming_loses_nothing(board: DeviceBoard) -> None:
    board.put_trial(spent=first(1))

    def prepare() -> Act:
        control = open_control(board.start(1, BootReason.TRIAL, trial=True, left=2, counter=6))
        return lambda: control.confirm()

    def check(cut: Cut) -> None:
        cell = board.newest()
        proven = cell.confirmed or cell.state_b == SlotState.CONFIRMED
        control = open_control(board.start(1, BootReason.ORDINARY if proven else BootReason.TRIAL, counter=6))
        control.confirm()
        cell, descriptor = board.newest(), board.descriptor(1)
        assert (cell.active, cell.state_b, cell.floor) == (1, SlotState.CONFIRMED, 3), f"after cut {cut}"
        # A weak word may have read as set in this very boot.
        assert descriptor is not None and (descriptor.confirmed or cut.mode is CutMode.WEAK), (
            f"after cut {cut} the descriptor never learns that its release is confirmed")

    cut_everywhere(board, 3, prepare, check)
