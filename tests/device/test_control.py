"""twoslot.boot.control: a record that names a slot is written before the slot changes, and refusals change nothing."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from slotbench.formats import journal as host
from slotbench.formats import windowlog
from slotbench.formats.descriptor import CONFIRMED_OFFSET
from slotbench.formats.journal import Ended, Report, SlotState
from slotbench.formats.rtc import BootReason
from slotbench.formats.seal import digest8
from slotbench.vboard.flash.nor import PAGE, SECTOR
from slotbench.vboard.vm import CPythonVM
from support.device.board import BOARD, RUNNING, DeviceBoard, firmware, refusal, trial_cell
from support.device.control import SPARE, TAG, activate, offered_head, on_trial, open_control, steps
from support.device.decision import first

NOTE_CONFIRMED = 10


# The start of a boot.


def test_an_ordinary_boot_writes_nothing(board: DeviceBoard, vm: CPythonVM) -> None:
    board.flash.reset_counters()
    control = open_control(vm)

    assert (control.slot, control.reason, control.confirmed, control.running.version) == (0, BootReason.ORDINARY, True, "1.0.0")
    assert control.descriptors[1] is None
    assert board.operations() == []


@pytest.mark.parametrize("wrong", ["nothing", "the magic", "a third slot", "the seal"])
def test_without_the_loaders_word_nothing_is_done(board: DeviceBoard, vm: CPythonVM, wrong: str) -> None:
    word = bytearray(board.tail().pack())
    if wrong == "nothing":
        word = bytearray(32)
    elif wrong == "the seal":
        word[16] ^= 1
    else:
        word[3 if wrong == "the magic" else 4] = 2
        word[16:24] = digest8(bytes(word[:16]))
    board.leave_tail(bytes(word))

    with refusal(vm, "FlashError", 64, 0):
        open_control(vm)


@pytest.mark.parametrize("slot", [0, 1])
def test_a_running_slot_without_descriptor_is_refused(board: DeviceBoard, slot: int) -> None:
    board.flash.poke(BOARD.slots[slot].descriptor.start, bytes(PAGE))
    board.flash.reset_counters()
    vm = board.start(slot)

    with refusal(vm, "FlashError", 72, slot):
        open_control(vm)
    assert board.operations() == [], "the journal was changed by a board without a descriptor"


def test_a_lost_journal_is_written_anew(board: DeviceBoard) -> None:
    board.clear_journal()
    control = open_control(board.start(0, BootReason.NO_JOURNAL_CONFIRMED))

    cell = board.newest()
    assert (cell.report, cell.active, cell.state_a) == (Report.JOURNAL_LOST, 0, SlotState.CONFIRMED)
    assert (cell.attempts, cell.copies, cell.floor) == (3, 8, 2)
    assert control.confirmed


def test_a_fallback_writes_its_verdict(board: DeviceBoard) -> None:
    board.put_trial(spent=first(3), ended=(Ended.EXCEPTION,) * 3 + (None,) * 5)
    control = open_control(board.start(0, BootReason.FALLBACK))

    cell = board.newest()
    assert (cell.report, cell.bad_counter, cell.state_b, cell.active) == (Report.BAD, 6, SlotState.BAD, 0)
    assert control.confirmed, "after a fallback the board can be updated again"


# Invalidating the spare slot.


@pytest.mark.parametrize("already", [False, True], ids=["old release", "already empty"])
@pytest.mark.parametrize("cells", [1, 16], ids=["append", "compact"])
def test_a_new_cell_comes_before_the_first_change_of_the_spare_slot(
    board: DeviceBoard, already: bool, cells: int,
) -> None:
    board.put_slot(1, firmware(3), counter=4, confirmed=True)
    state = SlotState.EMPTY if already else SlotState.CONFIRMED
    for index in range(cells):
        board.put_cell(index, trial_cell(
            sequence=index + 1, active=0, state_b=state, counter_b=0 if already else 4))
    control = open_control(board.start())
    board.flash.reset_counters()

    assert control.invalidate_spare() == 1

    compacts = [("erase", "journal")] if cells == 16 else []
    assert steps(board) == [*compacts, ("program", "journal"), ("erase", "descriptor")]
    cell = board.newest()
    assert (cell.sequence, cell.state_b, cell.counter_b) == (cells + 1, SlotState.EMPTY, 0)
    assert (cell.active, cell.state_a) == (0, SlotState.CONFIRMED)
    assert control.descriptors[1] is board.descriptor(1) is None


def test_a_bad_word_of_the_old_release_does_not_stay_with_the_slot(board: DeviceBoard) -> None:
    board.put_slot(1, firmware(3), counter=4, confirmed=True)
    board.put_cell(1, trial_cell(
        sequence=2, active=0, state_b=SlotState.CONFIRMED, counter_b=4, bad_b=True))
    vm = board.start()
    control = open_control(vm)
    control.invalidate_spare()
    assert (board.newest().state_b, board.newest().bad_b) == (SlotState.EMPTY, False)
    activate(vm, control)
    assert (board.newest().state_b, board.newest().bad_b) == (SlotState.READY, False)


def test_the_window_log_is_tidied_before_a_swap_that_needs_it(board: DeviceBoard) -> None:
    board.flash.poke(BOARD.window_log.start, windowlog.DIRTY_ENTRY * 200)
    control = open_control(board.start())
    board.flash.reset_counters()

    control.invalidate_spare()

    assert steps(board) == [("program", "journal"), ("erase", "log")]


@pytest.mark.parametrize(
    ("cell", "start"),
    [
        ({}, (1, BootReason.TRIAL)), ({"state_b": SlotState.CONFIRMED}, (0, BootReason.ORDINARY)),
        ({"state_b": SlotState.BAD, "report": Report.LAST_RESORT}, (1, BootReason.LAST_RESORT)),
    ],
    ids=["on trial", "not the active one", "last resort"],
)
def test_the_spare_slot_stays_unless_the_running_one_is_confirmed(
    board: DeviceBoard, cell: dict[str, Any], start: tuple[int, BootReason],
) -> None:
    board.put_trial(**cell)
    vm = board.start(*start)
    control = open_control(vm)
    board.flash.reset_counters()

    with refusal(vm, "FlashError", 63, control.cell.states[start[0]]):
        control.invalidate_spare()
    assert board.operations() == []


def test_no_cell_no_change_of_the_spare_slot(board: DeviceBoard) -> None:
    board.put_slot(1, firmware(3), counter=4, confirmed=True)
    for sector in (BOARD.journal.start, BOARD.journal.start + SECTOR):
        board.flash.set_stuck(sector // SECTOR)
    vm = board.start()
    control = open_control(vm)
    board.flash.reset_counters()

    with refusal(vm, "FlashError", 61):
        control.invalidate_spare()
    assert {where for _, where in steps(board)} == {"journal"}
    assert board.descriptor(1) is not None


# Activating the spare slot.


def test_activation_writes_the_descriptor_before_the_cell(board: DeviceBoard, vm: CPythonVM) -> None:
    control = open_control(vm)
    control.remember_head(offered_head(vm, seq=12))
    control.attempts = 5
    control.invalidate_spare()
    board.flash.reset_counters()

    activate(vm, control)

    assert steps(board) == [("program", "descriptor"), ("program", "journal")]
    cell, descriptor = board.newest(), board.descriptor(1)
    assert descriptor is not None and (descriptor.counter, descriptor.confirmed) == (6, False)
    assert (cell.active, cell.state_b, cell.counter_b) == (1, SlotState.READY, 6)
    assert (cell.state_a, cell.counter_a) == (SlotState.CONFIRMED, 5), "the fallback is gone"
    assert (cell.attempts, cell.copies) == (5, 8)
    assert (cell.head_seq, cell.key_epoch, cell.channel_tag) == (12, 1, TAG), "the head is forgotten"
    assert not control.confirmed, "the spare slot could still be invalidated"


def test_activation_writes_no_cell_for_a_failed_descriptor(board: DeviceBoard, vm: CPythonVM) -> None:
    control = open_control(vm)
    control.invalidate_spare()
    board.flash.set_stuck(SPARE.descriptor.start // SECTOR, 0.5)
    board.flash.reset_counters()

    with refusal(vm, "FlashError", 60, SPARE.descriptor.start):
        activate(vm, control)
    assert steps(board) == [("program", "descriptor")]
    assert board.newest().active == 0


# Confirming.


def test_confirm_sets_both_words_before_the_cell(board: DeviceBoard) -> None:
    vm = on_trial(board)
    control = open_control(vm)
    assert not control.confirmed
    board.flash.reset_counters()

    assert control.confirm(offered_head(vm, seq=40)) is True

    words = [(op.addr, op.length) for op in board.operations()][:2]
    assert words == [
        (BOARD.journal.start + host.CONFIRMED_OFFSET, 4), (SPARE.descriptor.start + CONFIRMED_OFFSET, 4)]
    assert steps(board) == [("program", "journal"), ("program", "descriptor"), ("program", "journal")]
    cell, descriptor = board.newest(), board.descriptor(1)
    assert (cell.active, cell.state_b, cell.report) == (1, SlotState.CONFIRMED, Report.CONFIRMED)
    assert (cell.floor, cell.head_seq) == (3, 40)
    assert descriptor is not None and descriptor.confirmed
    assert board.tail().note == NOTE_CONFIRMED, "the hook would arm its timer after a soft reset"
    assert control.confirmed


def test_confirm_twice_writes_once(board: DeviceBoard) -> None:
    control = open_control(on_trial(board))
    control.confirm()
    board.flash.reset_counters()

    assert control.confirm() is False
    assert board.operations() == []


def test_confirm_without_a_head_keeps_the_one_that_is_known(board: DeviceBoard) -> None:
    control = open_control(on_trial(board, head_seq=7, channel_tag=TAG))
    control.confirm()

    assert (board.newest().head_seq, board.newest().channel_tag) == (7, TAG)


def test_confirm_tidies_the_window_log(board: DeviceBoard) -> None:
    board.flash.poke(BOARD.window_log.start, windowlog.DIRTY_ENTRY * 200)
    control = open_control(on_trial(board))
    board.flash.reset_counters()

    control.confirm()

    assert steps(board)[-1] == ("erase", "log")


def test_confirm_in_last_resort_leaves_the_other_slots_word_alone(board: DeviceBoard) -> None:
    """The cell's confirmed word speaks of the active slot, which is not the one that runs."""
    board.put_trial(bad_b=True, report=Report.LAST_RESORT)
    control = open_control(board.start(0, BootReason.LAST_RESORT))

    assert control.confirm() is True

    assert not host.scan_pages(board.region())[0][2].confirmed  # type: ignore[union-attr]
    assert (board.newest().active, board.newest().state_a) == (0, SlotState.CONFIRMED)


