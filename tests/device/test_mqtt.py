"""twoslot.mqtt.subscription and twoslot.mqtt.client: whatever a broker sends, a call ends soon, raises nothing and reads little."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotbench.vboard.frozen import stock
from support.device.board import CHANNEL, PRODUCT, DeviceBoard
from support.device.network import CLOSE, Fail, Item, ScriptedNetwork, Wait, drip
from support.mqtt.brokers import message
from support.sampling import examples

STATE_TABLE = 3
"""Of the agent: the image begins."""

pytestmark = pytest.mark.usefixtures("mqtt")

TOPIC = f"twoslot/{PRODUCT}/{CHANNEL}".encode()
WELCOME = b"\x20\x02\0\0\x90\x03\0\x01\0"
TURN_MS = CONNECT_MS = 200
JITTER_MS = 65_536
KNOWN = 11
"""seq of the newest head the board knows."""


class Ear:
    """A board whose broker sends this script and then nothing; later connections are refused."""

    def __init__(self, *script: Item) -> None:
        self.network = ScriptedNetwork([list(script)], *([104] * 60))
        self.board = DeviceBoard(self.network, mqtt="10.0.0.9")
        self.clock = self.board.soc.clock
        self.vm = self.board.start(frozen=stock())
        self.twoslot = self.vm.import_("twoslot")
        self.vm.import_("twoslot.mqtt.client").open_subscription(self.board.settings, KNOWN)
        self.hint = self.twoslot._pollers[0].__self__
        self.twoslot.drop("mqtt.client", "errors")
        self.longest = 0.0
        self.wanted: list[tuple[float, int]] = []

    def hear(self, seconds: int) -> None:
        """Poll once a second."""
        for _ in range(seconds):
            begin_ms = self.clock.ms
            wanted = self.hint.poll()
            self.longest = max(self.longest, self.clock.ms - begin_ms)
            if wanted is not None:
                self.wanted.append((begin_ms, wanted))
            self.clock.advance_ms(1000)

    @property
    def log(self) -> list[tuple[int, int]]:
        return [(code, where) for _, code, where in self.twoslot._log]


PACKET = st.builds(
    lambda first, length, rest: bytes([first]) + length + rest,
    st.sampled_from([0x30, 0x31, 0x32, 0x34, 0x36, 0x90, 0xD0, 0x20, 0x10]) | st.integers(0, 255),
    st.sampled_from([b"\0", b"\x01", b"\x15", b"\x7f", b"\xff\x7f", b"\xff\xff\xff\x7f", b"\x80\x80\x80\x80\x01"]),
    st.binary(max_size=40) | st.just(len(TOPIC).to_bytes(2, "big") + TOPIC + b"12"))


@given(
    script=st.lists(PACKET | st.binary(min_size=1, max_size=300) | st.builds(Wait, st.integers(1, 2000)), max_size=6),
    welcomed=st.booleans())
@examples(150)
def test_any_bytes_at_any_pace(script: list[Item], welcomed: bool) -> None:
    ear = Ear(*([WELCOME] if welcomed else []), *script)
    ear.hear(120)
    assert ear.longest <= CONNECT_MS
    assert all(1 <= ms <= JITTER_MS for _, ms in ear.wanted)
    assert {code for code, _ in ear.log} <= {14}
    assert "umqtt.simple" not in ear.vm.modules and "twoslot.mqtt.client" not in ear.vm.modules


@pytest.mark.parametrize("end", [CLOSE, Fail(104)], ids=["closed", "reset"])
def test_a_connection_that_ends(end: Item) -> None:
    ear = Ear(WELCOME, Wait(20_000), end)
    ear.hear(120)
    assert ear.log == [(14, 104)] and ear.network.open_connections == 0


def test_a_message_that_drips_in_has_five_seconds_and_holds_nobody_up() -> None:
    """A broker must not hold up the application's loop by sending byte after byte."""
    ear = Ear(WELCOME, Wait(40_000), *drip(message(TOPIC, b"12"), 400))
    ear.hear(100)
    assert ear.longest <= TURN_MS and ear.log == [(14, 110)] and ear.wanted == []


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6, 0x85, 255])
def test_each_answer_to_connect_has_its_code(number: int) -> None:
    ear = Ear(bytes((0x20, 2, 0, number)))
    ear.hear(60)
    assert ear.log == [(14 + number, 0) if number <= 5 else (14, number)]


@pytest.mark.parametrize("answer", [b"", b"\x20", b"\x20\x02\0\0", b"\x20\x02\0\0\x90\x03\0"], ids=len)
def test_a_broker_that_falls_silent_holds_nobody_up(answer: bytes) -> None:
    """It accepts the connection, says so much, and then nothing more: each turn is short, and it is left."""
    ear = Ear(*([answer] if answer else []))
    ear.hear(60)
    assert ear.longest <= 100, "a round trip for the connection, one for each packet that is sent"
    assert ear.log == [(14, 110)]


def test_a_hint_and_the_jitter() -> None:
    ear = Ear(WELCOME + message(TOPIC, b"12"))
    ear.hear(60)
    assert len(ear.wanted) == 1 and 1 <= ear.wanted[0][1] <= JITTER_MS
    assert ear.log == [] and ear.hint.seq == 12


@pytest.mark.parametrize("payload", [
    b"", b"now", b"-1", b"1.5", b"9" * 11, b"\xff\xfe", b"1\0", b" 7", b"0x7", "\u0667".encode(),
], ids=repr)
def test_a_message_that_is_no_number_is_ignored(payload: bytes) -> None:
    ear = Ear(WELCOME + message(TOPIC, payload))
    ear.hear(60)
    assert ear.wanted == [] and ear.log == [] and ear.hint.sock is not None


