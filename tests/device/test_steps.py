"""twoslot.tick() in a program of its own: bounded steps, a fed watchdog, one caller at a time, no exception."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from slotbench.vboard.network.faults import FaultyNetwork
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.signals import ChipReset
from slotbench.vboard.vm import CPythonVM
from support.device.board import CHANNEL, PRODUCT, DeviceBoard
from support.device.network import ScriptedNetwork, Wait, drip, head, ok
from support.device.release import offer
from support.device.site import Site, files_app

HEAD_PATH = f"/heads/{PRODUCT}/{CHANNEL}.head"
BOUND_MS = 500
BUSY = 1 << 24
"""The bit of the word at 0x600013D8 (FORMATS.md, RTC tail)."""


def started(board: DeviceBoard) -> CPythonVM:
    vm = board.start()
    vm.exec("import twoslot")
    return vm


def longest_tick(board: DeviceBoard, vm: CPythonVM, ms: int, every_ms: int = 100) -> int:
    """Call tick() as a main loop does; the longest call in virtual milliseconds."""
    tick, clock, longest = vm.modules["twoslot"].tick, board.soc.clock, 0
    end = clock.ms + ms
    while clock.ms < end:
        before = clock.ms
        tick()
        longest = max(longest, clock.ms - before)
        clock.advance_ms(every_ms)
    return longest


def logged(vm: CPythonVM) -> list[tuple[int, int]]:
    return [(code, where) for _, code, where in vm.modules["twoslot"]._log]


@pytest.fixture
def board(make_board: Callable[..., DeviceBoard], site: Site) -> DeviceBoard:
    return make_board(FaultyNetwork(WsgiNetwork(site.app())))


# No server holds the application up.


@pytest.mark.parametrize("answer", [
    [], drip(ok(b"x" * 900), 9000, 100), drip(ok(b"x" * 900), 50, 1), drip(head("Transfer-Encoding: chunked"), 700, 3),
], ids=["silent", "late pieces", "each byte", "late head"])
@pytest.mark.parametrize("secret", [False, True])
def test_a_slow_server_holds_no_call(
    make_board: Callable[..., DeviceBoard], answer: Any, secret: bool,
) -> None:
    board = make_board(ScriptedNetwork(*[[answer]] * 50))
    if secret:
        board.files["/twoslot.secret"] = json.dumps({"secret": "ab" * 32}).encode()
    vm = started(board)

    assert longest_tick(board, vm, 90_000) <= BOUND_MS
    assert logged(vm), "the attempt never ended"


def test_a_server_that_takes_no_connection_holds_no_call(make_board: Callable[..., DeviceBoard]) -> None:
    board = make_board(ScriptedNetwork(115))
    vm = started(board)

    assert longest_tick(board, vm, 60_000) <= BOUND_MS
    assert logged(vm)[0] == (3, 115)


@pytest.fixture
def late_board(make_board: Callable[..., DeviceBoard], site: Site) -> DeviceBoard:
    """Its server answers 5 s after it was asked for the head."""
    text = (site.root / HEAD_PATH[1:]).read_bytes()
    return make_board(ScriptedNetwork([[Wait(5000), ok(text)]], *[[[Wait(5000)]]] * 5))


def test_a_head_that_comes_five_seconds_late_is_taken(late_board: DeviceBoard) -> None:
    vm = started(late_board)
    assert longest_tick(late_board, vm, 60_000) <= BOUND_MS

    assert late_board.network.requests[1].path.startswith("/releases/"), "the head was not accepted"


def test_the_watchdog_of_the_application_is_fed(late_board: DeviceBoard) -> None:
    """One that bites after 3.2 s, as the port's does, and an application that does nothing but tick."""
    vm = started(late_board)
    vm.exec(
        "import time\n"
        "class Dog:\n"
        "    last = time.ticks_ms()\n"
        "    longest = 0\n"
        "    def feed(self):\n"
        "        now = time.ticks_ms()\n"
        "        Dog.longest = max(Dog.longest, time.ticks_diff(now, Dog.last))\n"
        "        Dog.last = now\n"
        "dog = Dog()\n"
        "for i in range(400):\n"
        "    twoslot.tick(dog)\n"
        "    time.sleep_ms(100)\n")

    assert len(late_board.network.requests) > 1
    assert 0 < vm.eval("Dog.longest") < 3200


# One caller at a time.


def test_a_callback_that_ticks_inside_a_tick_changes_nothing(board: DeviceBoard) -> None:
    vm = started(board)
    vm.exec(
        "import machine\n"
        "inside = []\n"
        "def fire(t):\n"
        "    inside.append(twoslot._busy)\n"
        "    twoslot.tick()\n"
        "machine.Timer(-1).init(period=3, mode=machine.Timer.PERIODIC, callback=fire)\n")
    with pytest.raises(ChipReset):
        longest_tick(board, vm, 120_000)

    assert True in vm.eval("inside"), "no callback came inside"
    assert logged(vm) == [] and board.newest().active == 1


@pytest.mark.parametrize("verb", ["status", "check", "update", "confirm", "rollback"])
def test_a_verb_inside_a_tick_is_refused_in_words(board: DeviceBoard, verb: str) -> None:
    vm = started(board)
    vm.exec(
        f"answers = []\ntwoslot._pollers.append(lambda: answers.append(twoslot.{verb}()))\n"
        "twoslot.get_schedule()\ntwoslot.tick()")

    assert vm.eval("answers") == [False]
    assert "55 busy" in vm.output and not vm.eval("twoslot._busy")


