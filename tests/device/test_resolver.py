"""twoslot.resolver: a name is resolved without waiting, and no datagram of a stranger does harm."""

from __future__ import annotations

import random
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from slotbench.vboard.network.base import Datagrams
from slotbench.vboard.network.names import answer_names
from support.device.board import DeviceBoard
from support.device.network import Peers

NAME = "updates.lamp.test"
ADDRESS = "192.0.2.7"
UNKNOWN, SILENT = -2, 110
STEP_MS = 20


class Server(Peers):
    """Each question goes to `answers`, which returns datagrams."""

    def __init__(self, answers: Callable[[bytes], list[bytes]]) -> None:
        super().__init__(0)
        self.answers = answers
        self.asked: list[bytes] = []

    def name_server(self) -> Datagrams:
        server, coming = self, deque[bytes]()

        class ResolverLink:
            def send(self, data: bytes) -> None:
                server.asked.append(data)
                coming.extend(server.answers(data))

            def receive(self) -> bytes | None:
                return coming.popleft() if coming else None

            def close(self) -> None:
                coming.clear()

        return ResolverLink()


def resolved(server: Server, make_board: Callable[..., DeviceBoard], name: str = NAME) -> tuple[Any, int]:
    """What address() returns or raises (its number), and after how many milliseconds."""
    board = make_board(server)
    vm = board.start()
    resolver = vm.import_("twoslot.resolver")
    clock, begun = board.soc.clock, board.soc.clock.ms
    found = None
    while found is None and clock.ms - begun < 30_000:
        before = clock.ms
        try:
            found = resolver.address(name, 80)
        except OSError as error:
            found = error.args[0]
        assert clock.ms - before < STEP_MS, "it waits"
        clock.advance_ms(STEP_MS)
    return found, clock.ms - begun


def right(question: bytes) -> bytes:
    answer = answer_names(question, lambda name: ADDRESS)
    assert answer is not None
    return answer


def answer_with(question: bytes, *records: tuple[bytes, int, bytes], code: int = 0) -> bytes:
    """An answer with records of (name, type, data)."""
    body = b"".join(
        name + struct.pack(">HHIH", kind, 1, 60, len(data)) + data for name, kind, data in records)
    return question[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(records), 0, 0) + question[12:] + body


def test_a_question_and_its_answer(make_board: Callable[..., DeviceBoard]) -> None:
    server = Server(lambda question: [right(question)])
    assert resolved(server, make_board)[0] == (ADDRESS, 80)
    (question,) = server.asked
    assert question[2:] == (
        b"\x01\0\0\x01\0\0\0\0\0\0" + b"\x07updates\x04lamp\x04test\0" + b"\0\x01\0\x01")


def test_no_call_of_an_attempt_waits_for_a_silent_name_server(make_board: Callable[..., DeviceBoard]) -> None:
    board = make_board(Server(lambda question: []))
    vm = board.start()
    tick, clock = vm.import_("twoslot").tick, board.soc.clock
    longest = 0
    for _ in range(1_200):
        before = clock.ms
        tick()
        longest = max(longest, clock.ms - before)
        clock.advance_ms(50)
    assert longest <= 500
    assert vm.import_("twoslot")._log[0][1:] == (2, SILENT)


def test_a_silent_server_is_asked_four_times(make_board: Callable[..., DeviceBoard]) -> None:
    server = Server(lambda question: [])
    found, ms = resolved(server, make_board)
    assert found == SILENT and 9_900 <= ms <= 10_300
    assert len(server.asked) == 4 and len({question[:2] for question in server.asked}) == 4
    assert len({question[2:] for question in server.asked}) == 1


def test_an_answer_to_the_second_question_counts(make_board: Callable[..., DeviceBoard]) -> None:
    server = Server(lambda question: [right(question)] if len(server.asked) == 2 else [])
    assert resolved(server, make_board) == ((ADDRESS, 80), pytest.approx(1_000, abs=100))


@pytest.mark.parametrize("spoil", [
    lambda a: bytes((a[0] ^ 1,)) + a[1:],
    lambda a: a[:2] + b"\x01" + a[3:],
    lambda a: a[:2] + bytes((a[2] | 0x08,)) + a[3:],
    lambda a: a.replace(b"lamp", b"lump"),
    lambda a: a[:-2],
    lambda a: a[:5],
    lambda a: b"",
], ids=["another number", "a question", "another kind", "another name", "cut short", "head cut", "empty"])
def test_what_is_no_answer_to_the_question_counts_for_nothing(
    make_board: Callable[..., DeviceBoard], spoil: Callable[[bytes], bytes],
) -> None:
    server = Server(lambda question: [spoil(right(question)), right(question)])
    assert resolved(server, make_board)[0] == (ADDRESS, 80)
    assert len(server.asked) == 1
    assert resolved(Server(lambda question: [spoil(right(question))]), make_board)[0] == SILENT


