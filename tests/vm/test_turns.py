"""What happens before main.py, and under a program that ended, on each VM (tests/device/test_supervisor.py has the rules)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from slotbench.vboard.signals import ChipReset
from slotbench.vboard.vm import DeviceVM
from support.device.board import DeviceBoard

TURNS, CHECK_FIRST = 0x600013D8, 1 << 27
RESTART, DEEP_SLEEP = 4, 5
NewVM = Callable[..., DeviceVM]


@pytest.fixture
def board() -> Iterator[DeviceBoard]:
    made = DeviceBoard()
    made.start().close()
    yield made
    made.close()


def booted(board: DeviceBoard, new_vm: NewVM, reason: int) -> tuple[DeviceVM, str]:
    """Start, run boot.py with a Ctrl-C after 100 s, and return what it printed."""
    printed: list[str] = []
    board.start(reason=reason).close()
    vm = new_vm(board.soc, board.files, board.network, console=printed.append)
    vm.interrupt_at(board.soc.clock.ms + 100_000)
    vm.run_file("boot.py")
    vm.interrupt_at(None)
    return vm, "".join(printed)


@pytest.mark.parametrize(("reason", "counted", "said"), [
    (RESTART, 18, ""), (RESTART, 199, "safe mode, without main.py"), (DEEP_SLEEP, 38 << 8, ""),
    (DEEP_SLEEP, 39 << 8, "a check before main.py"), (RESTART, CHECK_FIRST, "a check before main.py")])
def test_a_start_after_so_many(board: DeviceBoard, vm: NewVM, reason: int, counted: int, said: str) -> None:
    board.soc.write_word(TURNS, counted)
    started, printed = booted(board, vm, reason)
    started.close()

    assert said in printed and bool(said) == bool(printed)
    assert not said or board.soc.read_word(TURNS) & 0x3FFFF == 0


def test_a_program_that_ended_is_restarted_after_a_day(board: DeviceBoard, vm: NewVM) -> None:
    started, _ = booted(board, vm, RESTART)
    begun = board.soc.clock.ms
    with pytest.raises(ChipReset) as reset:
        started.exec("import time\nfor _ in range(26):\n    time.sleep(3600)")
    started.close()

    assert reset.value.reason == RESTART and board.soc.read_word(TURNS) & CHECK_FIRST
    assert 23.9 <= (board.soc.clock.ms - begun) / 3_600_000 <= 24.1
