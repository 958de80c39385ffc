"""A push that is under way: the application has its turns, and whatever else the board is asked for waits or ends it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.vm import DeviceVM
from support.device.push import LISTENS, PushingVisitor, Visitor, desk, develop, on_a_desk, push, pusher, street, visit
from support.testbed import MAIN, MINUTES_MS, TestBed, make_testbed, runs_confirmed

BOUND_MS = 500
BLOCKS = 40
MEASURED = """\
import time
longest = turns = 0
tick, sleep_ms = twoslot.tick, time.sleep_ms
while True:
    begun = time.ticks_ms()
    tick()
    turns += 1
    ms = time.ticks_diff(time.ticks_ms(), begun)
    if ms > longest:
        longest = ms
        print("@longest", ms, turns)
    sleep_ms(50)
"""
GET = b"GET /twoslot HTTP/1.1\r\n\r\n"
MEANWHILE = """\
import time
try:
    seen
except NameError:
    seen = 0
while True:
    twoslot.tick()
    if twoslot._agent and twoslot._agent.next > 3 and not seen:
        seen = 1
        %s
    time.sleep_ms(50)
"""
"""A program that does something in the middle of the first push."""


class ObservedVisitor(PushingVisitor):
    """Calls `then` with each thing that the board asks for."""

    then: Callable[[str], object] = staticmethod(lambda wants: None)

    def answer(self) -> None:
        known = len(self.asked)
        super().answer()
        for wants in self.asked[known:]:
            self.then(wants)


@pytest.fixture
def testbed(tmp_path: Path) -> TestBed:
    testbed = make_testbed(tmp_path, main=LISTENS.replace(MAIN, MEASURED), edit=on_a_desk)
    testbed.size = BLOCKS * 4096
    return testbed


@pytest.fixture
def board(testbed: TestBed) -> VirtualBoard:
    made = desk(testbed)
    made.on_print = SAID.append
    SAID.clear()
    return made


SAID: list[str] = []
"""What the board of a test printed."""


def watched(board: VirtualBoard, testbed: TestBed, number: int = 7) -> ObservedVisitor:
    made = pusher(board, develop(testbed, number))
    return ObservedVisitor(bytes(made.inbox).partition(b"\r\n\r\n")[0] + b"\r\n\r\n", *develop(testbed, number))


def longest() -> int:
    return max(int(ms) for ms in re.findall(r"@longest (\d+)", "".join(SAID)))


def test_a_push_holds_no_call(testbed: TestBed, vm: Callable[..., DeviceVM]) -> None:
    """It held the application for its signature, 3 s on a chip, and for its upload, up to 28 s."""
    testbed.vm = vm
    board = desk(testbed)
    board.on_print = SAID.append
    SAID.clear()
    visitor = pusher(board, develop(testbed, 7))
    begun = board.clock.ms
    visit(board, visitor, more_ms=MINUTES_MS)
    print(f"a push of {BLOCKS} blocks in {board.clock.ms - begun} ms: the longest turn took {longest()} ms")
    assert visitor.status == 200 and len(board.boots) == 2
    assert longest() <= BOUND_MS


@pytest.mark.parametrize("pieces", [0, 1])
def test_a_client_that_goes_silent_holds_no_call(testbed: TestBed, board: VirtualBoard, pieces: int) -> None:
    """Where it was asked for the table, and for blocks, and in the middle of one."""
    visitor = pusher(board, develop(testbed, 7))
    whole = PushingVisitor.piece
    sent: list[str] = []

    def piece(wants: str) -> bytes:
        sent.append(wants)
        return whole(visitor, wants)[: 500 if len(sent) > 2 * pieces else None]

    visitor.piece = piece  # type: ignore[method-assign]
    visit(board, visitor)
    assert visitor.status == 400 and visitor.code[0] in (4, 11, 12, 13)
    assert longest() <= BOUND_MS
    assert push(board, develop(testbed, 7)).status == 200


def test_strangers_meanwhile_hold_no_call_and_stop_no_push(testbed: TestBed, board: VirtualBoard) -> None:
    visitor = watched(board, testbed)
    strangers = [Visitor(sends) for sends in (GET, b"", b"POST /twoslot/release HTTP/1.1\r\n") * 4]

    def come(wants: str) -> None:
        if wants.startswith("bytes=0-"):
            street(board).visitors.extend(strangers)

    visitor.then = come
    visit(board, visitor, more_ms=1000)
    assert visitor.status == 200
    assert all(stranger.closed for stranger in strangers) and strangers[0].code == (55, 0)
    assert longest() <= BOUND_MS


@pytest.mark.parametrize("asks", ["get_schedule().wait(0)", "_pollers.append(lambda: 0)"], ids=["scheduled", "by a button"])
def test_a_check_waits_for_the_end_of_a_push(testbed: TestBed, asks: str) -> None:
    testbed.main = LISTENS.replace(MAIN, MEANWHILE % f"twoslot.{asks}")
    board = desk(testbed)
    visitor = watched(board, testbed)
    requests: list[int] = []
    visitor.then = lambda wants: requests.append(len(board.network.requests))
    visitor.pieces = 3
    visit(board, visitor, more_ms=1000)
    assert board.evaluate("seen") == 1
    assert len(set(requests)) == 1 and len(requests) > 2, "a check began meanwhile"
    board.run(10_000)
    assert len(board.network.requests) > requests[0]


def test_a_command_meanwhile_ends_the_push_and_nothing_else(testbed: TestBed) -> None:
    testbed.main = LISTENS.replace(MAIN, MEANWHILE % "twoslot.check()")
    board = desk(testbed)
    ended = push(board, develop(testbed, 7))
    assert ended.status == 503 and ended.code == (55, 0)
    assert board.evaluate("seen") == 1 and push(board, develop(testbed, 7)).status == 200


def test_the_applications_function_puts_the_restart_off(testbed: TestBed, board: VirtualBoard) -> None:
    board.run_line("asked = []\ntwoslot.before_restart(lambda: [asked.append(1), 20_000 if len(asked) < 4 else 0][1])")
    done = push(board, develop(testbed, 7))
    assert done.status == 200 and len(board.boots) == 1
    at = board.clock.ms
    board.run(5 * MINUTES_MS, until=lambda: len(board.boots) == 2)
    assert 40_000 <= board.clock.ms - at <= 70_000


def test_clients_who_come_one_after_another_keep_no_check_from_beginning(testbed: TestBed) -> None:
    """Each asks, is answered, and the next one is there."""
    testbed.publish(2)
    board = desk(testbed)
    visitors = [Visitor(GET) for _ in range(400)]
    street(board).visitors.extend(visitors)
    board.run(3 * MINUTES_MS, until=lambda: runs_confirmed(board, 2))
    assert not visitors[-1].closed and board.network.requests, "they left before the check was due"
