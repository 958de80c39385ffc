"""The control of a board in a given state, what it is offered, and what it wrote where."""

from __future__ import annotations

from functools import partial
from typing import Any

from slotbench.formats.journal import channel_tag
from slotbench.formats.rtc import BootReason
from slotbench.vboard.flash.nor import FlashOperation
from slotbench.vboard.vm import CPythonVM
from support.device.board import BOARD, CHANNEL, PRODUCT, DeviceBoard
from support.device.decision import first
from support.device.release import head_fields, payload, release_fields

SPARE = BOARD.slots[1]
TAG = channel_tag(PRODUCT, CHANNEL)


def open_control(vm: CPythonVM) -> Any:
    """An open BootControl. What changes its slots (spare.py, trial.py, head.py) can be called as its methods."""
    attempts = vm.import_("twoslot.settings").load()["attempts"]
    flash = vm.import_("twoslot.flash").Flash()
    control = vm.import_("twoslot.boot.control").BootControl(flash, attempts).open()
    spare, trial = vm.import_("twoslot.boot.spare"), vm.import_("twoslot.boot.trial")

    def invalidate() -> Any:
        number = spare.invalidate(control)
        vm.import_("twoslot.boot.window_log").tidy(control.slots)
        return number

    def confirm(newest: Any = None) -> bool:
        confirmed = bool(trial.confirm(control, newest))
        if confirmed:
            trial.note_confirmed(control)
        return confirmed

    control.invalidate_spare, control.activate_spare = invalidate, partial(spare.activate, control)
    control.confirm, control.rollback = confirm, partial(trial.rollback, control)
    control.remember_head = partial(vm.import_("twoslot.boot.head").remember, control)
    return control


def loaders_word(vm: CPythonVM) -> bytes | None:
    """The 32 bytes that the loader left, as the device reads them; None when it refuses them."""
    try:
        return bytes(vm.import_("twoslot.boot.control")._read_tail())
    except vm.import_("twoslot.errors").FlashError as error:
        assert error.args == (64, 0)
        return None


def on_trial(board: DeviceBoard, **cell: Any) -> CPythonVM:
    """Slot B runs release 6 in its first attempt."""
    board.put_trial(spent=first(1), **cell)
    return board.start(1, BootReason.TRIAL, trial=True, left=2, counter=6)


def offered_head(vm: CPythonVM, **changes: Any) -> Any:
    """The head that names release 6, as trust/policy leaves it."""
    return {**head_fields(payload(release_fields()), **changes), "tag": TAG, "keys": bytes(range(16))}


def activate(vm: CPythonVM, control: Any) -> None:
    """Activate release 6, as if it were in the spare slot."""
    release = release_fields()
    control.activate_spare(vm.import_("twoslot.trust.policy").parse_plan(release, release["images"]["any"]), PRODUCT)


def place(op: FlashOperation) -> str:
    """Which part of the flash an operation changed."""
    parts = {
        "journal": [BOARD.journal], "log": [BOARD.window_log], "descriptor": [SPARE.descriptor],
        "image": [SPARE.image, SPARE.table],
    }
    for name, regions in parts.items():
        if any(op.addr in region for region in regions):
            return name
    raise AssertionError(f"0x{op.addr:06X} must never be written by an update")


def steps(board: DeviceBoard) -> list[tuple[str, str]]:
    """What the device package did since flash.reset_counters(): kind and place of each operation."""
    return [(op.kind, place(op)) for op in board.operations()]