def test_the_board_knows_that_it_is_inside(board: DeviceBoard) -> None:
    vm = started(board)
    vm.exec(
        "import machine\nseen = []\n"
        "twoslot._pollers.append(lambda: seen.append(machine.mem32[0x600013D8]))\n"
        "twoslot.get_schedule()\ntwoslot.tick()")

    assert vm.eval("seen[0]") & BUSY
    assert not vm.eval("machine.mem32[0x600013D8]") & BUSY


# Nothing leaves tick().


@pytest.mark.parametrize(("raised", "entry"), [
    ("RuntimeError('maximum recursion depth exceeded')", (78, 0)), ("OSError(5)", (79, 5)),
    ("ValueError()", (79, 0)), ("MemoryError()", (0, 0))])
def test_no_exception_leaves_a_tick(board: DeviceBoard, raised: str, entry: tuple[int, int]) -> None:
    vm = started(board)
    vm.exec(f"twoslot.tick()\nreal = twoslot.load_agent\ndef broken():\n    raise {raised}\ntwoslot.load_agent = broken")
    longest_tick(board, vm, 60_000)
    assert entry in logged(vm)
    assert bool(vm.eval("__import__('machine').mem32[0x600013D8]") & 1 << 27) == (entry[0] == 78), "a check comes first"

    vm.exec("twoslot.load_agent = real")
    with pytest.raises(ChipReset):
        longest_tick(board, vm, 300_000)


def test_the_task_goes_on_where_not_one_call_fits(board: DeviceBoard) -> None:
    vm = started(board)
    vm.runtime.files = {**vm.runtime.files, "/twoslot/outcome.py": b"raise RuntimeError"}
    vm.exec("twoslot.tick()\ndef none(*a):\n    raise RuntimeError\ntwoslot.get_schedule = none\ntwoslot.tick()")
    assert logged(vm) == [(78, 1)] and not vm.eval("twoslot._busy")


# Memory.


def signed(size: int) -> bytes:
    """A head of so many bytes."""
    found = offer(head={"note": ""}).head
    return offer(head={"note": "x" * (size - len(found))}).head


@pytest.mark.parametrize("framed", [True, False], ids=["length", "no length"])
@pytest.mark.parametrize(("size", "code"), [(1536, 0), (1537, 9), (4096, 9)])
def test_a_head_has_1536_bytes_at_most(
    make_board: Callable[..., DeviceBoard], size: int, code: int, framed: bool,
) -> None:
    text = signed(size)
    assert len(text) == size

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", str(size))] if framed else [])
        return [text]

    board = make_board(FaultyNetwork(WsgiNetwork(serve if not framed else files_app({HEAD_PATH: text}))))
    vm = started(board)
    longest_tick(board, vm, 45_000)
    assert (code == 9) == (9 in {found for found, _ in logged(vm)})


def test_memory_that_a_stranger_used_up_is_no_reason_for_a_restart(board: DeviceBoard) -> None:
    vm = started(board)
    vm.exec(
        "twoslot.tick()\n"
        "class Starved:\n"
        "    state, unproven, source, interval_s = 1, True, None, None\n"
        "    def begin(self, etag):\n"
        "        pass\n"
        "    def end(self):\n"
        "        pass\n"
        "    def step(self, schedule):\n"
        "        raise MemoryError\n"
        "def load():\n"
        "    twoslot._agent = Starved()\n"
        "    return twoslot._agent\n"
        "twoslot.load_agent = load\n")
    longest_tick(board, vm, 4 * 3_600_000, 1000)

    assert set(logged(vm)) == {(0, 0)}


# Who calls seldom gets more done in a call, and the program's frequency stays.


def calls_of_an_update(board: DeviceBoard, every_ms: int) -> tuple[int, int]:
    """How many calls of tick() download and verify a release, and the longest of them in milliseconds."""
    vm = started(board)
    tick, clock, twoslot = vm.modules["twoslot"].tick, board.soc.clock, vm.modules["twoslot"]
    calls = longest = 0
    with pytest.raises(ChipReset):
        for _ in range(3_000):
            before = clock.ms
            calls += twoslot._agent is not None
            tick()
            longest = max(longest, clock.ms - before)
            clock.advance_ms(every_ms)
    return calls, longest


@pytest.mark.parametrize(("step_ms", "least", "most"), [(100, 1.0, 1.0), (500, 0.2, 0.7), (1000, 0.2, 0.7)])
def test_who_calls_seldom_gets_more_done_in_a_call(
    make_board: Callable[..., DeviceBoard], step_ms: int, least: float, most: float, site: Site,
) -> None:
    seldom, often = (
        calls_of_an_update(make_board(WsgiNetwork(site.app()), step_ms=step_ms), every_ms)
        for every_ms in (1_000, 10))
    assert least * often[0] <= seldom[0] <= most * often[0]
    assert max(seldom[1], often[1]) <= max(step_ms, BOUND_MS)


@pytest.mark.parametrize("hz", [80_000_000, 160_000_000])
@pytest.mark.parametrize("raised", [None, "OSError(5)", "MemoryError()", "KeyboardInterrupt()"])
def test_a_step_works_at_160_mhz_and_leaves_the_frequency_of_the_program(
    board: DeviceBoard, hz: int, raised: str | None,
) -> None:
    vm = started(board)
    vm.exec(
        f"import machine, sys\nmachine.freq({hz})\ntwoslot.tick()\nagent = twoslot.load_agent()\nagent.begin()\n"
        "seen = []\ndef step(agent):\n"
        f"    seen.append(machine.freq())\n    {'raise ' + raised if raised else 'pass'}\n"
        "stage = sys.modules['twoslot.stage'] = type(sys)('stage')\nstage.step = step\nagent.stage = 'twoslot.stage'\n"
        "try:\n    agent.step()\nexcept BaseException:\n    seen.append(0)\n")
    assert vm.eval("seen") == [160_000_000] + [0] * bool(raised)
    assert vm.eval("machine.freq()") == hz