# Going back, and remembering heads.


@pytest.mark.parametrize("flaw", ["lost", "marked", "below the floor", "empty", "ready", "bad"])
def test_rollback_is_refused_without_a_slot_to_go_back_to(board: DeviceBoard, flaw: str) -> None:
    states = {"empty": SlotState.EMPTY, "ready": SlotState.READY, "bad": SlotState.BAD}
    state = states.get(flaw, SlotState.CONFIRMED)
    board.put_slot(1, firmware(2), counter=4, confirmed=True, bad=flaw == "marked")
    if flaw == "lost":
        board.flash.poke(SPARE.descriptor.start, bytes(PAGE))
    floor = 5 if flaw == "below the floor" else 4
    board.put_cell(0, trial_cell(active=0, state_b=state, counter_b=4, floor=floor))
    vm = board.start()
    board.flash.reset_counters()

    with refusal(vm, "FlashError", 65, state):
        open_control(vm).rollback()
    assert board.operations() == []


@pytest.mark.parametrize("trial", [True, False])
def test_rollback_marks_the_running_release_bad(board: DeviceBoard, trial: bool) -> None:
    """The floor may be as high as the counter of the release it goes back to."""
    if trial:
        vm = on_trial(board, floor=RUNNING)
    else:
        board.put_trial(state_b=SlotState.CONFIRMED, floor=RUNNING)
        vm = board.start(1, counter=6)
    control = open_control(vm)
    board.flash.reset_counters()

    control.rollback()

    word = BOARD.journal.start + host.BAD_B_OFFSET
    assert [(op.kind, op.addr, op.length) for op in board.operations()] == [("program", word, 4)]
    open_control(board.start(0, BootReason.FALLBACK))
    cell = board.newest()
    assert (cell.bad_counter, cell.active, cell.state_b, cell.report) == (6, 0, SlotState.BAD, Report.BAD)


