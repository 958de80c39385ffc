"""A soft reset in a trial: the deadline lives on, to the second, and nothing crashes. On each VM.

What a soft reset does to an armed timer was seen on the chip: tests/chip/test_soft_reset.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from slotbench.formats.rtc import BootReason
from slotbench.vboard.signals import ChipReset
from slotbench.vboard.vm import CPythonVM, DeviceVM
from support.device.board import DeviceBoard
from support.device.decision import first

DEADLINE_MS = 600_000
EXCEPTION, RESTART = 2, 4
LATE, CONFIRMED, ACTIVATED = 5, 10, 11
ARM = "import machine\nt = machine.Timer(-1)\nt.init(period={}, mode=machine.Timer.{}, callback=print)"


class Starts:
    """A board in its trial, and one start of Python after the other on it."""

    def __init__(self, new_vm: Callable[..., DeviceVM]) -> None:
        self.board = DeviceBoard()
        self.board.put_trial(spent=first(1))
        self.board.start(1, BootReason.TRIAL, trial=True, left=2, counter=6, up_ms=0).close()
        self.begin_ms = self.board.soc.clock.ms
        self._new_vm = new_vm
        self.vm = self._start()

    @property
    def ms(self) -> int:
        """Milliseconds since the chip started."""
        return self.board.soc.clock.ms - self.begin_ms

    def soft_reset(self, boot: str = "boot.py") -> None:
        """Start Python anew, as Ctrl-D does."""
        self.vm.close()
        self.vm = self._start()
        if boot:
            self.vm.run_file(boot)

    def idle(self, ms: int) -> None:
        """An application that does nothing."""
        self.vm.exec(f"import time\ntime.sleep_ms({ms})")

    def until_reset(self, ms: int) -> ChipReset:
        """Wait for the reset that comes within so many milliseconds."""
        with pytest.raises(ChipReset) as reset:
            self.idle(ms)
        return reset.value

    def _start(self) -> DeviceVM:
        return self._new_vm(self.board.soc, self.board.files, self.board.network)


@pytest.fixture
def starts(vm: Callable[..., DeviceVM]) -> Iterator[Starts]:
    made = Starts(vm)
    yield made
    made.vm.close()
    made.board.close()


@pytest.mark.parametrize("at_ms", [(0,), (0, 1, 400), (1000, 430_000, 599_000)])
def test_a_trial_outlives_soft_resets_and_ends_in_time(starts: Starts, at_ms: tuple[int, ...]) -> None:
    starts.vm.run_file("boot.py")
    for ms in at_ms:
        starts.idle(max(1, ms - starts.ms))
        starts.soft_reset()
    assert starts.until_reset(DEADLINE_MS).reason == RESTART
    assert DEADLINE_MS <= starts.ms <= DEADLINE_MS + 200
    assert (starts.board.tail().note, starts.board.tail().timer) == (LATE, 0)


def test_a_deadline_that_passes_during_a_soft_reset_ends_the_trial(starts: Starts) -> None:
    starts.vm.run_file("boot.py")
    starts.idle(DEADLINE_MS - 50)
    starts.vm.close()
    starts.board.soc.clock.advance_ms(100)
    starts.vm = starts._start()
    with pytest.raises(ChipReset) as reset:
        starts.vm.run_file("boot.py")
        starts.idle(10)
    assert reset.value.reason == RESTART and starts.board.tail().note == LATE


def test_after_the_trial_a_soft_reset_leaves_nothing_armed(starts: Starts) -> None:
    """A rollback, or an update that waits for its restart, sets a note; the timer of the trial is armed still."""
    starts.vm.run_file("boot.py")
    starts.vm.exec(f"import machine\nmachine.mem32[0x600013F8] |= {ACTIVATED}")
    starts.soft_reset()
    assert starts.board.tail().timer and starts.board.tail().note == ACTIVATED
    starts.idle(2 * DEADLINE_MS)


def test_confirm_disarms_it_after_a_soft_reset_too(starts: Starts) -> None:
    starts.vm.run_file("boot.py")
    starts.soft_reset()
    starts.vm.exec("import twoslot\ntwoslot.confirm()")
    assert starts.board.tail().note == CONFIRMED and starts.board.tail().timer
    starts.soft_reset()
    starts.idle(2 * DEADLINE_MS)


@pytest.mark.parametrize("arm", [ARM.format(600_000, "ONE_SHOT"), ARM.format(50, "PERIODIC")])
def test_a_timer_of_the_application_crashes_the_board(starts: Starts, arm: str) -> None:
    """MicroPython's own fault on this port: whoever arms a timer has to disarm it before a soft reset."""
    starts.vm.exec(arm)
    starts.soft_reset("")
    assert starts.until_reset(1000).reason == EXCEPTION


@pytest.mark.parametrize("end", ["t.deinit()", "import time\ntime.sleep_ms(60)"])
def test_a_timer_that_is_disarmed_or_has_fired_does_no_harm(starts: Starts, end: str) -> None:
    starts.vm.exec(ARM.format(50, "ONE_SHOT"))
    starts.vm.exec(end)
    starts.soft_reset("")
    starts.idle(1000)


@pytest.mark.parametrize("spoil", [
    "import esp\ndel esp.malloc",
    "import esp\nesp.malloc = lambda size: 0",
    "id = lambda thing: 0x3FFEF000",
    "def id(thing):\n    return 0x3FFEF000 if isinstance(thing, list) else 0x3FFE9000",
])
def test_where_the_firmware_differs_the_deadline_holds_all_the_same(spoil: str) -> None:
    """Then the timer is an ordinary one, as of old."""
    starts = Starts(CPythonVM)
    assert isinstance(starts.vm, CPythonVM)
    if spoil.startswith("import"):
        starts.vm.exec(spoil)
    else:
        names: dict[str, object] = {}
        exec(spoil, names)
        starts.vm._builtins["id"] = names["id"]
    starts.vm.run_file("boot.py")
    assert starts.board.tail().timer == 0
    assert starts.until_reset(DEADLINE_MS + 100).reason == RESTART
    assert starts.board.tail().note == LATE
    starts.vm.close()
    starts.board.close()
