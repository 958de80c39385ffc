"""twoslot.tick() and task(): small steps beside an application, which no error may reach."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import slotbench
from slotbench.formats import maptable
from slotbench.formats.journal import JournalCell, SlotState
from slotbench.formats.rtc import BootReason
from slotbench.vboard.network.base import ECONNRESET
from slotbench.vboard.network.faults import FaultyNetwork
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.signals import ChipReset
from slotbench.vboard.vm import CPythonVM
from support.device.board import BOARD, CHANNEL, PRODUCT, RUNNING, DeviceBoard, firmware
from support.device.decision import first
from support.device.release import offer
from support.device.site import Site, files_app

HEAD_PATH = f"/heads/{PRODUCT}/{CHANNEL}.head"
HOUR_MS = 3_600_000


@pytest.fixture
def board(make_board: Callable[..., DeviceBoard], site: Site) -> DeviceBoard:
    return make_board(FaultyNetwork(WsgiNetwork(site.app())))


def start(board: DeviceBoard, *boot: Any, **options: Any) -> CPythonVM:
    vm = board.start(*boot, **options)
    vm.exec("import twoslot")
    return vm


def ticks(board: DeviceBoard, vm: CPythonVM, ms: int, every_ms: int = 100) -> int:
    """Call tick() as a main loop does, for so long; returns the longest call in virtual milliseconds."""
    tick = vm.modules["twoslot"].tick
    end, longest = board.soc.clock.ms + ms, 0
    while board.soc.clock.ms < end:
        before = board.soc.clock.ms
        tick()
        longest = max(longest, board.soc.clock.ms - before)
        board.soc.clock.advance_ms(every_ms)
    return longest


def logged(vm: CPythonVM) -> list[tuple[int, int]]:
    """Code and place of each entry of the log."""
    return [(code, where) for _, code, where in vm.modules["twoslot"]._log]


def heads(board: DeviceBoard) -> int:
    return sum(request.path == HEAD_PATH for request in board.network.requests)


# What costs nothing.


def test_importing_the_package_does_nothing(board: DeviceBoard) -> None:
    board.flash.reset_counters()
    vm = start(board)

    assert [name for name in vm.modules if name.startswith("twoslot")] == ["twoslot"]
    assert board.operations() == [] and board.network.requests == []


def test_device_and_bench_carry_one_version(board: DeviceBoard) -> None:
    assert start(board).eval("twoslot.__version__") == slotbench.__version__


def test_nothing_happens_before_it_is_due(board: DeviceBoard) -> None:
    vm = start(board)
    board.flash.reset_counters()
    ticks(board, vm, 9_500)

    assert board.network.connections == 0 and board.operations() == []
    assert "twoslot.agent" not in vm.modules, "the agent stays in memory"


def test_the_first_check_comes_within_forty_seconds(board: DeviceBoard) -> None:
    board.network.inner.app = files_app({})  # type: ignore[attr-defined]
    ticks(board, start(board), 41_000)

    assert heads(board) >= 1


# A whole update beside an application.


def test_an_update_in_small_pieces(board: DeviceBoard) -> None:
    vm = start(board)
    calls: list[int] = []
    with pytest.raises(ChipReset) as reset:
        for _ in range(2000):
            calls.append(ticks(board, vm, 1))
    assert reset.value.reason == 4

    assert (board.newest().active, board.newest().state_b) == (1, SlotState.READY)
    assert max(calls) < 600, f"a call took {max(calls)} ms on a network that works"
    assert sum(call > 20 for call in calls) > 15, "the update was not done in pieces"
    assert vm.output == "" and logged(vm) == []


def test_task_does_the_same_in_asyncio(board: DeviceBoard) -> None:
    vm = start(board)
    vm.exec(
        "import asyncio\n"
        "beats = 0\n"
        "async def blink():\n"
        "    global beats\n"
        "    while True:\n"
        "        beats += 1\n"
        "        await asyncio.sleep_ms(500)\n"
        "async def main():\n"
        "    asyncio.create_task(twoslot.task())\n"
        "    await blink()\n")
    begun = board.soc.clock.ms
    vm.interrupt_at(begun + 600_000)
    with pytest.raises(ChipReset):
        vm.exec("asyncio.run(main())")

    assert board.newest().active == 1
    seconds = (board.soc.clock.ms - begun) / 1000
    assert vm.eval("beats") > seconds, "the other task was held up"


def test_a_trial_is_confirmed_and_its_deadline_ends(board: DeviceBoard) -> None:
    board.put_trial(spent=first(1))
    vm = board.start(1, BootReason.TRIAL, trial=True, left=2, counter=6)
    vm.run_file("boot.py")
    vm.exec("import twoslot")
    ticks(board, vm, 5000)

    assert board.newest().state_b == SlotState.CONFIRMED
    assert not vm.eval("twoslot.deadline") and not vm.eval("twoslot._schedule.trial")
    assert heads(board) == 1, "the confirmed board checks again at once"
    ticks(board, vm, 700_000, every_ms=1000)
    assert heads(board) == 1


def test_a_trial_that_is_confirmed_by_hand_keeps_its_deadline_until_then(
    make_board: Callable[..., DeviceBoard], site: Site,
) -> None:
    board = make_board(FaultyNetwork(WsgiNetwork(site.app())), confirm="manual")
    board.put_trial(spent=first(1))
    vm = board.start(1, BootReason.TRIAL, trial=True, left=2, counter=6)
    vm.run_file("boot.py")
    vm.exec("import twoslot, time")
    ticks(board, vm, 60_000)
    assert vm.eval("twoslot.deadline")

    with pytest.raises(ChipReset):
        vm.exec("time.sleep(600)")


def test_after_a_fallback_the_same_release_is_not_fetched_at_once(board: DeviceBoard) -> None:
    board.put_trial(spent=first(3))
    vm = start(board, 0, BootReason.FALLBACK)
    ticks(board, vm, 5 * HOUR_MS, every_ms=1000)

    assert board.network.requests == [] and board.newest().unproven_counter == 6


# What goes wrong.


def test_without_a_network_the_application_goes_on(board: DeviceBoard) -> None:
    board.network.online = False
    vm = start(board)
    ticks(board, vm, HOUR_MS, every_ms=1000)

    assert set(logged(vm)) == {(1, 0)}
    assert 25 <= vm.eval("twoslot._schedule.failures") <= 50, "2 s, twice as long each time, at last 128 s"
    board.network.online = True
    with pytest.raises(ChipReset):
        ticks(board, vm, 2 * HOUR_MS, every_ms=1000)


def test_a_lost_connection_is_continued(board: DeviceBoard) -> None:
    """The agent is kept: neither head nor release is asked for again."""
    vm = start(board)
    board.network.inject(drop_after=30_000)
    with pytest.raises(ChipReset):
        ticks(board, vm, 120_000)

    assert logged(vm) == [(3, 104)]
    assert heads(board) == 1
    assert board.newest().active == 1


def test_after_a_server_died_the_next_attempt_begins_with_the_head(board: DeviceBoard) -> None:
    vm = start(board)
    board.network.inject(drop_after=30_000)
    for _ in range(600):
        if not logged(vm):
            ticks(board, vm, 100)
    assert logged(vm) == [(3, 104)]
    board.network.inject(errno=ECONNRESET, times=10)
    with pytest.raises(ChipReset):
        ticks(board, vm, 4 * HOUR_MS, every_ms=1000)

    assert heads(board) == 2
    assert len(logged(vm)) == 8 and set(logged(vm)) == {(3, 104)}


def test_up_to_date_waits_for_the_interval_and_then_costs_a_304(
    make_board: Callable[..., DeviceBoard], site: Site,
) -> None:
    board = make_board(FaultyNetwork(WsgiNetwork(site.app())), interval_s=3600)
    board.put_slot(0, b"x" * 4096, counter=6, confirmed=True)
    board.put_cell(1, JournalCell(
        sequence=2, state_a=SlotState.CONFIRMED, counter_a=6, attempts=3, copies=8))
    vm = start(board, counter=6)
    ticks(board, vm, 600_000, every_ms=1000)
    assert heads(board) == 1, "the refused release is fetched again at once"
    ticks(board, vm, 10 * HOUR_MS, every_ms=10_000)

    statuses = [request.status for request in board.network.requests]
    assert statuses[0] == 200 and set(statuses[1:]) == {304}
    assert 8 <= len(statuses) <= 12, f"{len(statuses)} checks in ten hours"
    assert logged(vm) == [(28, 6)]


def test_an_unsigned_head_is_requested_again_soon(board: DeviceBoard) -> None:
    """A captive portal responds for a minute, then the real server."""
    app = board.network.inner.app  # type: ignore[attr-defined]
    board.network.inner.app = files_app({HEAD_PATH: b"<html>Please log in</html>"})  # type: ignore[attr-defined]
    vm = start(board)
    ticks(board, vm, 60_000)
    assert logged(vm) and {code for code, _ in logged(vm)} == {20}
    assert heads(board) <= 6, "the portal is polled without a pause"

    board.network.inner.app = app  # type: ignore[attr-defined]
    with pytest.raises(ChipReset):
        ticks(board, vm, 200_000)


def test_a_busy_server_is_not_polled_before_its_wait_is_over(board: DeviceBoard) -> None:
    busy = ("503 Service Unavailable", [("Retry-After", "900")])
    board.network.inner.app = files_app({HEAD_PATH: busy})  # type: ignore[attr-defined]
    ticks(board, start(board), 45_000)
    asked = heads(board)
    assert asked == 1

    ticks(board, start(board, up_ms=0), 0)
    vm = start(board)
    ticks(board, vm, 850_000, every_ms=1000)
    assert heads(board) == asked + 1


def test_a_worn_sector_is_logged_and_tried_again_later(board: DeviceBoard) -> None:
    place = BOARD.slots[1].image.start + 2 * 4096
    board.flash.set_stuck(place // 4096)
    vm = start(board)
    ticks(board, vm, 60_000)

    assert set(logged(vm)) == {(60, place)}
    assert board.newest().active == 0
    assert heads(board) <= 6, "the sector is worn further without a pause"


def test_pinned_keys_that_are_gone_are_logged(board: DeviceBoard) -> None:
    del board.files["/twoslot.keys"]
    vm = start(board)
    ticks(board, vm, 45_000)

    assert set(logged(vm)) == {(71, 0)}
    assert heads(board) <= 6


def test_a_full_heap_is_logged_and_tried_again(board: DeviceBoard) -> None:
    vm = start(board)
    ticks(board, vm, 100)
    vm.exec(
        "def full():\n"
        "    raise MemoryError('memory allocation failed')\n"
        "real = twoslot.load_agent\n"
        "twoslot.load_agent = full")
    ticks(board, vm, 45_000)
    assert 1 <= len(logged(vm)) <= 6 and set(logged(vm)) == {(0, 0)}

    vm.exec("twoslot.load_agent = real")
    with pytest.raises(ChipReset):
        ticks(board, vm, 200_000)


class FullAt(dict[str, bytes]):
    """The board's files; for one of the package's modules the heap has no room, the first few times."""

    def __init__(self, files: dict[str, bytes], module: str, times: int) -> None:
        super().__init__(files)
        self.path, self.left = f"/twoslot/{module}.py", times

    def __getitem__(self, path: str) -> bytes:
        if path == self.path and self.left:
            self.left -= 1
            raise MemoryError("memory allocation failed")
        return super().__getitem__(path)


def test_a_board_that_breaks_at_the_end_of_a_check_says_so(
    make_board: Callable[..., DeviceBoard], site: Site,
) -> None:
    """A check ends by reading the journal again. An error there must not stop the application."""
    app = site.app()

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if "HTTP_IF_NONE_MATCH" in environ:
            board.leave_tail(bytes(32))
        return app(environ, start_response)

    board = make_board(FaultyNetwork(WsgiNetwork(serve)), interval_s=3600)
    board.put_slot(0, b"x" * 4096, counter=6, confirmed=True)
    board.put_cell(1, JournalCell(sequence=2, state_a=SlotState.CONFIRMED, counter_a=6, attempts=3, copies=8))
    vm = start(board, counter=6)
    ticks(board, vm, 2 * HOUR_MS, every_ms=1000)
    assert set(logged(vm)) <= {(28, 6), (64, 0)} and (64, 0) in logged(vm)


@pytest.mark.sampled(26, kind=lambda module, **_: module)
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("module", [
    "startup", "settings", "agent", "attempt", "flash", "boot/control", "boot/journal", "boot/slots",
    "boot/facts", "boot/head", "boot/spare", "boot/window_log", "hook_line", "image/request", "image/table", "http/request",
    "http/lines", "http/response", "http/documents", "trust/document", "trust/rsa", "trust/policy", "trust/verify", "image/scan", "image/download", "image/writer"])
def test_out_of_memory_for_a_module_is_logged_and_tried_again(board: DeviceBoard, module: str, times: int) -> None:
    """Every part is loaded when it is needed, beside an application that fills the heap as it likes."""
    board.files = FullAt(board.files, module, times)
    vm = start(board)
    with pytest.raises(ChipReset):
        ticks(board, vm, 300_000)

    assert logged(vm) == [(0, 0)] * times
    assert board.newest().active == 1


@pytest.mark.parametrize("module", ["errors", "schedule"])
def test_out_of_memory_for_what_the_outcome_needs(board: DeviceBoard, module: str) -> None:
    """Nothing can be concluded without them: the next attempt is in a minute."""
    board.files = FullAt(board.files, module, 4)
    vm = start(board)
    with pytest.raises(ChipReset):
        ticks(board, vm, 300_000)

    assert logged(vm) == [(0, 0)] * 2, "twice the module was wanted once more for the outcome"
    assert board.newest().active == 1


def test_out_of_memory_at_a_check_waits_like_any_failure(board: DeviceBoard) -> None:
    vm = start(board)
    ticks(board, vm, 100)
    board.files = vm.runtime.files = FullAt(vm.runtime.files, "agent", 3)
    with pytest.raises(ChipReset):
        ticks(board, vm, 300_000)

    times = [ms for ms, *_ in vm.modules["twoslot"]._log]
    assert logged(vm) == [(0, 0)] * 3
    assert times[1] - times[0] >= 1000 and times[2] - times[1] >= 2000, "tried again without a pause"


def test_the_restart_into_the_trial_needs_no_memory(board: DeviceBoard) -> None:
    """An activated board that did not restart would take itself for a trial."""
    vm = start(board)
    ticks(board, vm, 100)
    while not vm.eval("twoslot._agent and twoslot._agent.state == 5"):
        ticks(board, vm, 100)
    vm.runtime.files = FullAt(vm.runtime.files, "outcome", 1000)
    with pytest.raises(ChipReset):
        ticks(board, vm, 300_000)

    assert logged(vm) == [] and board.newest().active == 1


def test_out_of_memory_at_the_outcome_is_tried_again(
    make_board: Callable[..., DeviceBoard], tmp_path: Path,
) -> None:
    site = Site(tmp_path / "old")
    site.publish(firmware(1), counter=RUNNING, version="1.0.0")
    board = make_board(FaultyNetwork(WsgiNetwork(site.app())))
    board.files = FullAt(board.files, "outcome", 2)
    vm = start(board)
    ticks(board, vm, HOUR_MS, every_ms=1000)

    assert logged(vm) == [(0, 0), (0, 0)]
    assert heads(board) == 3 and board.network.requests[-1].status == 304, "what was decided is known"


@pytest.mark.parametrize("name", ["counter", "seq", "issued", "expires", "percent", "cohorts"])
@pytest.mark.parametrize("value", [None, "6", [5], 1 << 40], ids=repr)
def test_whatever_the_online_key_signs_the_application_goes_on(
    board: DeviceBoard, name: str, value: object,
) -> None:
    board.network.inner.app = files_app({HEAD_PATH: offer(head={name: value}).head})  # type: ignore[attr-defined]
    vm = start(board)
    ticks(board, vm, 45_000)

    assert logged(vm), "the head was never read"


# A board that cannot be updated.

DISABLED = {
    "no settings": (70, 0), "no settings of a kind": (70, 8), "no map": (73, maptable.OFFSET), "no loader": (64, 0), "small chip": (66, 0x200000),
    "no descriptor": (72, 0), "worn journal": (61, None),
}


@pytest.mark.parametrize("fault", DISABLED)
def test_a_board_that_cannot_be_updated_logs_it_once_and_runs_its_application(
    board: DeviceBoard, fault: str,
) -> None:
    if fault == "no settings":
        del board.files["/twoslot.json"]
    elif fault == "no settings of a kind":
        board.save_settings(interval_s="hourly")
    elif fault == "no map":
        board.flash.poke(maptable.OFFSET, bytes(4))
    elif fault == "small chip":
        board.soc.flash_id = 21 << 16 | 0x40EF
    elif fault == "no descriptor":
        board.flash.poke(BOARD.slots[0].descriptor.start, bytes(256))
    elif fault == "worn journal":
        board.clear_journal()
        for sector in (1, 2):
            board.flash.set_stuck(sector)
    vm = start(board)
    if fault == "no loader":
        board.leave_tail(bytes(32))
    ticks(board, vm, HOUR_MS, every_ms=5000)

    code, where = DISABLED[fault]
    assert [entry[0] for entry in logged(vm)] == [code]
    assert where is None or logged(vm) == [(code, where)]
    assert board.network.requests == []
    assert vm.output == "", "the application's console is not twoslot's"


def test_the_log_keeps_the_last_eight(board: DeviceBoard) -> None:
    vm = start(board)
    vm.exec("from twoslot.errors import LinkError\nfrom twoslot.failures import log_error")
    for number in range(11):
        vm.exec(f"log_error(LinkError(4, {number}))")

    assert logged(vm) == [(4, number) for number in range(3, 11)]


def test_ctrl_c_in_a_tick_reaches_the_person(board: DeviceBoard) -> None:
    vm = start(board)
    ticks(board, vm, 100)
    board.soc.clock.advance_ms(60_000)
    vm.interrupt_at(board.soc.clock.ms + 500)
    with pytest.raises(KeyboardInterrupt):
        ticks(board, vm, 5000)
    vm.interrupt_at(None)

    with contextlib.suppress(ChipReset):
        ticks(board, vm, 300_000)
    assert board.newest().active == 1, "the update cannot go on after Ctrl-C"
    assert board.newest().counter_a == RUNNING


# Other reasons to check now.


def test_what_is_configured_may_ask_for_a_check_now(board: DeviceBoard) -> None:
    vm = start(board)
    asked = iter([None, 0])
    vm.modules["twoslot"]._pollers.append(lambda: next(asked, None))
    ticks(board, vm, 1000)

    assert heads(board) == 1