def test_a_head_is_remembered(board: DeviceBoard, vm: CPythonVM) -> None:
    control = open_control(vm)
    head = offered_head(vm, seq=12)
    control.remember_head(head)

    cell = board.newest()
    assert (cell.head_seq, cell.head_time, cell.key_epoch, cell.channel_tag) == (12, head["issued"], 1, TAG)
    assert (cell.active, cell.state_a, cell.state_b, cell.counter_a) == (
        0, SlotState.CONFIRMED, SlotState.EMPTY, RUNNING)


# The facts for the rest of an update.


def test_the_facts_have_journal_descriptors_and_map(board: DeviceBoard) -> None:
    """Values only: an object would keep its class, and a class its module."""
    board.put_slot(1, firmware(3), counter=7, confirmed=True, fs_version=0x00020000)
    board.put_cell(1, trial_cell(
        sequence=2, state_b=SlotState.CONFIRMED, counter_b=7, floor=4, bad_counter=9, unproven_counter=8, rounds=3,
        head_seq=21, head_time=1000, key_epoch=2, channel_tag=33, report=Report.UNPROVEN, report_counter=8,
        keys_digest=b"k" * 16, other_channels=((1, 2), (3, 4), (0, 0))))

    vm = board.start(1, counter=7)
    assert vm.import_("twoslot.boot.facts").facts(open_control(vm)) == {
        "slot": 1, "confirmed": True, "counter": 7, "fs_version": 0x00020000, "floor": 4, "bad": 9, "unproven": 8,
        "rounds": 3, "waiting": None, "seq": 21, "time": 1000, "epoch": 2, "tag": 33, "keys": b"k" * 16,
        "others": struct.pack("<6I", 1, 2, 3, 4, 0, 0), "report": (3, 8), "size": BOARD.slots[1].image.size,
        "fs_start": BOARD.fs_start, "app": None}


