"""Boards that get a release at once, because somebody asked (`fleet.installs`): the head lists them."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from slotbench.errors import BenchError
from slotbench.fleet.audit_log import list_audit
from slotbench.fleet.board_list import find_board, list_entries
from slotbench.fleet.board_words import entry_words
from slotbench.fleet.installs import ask_install, cancel_install
from slotbench.fleet.schema import heads
from slotbench.formats.head import DEVICES_MAX
from slotbench.release.rollout import Channel
from support.fleet import fill
from support.installs import PERSON, Installs
from support.samples import NOW, PRODUCT


def test_a_board_is_listed_by_one_signed_head_and_the_rest_stays(installs: Installs) -> None:
    before = installs.head
    for _ in range(2):
        installs.ask(3)
    assert installs.turn() == [3] and not installs.waiting
    assert (installs.head.percent, installs.head.cohorts) == (before.percent, before.cohorts)
    assert installs.head.includes("lamp-000003") and not installs.head.includes("lamp-000004")
    seq = installs.head.seq
    assert seq > before.seq
    installs.ask(3)
    assert not installs.waiting, "it is listed"
    assert installs.turn() == [3] and installs.head.seq == seq, "nothing was asked, nothing is signed"
    with installs.database.reading() as connection:
        told = [(entry.who, entry.action, entry.detail) for entry in reversed(list_audit(connection))]
        board = find_board(connection, "lamp-000003", NOW, 3600)
        assert board is not None
        entry = list_entries(connection, "lamp-000003", PRODUCT)[0]
        listed = connection.execute(select(heads.c.devices).where(heads.c.seq == seq)).scalar_one()
    assert told == [
        ("somebody", "install", "sensor/stable counter 7"),
        ("the process that signs", "devices", "0 % of the boards and devices lamp-000003")]
    assert entry_words(entry).startswith("is to have, whatever the percentage, ") and listed == '["lamp-000003"]'


def test_a_board_is_taken_from_the_list(installs: Installs) -> None:
    for number in (3, 4):
        installs.ask(number)
    assert installs.turn() == [3, 4]
    installs.ask(3, cancel_install)
    assert installs.turn() == [4]
    installs.ask(5)
    installs.ask(5, cancel_install)
    seq = installs.head.seq
    assert installs.turn() == [4] and installs.head.seq == seq and not installs.waiting


def test_those_that_are_done_make_room_and_others_wait_in_turn(installs: Installs) -> None:
    for number in range(DEVICES_MAX + 3):
        installs.ask(number)
    assert installs.turn() == list(range(DEVICES_MAX))
    assert installs.waiting == [f"lamp-{DEVICES_MAX + number:06}" for number in range(3)]
    installs.change(2, running=7, report_counter=7)
    installs.change(5, report=2, report_counter=7)
    listed = installs.turn()
    assert set(range(DEVICES_MAX)) - set(listed) == {2, 5} and listed[-2:] == [DEVICES_MAX, DEVICES_MAX + 1]
    assert installs.waiting == [f"lamp-{DEVICES_MAX + 2:06}"]


def test_ids_that_make_the_head_too_long_wait(installs: Installs) -> None:
    fill(installs.database, 16, device_id=lambda number: f"{number:064}")
    for number in range(16):
        with installs.database.writing() as connection:
            ask_install(connection, PERSON, NOW + number, f"{number:064}")
    installs.turn()
    assert len(installs.head.to_payload()) + 531 <= 1536
    assert 8 < len(installs.head.devices) < 16 and len(installs.waiting) == 16 - len(installs.head.devices)


def test_another_release_begins_with_an_empty_list(installs: Installs) -> None:
    installs.ask(3)
    assert installs.turn() == [3]
    installs.publish(8)
    assert installs.turn() == []
    installs.ask(3)
    assert installs.turn() == [3]


def test_a_process_that_dies_after_it_signed_signs_nothing_twice(installs: Installs) -> None:
    installs.ask(3)
    head = Channel(installs.site, installs.ring.document, installs.ring.load("online")).promote(
        int(installs.clock[0]), devices=["lamp-000003"])
    assert installs.turn() == [3] and installs.head.seq == head.seq and not installs.waiting


def test_a_pause_holds_for_listed_boards(installs: Installs) -> None:
    installs.ask(3)
    channel = Channel(installs.site, installs.ring.document, installs.ring.load("online"))
    channel.pause(int(installs.clock[0]))
    installs.mirror.sync()
    assert installs.turn() == [3] and installs.head.paused
    with pytest.raises(BenchError, match="the channel stable is paused: .*; resume it first"):
        installs.ask(4)


@pytest.mark.parametrize(("values", "said"), [
    ({"running": 7}, "it runs counter 7, and its channel offers nothing newer"),
    ({"running": 0x80000001}, "offers nothing newer"), ({"channel": "beta"}, "offers nothing newer"),
    ({"report": 2, "report_counter": 7}, "it gave counter 7 up, and tries it no more"),
])
def test_what_makes_no_sense_is_refused(installs: Installs, values: dict[str, object], said: str) -> None:
    installs.change(3, **values)
    with pytest.raises(BenchError, match=said) as refused:
        installs.ask(3)
    assert refused.value.exit_code == 2 and refused.value.cure and not installs.waiting