@pytest.mark.parametrize("topic", [b"twoslot/lamp/beta", b"twoslot/lamp", b"", TOPIC.upper()], ids=repr)
def test_another_topic_is_ignored(topic: bytes) -> None:
    ear = Ear(WELCOME + message(topic, b"12"))
    ear.hear(60)
    assert ear.wanted == [] and ear.log == [] and ear.hint.sock is not None


@pytest.mark.parametrize("data", [
    b"\x30\xff\xff\xff\x7f\0\x13" + TOPIC, b"\x30" + b"\x80" * 1000, b"\x30\x05\xff\xffabc",
    b"\x30\x00\x00\x13" + TOPIC, b"\x90\x03" * 1000,
], ids=["256 MB", "a length without end", "a long topic", "less than nothing", "not a subscriber's"])
def test_no_more_is_read_than_a_hint_can_have(data: bytes) -> None:
    """Its length decides: the board neither waits for it nor stores it."""
    ear = Ear(WELCOME, Wait(40_000), data)
    ear.hear(36)
    ear.longest = 0
    ear.hear(60)
    assert ear.longest < 100 and ear.wanted == []
    assert ear.log in ([(14, 90)], [(14, 0)])
    assert ear.network.received <= len(WELCOME) + 257


@pytest.mark.parametrize("payload", [str(KNOWN).encode(), b"0011"])
def test_a_known_seq_is_no_hint(payload: bytes) -> None:
    ear = Ear(WELCOME + message(TOPIC, payload))
    ear.hear(60)
    assert ear.wanted == [] and ear.log == []


def test_hints_one_after_another_wait_longer_and_longer() -> None:
    flood = [message(TOPIC, b"%d" % (KNOWN + 1 + number)) for number in range(3000)]
    ear = Ear(WELCOME, *flood)
    ear.hear(3000)
    times = [at for at, _ in ear.wanted]
    gaps = [(later - earlier) / 60_000 for earlier, later in zip(times, times[1:])]
    assert gaps == pytest.approx([1, 2, 4, 8, 16], rel=0.05), "minutes between checks"


def test_weeks_of_silence_stay_a_small_number() -> None:
    """Beyond 30 bits MicroPython allocates a number on the heap, at each poll."""
    ear = Ear(WELCOME)
    for _ in range(20):
        ear.clock.advance_ms(86_400_000)
        ear.hint.poll()
    assert -(1 << 30) < ear.hint.rest_ms <= -7_200_000


def test_a_hint_that_is_withdrawn_is_none() -> None:
    """Only the last message counts."""
    ear = Ear(WELCOME, message(TOPIC, b"12"), Wait(40_000), message(TOPIC, b"13"), message(TOPIC, b"12"))
    ear.hear(300)
    assert len(ear.wanted) == 1


def test_it_disconnects_while_an_image_comes() -> None:
    """The image needs the memory. Afterwards it connects again. A check leaves it as it is."""
    ear = Ear(WELCOME)
    ear.hear(60)
    ear.twoslot._agent = SimpleNamespace(state=STATE_TABLE - 1)
    ear.hear(5)
    assert ear.network.open_connections == 1
    ear.twoslot._agent.state = STATE_TABLE
    ear.hear(5)
    assert ear.network.open_connections == 0 and ear.hint.sock is None
    ear.hear(600)
    assert len(ear.network.scripts) == 60, "no connection meanwhile"
    ear.twoslot._agent = None
    ear.hear(60)
    assert len(ear.network.scripts) < 60


def test_an_application_that_uses_umqtt_keeps_it() -> None:
    ear = Ear(WELCOME)
    ear.vm.exec("from umqtt import simple\nmodule = simple.socket")
    ear.hear(60)
    assert ear.hint.sock is not None
    ear.vm.exec("import umqtt.simple\nassert umqtt.simple is simple and simple.socket is module")


def test_no_memory_is_no_reason_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    ear = Ear(WELCOME)
    real = ear.vm._load

    def out_of_memory(name: str) -> Any:
        if name == "twoslot.mqtt.client":
            raise MemoryError
        return real(name)

    monkeypatch.setattr(ear.vm, "_load", out_of_memory)
    ear.hear(120)
    assert ear.wanted == [] and ear.network.connections == 0


def begin(twoslot: Any) -> None:
    """The first calls of tick(): one makes the schedule, another asks for the broker."""
    twoslot.get_schedule()
    twoslot.tick()


def hint_of(make_board: Callable[..., DeviceBoard], **changes: object) -> tuple[int, list[tuple[int, int]]]:
    board = make_board(**changes)
    vm = board.start(frozen=stock())
    twoslot = vm.import_("twoslot")
    begin(twoslot)
    return len(twoslot._pollers), [(code, where) for _, code, where in twoslot._log]


def test_a_seq_in_the_journal_is_no_hint(make_board: Callable[..., DeviceBoard]) -> None:
    board = make_board(mqtt="broker.lan")
    board.put_cell(0, replace(board.newest(), head_seq=KNOWN))
    twoslot = board.start(frozen=stock()).import_("twoslot")
    begin(twoslot)
    assert twoslot._pollers[0].__self__.seq == KNOWN


def test_it_starts_only_when_it_is_configured(make_board: Callable[..., DeviceBoard]) -> None:
    assert hint_of(make_board) == (0, [])
    assert hint_of(make_board, mqtt="broker.lan") == (1, [])
    assert hint_of(make_board, mqtt="broker.lan:x") == (0, [(70, 13)])