@pytest.mark.parametrize("running", [0, 1])
def test_the_descriptors_are_in_the_order_of_the_slots(board: DeviceBoard, running: int) -> None:
    board.put_trial(state_b=SlotState.CONFIRMED, active=running)
    control = open_control(board.start(running, counter=(RUNNING, 6)[running]))

    assert [d.version for d in control.descriptors] == ["1.0.0", "2.0.0"]
    assert (control.running.version, control.spare.version) == [("1.0.0", "2.0.0"), ("2.0.0", "1.0.0")][running]


@pytest.mark.parametrize("running", [0, 1])
def test_an_activated_slot_is_concluded_by_the_next_boot_only(board: DeviceBoard, running: int) -> None:
    """A check before the restart finds a ready slot and does not conclude the boot that activated it."""
    states = {"state_a": SlotState.CONFIRMED, "state_b": SlotState.CONFIRMED}
    board.put_slot(1, firmware(3), counter=RUNNING, confirmed=True)
    board.put_cell(1, trial_cell(sequence=2, active=running, counter_b=RUNNING, **states))
    vm = board.start(running)
    control = open_control(vm)
    spare = control.invalidate_spare()
    activate(vm, control)
    board.flash.reset_counters()

    assert open_control(vm).cell.states[spare] == SlotState.READY
    assert board.operations() == [], "the activated slot was concluded by a boot that never tried it"