@pytest.mark.parametrize("code", [1, 2, 4, 5])
def test_a_server_that_cannot_tell_now_is_asked_again(make_board: Callable[..., DeviceBoard], code: int) -> None:
    server = Server(lambda question: [answer_with(question, code=code)])
    assert resolved(server, make_board)[0] == SILENT
    assert len(server.asked) == 4


def test_a_name_that_nobody_has(make_board: Callable[..., DeviceBoard]) -> None:
    assert resolved(Server(lambda question: [answer_with(question, code=3)]), make_board)[0] == UNKNOWN
    without = Server(lambda question: [answer_with(question, (b"\xc0\x0c", 28, bytes(16)))])
    assert resolved(without, make_board)[0] == UNKNOWN


def test_a_chain_of_names_leads_to_one_of_several_addresses(make_board: Callable[..., DeviceBoard]) -> None:
    edge = b"\x04edge\x04test\0"
    server = Server(lambda question: [answer_with(
        question, (b"\xc0\x0c", 5, edge), (edge, 1, bytes((192, 0, 2, 1))), (edge, 1, bytes((192, 0, 2, 2))),
        (edge, 16, b"text"))])
    resolver = make_board(server).start().import_("twoslot.resolver")
    found = {resolver.address(NAME, 80) for _ in range(60)} - {None}
    assert found == {("192.0.2.1", 80), ("192.0.2.2", 80)}


def test_of_a_long_answer_what_comes_first_counts(make_board: Callable[..., DeviceBoard]) -> None:
    many = [(b"\xc0\x0c", 1, bytes((192, 0, 2, i))) for i in range(24)]
    server = Server(lambda question: [answer_with(question, *many)])
    assert resolved(server, make_board)[0][0].startswith("192.0.2.")


def test_an_answer_too_long_to_have_an_address_is_left_to_the_port(make_board: Callable[..., DeviceBoard]) -> None:
    alias = b"".join(b"\x3f" + bytes((97 + i,)) * 63 for i in range(3)) + b"\x3e" + b"z" * 62 + b"\0"
    server = Server(lambda question: [answer_with(question, (b"\xc0\x0c", 5, alias), (alias, 1, bytes(4)))])
    board = make_board(server)
    resolver = board.start().import_("twoslot.resolver")
    assert resolver.address(NAME, 80) is None
    assert resolver.address(NAME, 80)[1] == 80 and len(server.asked) == 1


@pytest.mark.parametrize("name", ["a" * 64 + ".test", "updates..test", ""])
def test_what_cannot_be_asked_is_left_to_the_port(make_board: Callable[..., DeviceBoard], name: str) -> None:
    server = Server(lambda question: [])
    resolver = make_board(server).start().import_("twoslot.resolver")
    assert resolver.address(name, 80)[1] == 80
    assert server.asked == []


def test_damaged_answers_do_no_harm(make_board: Callable[..., DeviceBoard]) -> None:
    seed = 20261129
    print(f"seed {seed}")
    chance = random.Random(seed)

    def damaged(question: bytes) -> list[bytes]:
        answers = []
        for _ in range(40):
            answer = bytearray(right(question))
            for _ in range(chance.randrange(1, 6)):
                answer[chance.randrange(2, len(answer))] = chance.choice([0, 1, 63, 64, 191, 192, 255])
            answers.append(bytes(answer[: chance.randrange(len(answer) + 1)]) + chance.randbytes(chance.randrange(30)))
        return answers

    for _ in range(8):
        found, _ = resolved(Server(damaged), make_board)
        assert found in (SILENT, UNKNOWN) or isinstance(found, tuple)


def test_who_asks_second_waits_for_the_first(make_board: Callable[..., DeviceBoard]) -> None:
    server = Server(lambda question: [right(question)] if b"broker" in question or len(server.asked) > 1 else [])
    board = make_board(server)
    resolver = board.start().import_("twoslot.resolver")
    assert resolver.address(NAME, 80) is None
    assert resolver.address("broker.test", 1883) is None and len(server.asked) == 1
    board.soc.clock.advance_ms(1_100)
    assert resolver.address(NAME, 80) is None
    assert resolver.address(NAME, 80) == (ADDRESS, 80)
    assert resolver.address("broker.test", 1883) is None
    assert resolver.address("broker.test", 1883) == (ADDRESS, 1883)


def test_a_question_that_nobody_asks_for_any_more_makes_room(make_board: Callable[..., DeviceBoard]) -> None:
    board = make_board(Server(lambda question: []))
    resolver = board.start().import_("twoslot.resolver")
    assert resolver.address(NAME, 80) is None
    board.soc.clock.advance_ms(12_000)
    resolver.address("broker.test", 1883)
    assert resolver.host == "broker.test"


def test_a_late_answer_is_not_taken_for_the_next_name(make_board: Callable[..., DeviceBoard]) -> None:
    server = Server(lambda question: [right(question)])
    board = make_board(server)
    resolver = board.start().import_("twoslot.resolver")
    assert resolver.address(NAME, 80) is None  # its answer comes, and nobody asks for it
    board.soc.clock.advance_ms(12_000)
    assert resolver.address("broker.test", 1883) is None
    assert [b"broker" in question for question in server.asked] == [False, True]
