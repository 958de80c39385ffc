"""A board that checks as scheduled, and one that lost its power before."""

from __future__ import annotations

from typing import Any

from slotbench.formats.rtc import ResetReason
from slotbench.vboard.vm import CPythonVM
from support.device.board import CHANNEL, PRODUCT, DeviceBoard

HEAD = f"heads/{PRODUCT}/{CHANNEL}.head"


def check(board: DeviceBoard, vm: CPythonVM) -> list[int | None]:
    """Let a scheduled check come to its end; the status of each request for the head."""
    before = len(board.network.requests)
    twoslot = vm.import_("twoslot")
    schedule = twoslot.get_schedule()
    schedule.request_within(1)
    board.soc.clock.advance_ms(2)
    for _ in range(500):
        twoslot.tick()
        if not twoslot._agent and schedule.left > 1000:
            break
        board.soc.clock.advance_ms(100)
    else:
        raise AssertionError("the check never ended")
    return [request.status for request in board.network.requests[before:] if request.file == HEAD]


def after_a_cut(board: DeviceBoard, **start: Any) -> list[int | None]:
    """Power is lost and comes back; the board checks."""
    return check(board, board.start(reason=ResetReason.POWER, **start))
