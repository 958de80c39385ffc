"""Pushed releases: who may push, what is accepted, and what an attacker on the network can do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from slotbench.formats.document import Document, split_document
from slotbench.formats.head import Head
from slotbench.formats.journal import Report, SlotState
from slotbench.formats.release import DEVELOPMENT
from slotbench.formats.rtc import BootReason
from slotbench.release import store
from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.firmware import Behaviour
from slotbench.vboard.vm import DeviceVM
from support.device.board import signing_key
from support.device.push import (
    LISTENS,
    SECRET,
    PushingVisitor,
    Visitor,
    authorization,
    desk,
    develop,
    greet,
    head,
    on_a_desk,
    on_a_wall,
    push,
    pusher,
    street,
    visit,
)
from support.testbed import HOURS_MS, MAIN, MINUTES_MS, NOW, PRODUCT, TestBed, make_testbed, runs_confirmed

TEN_MINUTES_MS = 10 * MINUTES_MS


@pytest.fixture
def testbed(tmp_path: Path) -> TestBed:
    return make_testbed(tmp_path, main=LISTENS, edit=on_a_desk)


@pytest.fixture
def board(testbed: TestBed) -> VirtualBoard:
    return desk(testbed)


def codes(board: VirtualBoard) -> list[int]:
    return [code for _, code, _ in board.evaluate("twoslot._log")]


def untouched(board: VirtualBoard) -> bool:
    """Nothing was written for it: the journal's cell is the one from the factory."""
    return board.cell is not None and board.cell.sequence == 1 and runs_confirmed(board, 1)


# A push.


def test_a_development_release_is_confirmed_by_an_authenticated_request(testbed: TestBed, board: VirtualBoard) -> None:
    done = push(board, develop(testbed, 7))
    assert (done.status, done.text) == (200, "7.0.0-dev\n")
    assert done.asked[0] == "blocks" and done.asked[-1] == "nothing"
    board.run(5000)
    assert greet(board)["trial"], "an unauthenticated request proves nothing"
    back = greet(board, known=True)
    assert (back["version"], back["counter"], back["confirmed"]) == ("7.0.0-dev", DEVELOPMENT | 7, True)
    assert runs_confirmed(board, DEVELOPMENT | 7)
    board.run(HOURS_MS)
    assert [boot.why for boot in board.boots] == [BootReason.ORDINARY, BootReason.TRIAL], "the deadline no longer resets the board"


def test_the_next_push_sends_only_what_differs(testbed: TestBed, board: VirtualBoard) -> None:
    first = push(board, develop(testbed, 7))
    board.run(5000)
    greet(board, known=True)
    second = push(board, develop(testbed, 8))
    board.run(5000)
    greet(board, known=True)
    third = push(board, develop(testbed, 9, version="7.0.1-dev"))
    assert [each.status for each in (first, second, third)] == [200] * 3
    sent = [sum(len(each.piece(wants)) for wants in each.asked[1:-1]) for each in (first, second, third)]
    assert sent[2] < sent[0] == len(first.image)


def test_a_lost_connection_leaves_the_blocks_and_the_next_push_goes_on(testbed: TestBed, board: VirtualBoard) -> None:
    testbed.size = 48 * 4096
    release = develop(testbed, 7)
    lost = push(board, release, pieces=3)
    assert lost.status in (0, 400) and runs_confirmed(board, 1)
    done = push(board, release)
    assert done.status == 200
    assert done.asked[0] == f"bytes={32 * 4096}-{48 * 4096 - 1}", "neither the table nor 32 blocks again"


def test_a_release_of_a_pinned_key_may_be_pushed_by_its_own_counter(testbed: TestBed, board: VirtualBoard) -> None:
    assert push(board, develop(testbed, 2, key="offline")).status == 200
    board.run(MINUTES_MS)
    assert greet(board, known=True)["confirmed"] is False, "a request proves only development releases"
    assert push(board, develop(testbed, 3, key="offline")).code == (63, 1), "one trial after another"


def test_a_pushed_release_of_a_pinned_key_must_be_newer(testbed: TestBed, board: VirtualBoard) -> None:
    refused = push(board, develop(testbed, 1, key="offline"))
    assert refused.code == (28, 1) and refused.status == 403 and untouched(board)


def test_counters_of_development_releases_rise(testbed: TestBed, board: VirtualBoard) -> None:
    push(board, develop(testbed, 7))
    board.run(5000)
    assert greet(board, known=True)["development"] == 8
    refused = push(board, develop(testbed, 7))
    assert refused.code == (28, DEVELOPMENT | 7)


def test_a_development_release_changes_neither_floor_nor_head(testbed: TestBed, board: VirtualBoard) -> None:
    """Nor the earliest time: a developer's clock may be years ahead."""
    before = board.cell
    push(board, develop(testbed, 7, Behaviour.CRASH, created=NOW + 10 * 365 * 86400))
    board.run(MINUTES_MS)
    cell = board.cell
    assert before is not None and cell is not None
    assert (cell.report, cell.report_counter, cell.states[1]) == (Report.BAD, DEVELOPMENT | 7, SlotState.BAD)
    judged = ("floor", "bad_counter", "unproven_counter", "rounds", "head_time")
    assert [getattr(cell, name) for name in judged] == [getattr(before, name) for name in judged]
    assert runs_confirmed(board, 1)
    assert push(board, develop(testbed, 8)).status == 200, "after the fallback the board listens again"


def test_a_confirmed_development_release_does_not_reset_an_unproven_one(testbed: TestBed, board: VirtualBoard) -> None:
    testbed.publish(2, Behaviour.RESTART)
    board.run(HOURS_MS, until=lambda: board.cell is not None and board.cell.unproven_counter == 2)
    board.press_reset()
    board.run(5000)
    assert push(board, develop(testbed, 7)).status == 200
    board.run(5000)
    assert greet(board, known=True)["confirmed"]
    assert board.cell is not None and (board.cell.unproven_counter, board.cell.rounds) == (2, 1)


def test_without_proof_it_falls_back(testbed: TestBed, board: VirtualBoard) -> None:
    push(board, develop(testbed, 7, Behaviour.HANG))
    board.run(HOURS_MS)
    cell = board.cell
    assert runs_confirmed(board, 1) and cell is not None
    assert (cell.report, cell.unproven_counter, cell.bad_counter, cell.rounds) == (Report.UNPROVEN, 0, 0, 0)


def test_a_head_proves_a_development_release_too(testbed: TestBed, board: VirtualBoard) -> None:
    testbed.publish(2)
    push(board, develop(testbed, 7))
    board.run(HOURS_MS)
    assert runs_confirmed(board, DEVELOPMENT | 7), "and the channel's release 2 waits"
    assert 28 in codes(board)
    board.run_line("twoslot.update(force=True)")
    board.run(MINUTES_MS)
    assert runs_confirmed(board, 2), "until a person goes back to it"


def test_going_back_from_development_skips_a_bad_release(testbed: TestBed, board: VirtualBoard) -> None:
    testbed.publish(2, Behaviour.CRASH)
    board.run(2 * HOURS_MS)
    assert board.cell is not None and board.cell.bad_counter == 2
    board.press_reset()
    board.run(5000)
    assert push(board, develop(testbed, 7)).status == 200
    board.run(5000)
    greet(board, known=True)
    assert "30 marked-bad (offered 2, " in board.run_line("twoslot.update(force=True)")


def test_a_person_may_listen_at_the_repl(tmp_path: Path, vm: Callable[..., DeviceVM]) -> None:
    testbed = make_testbed(tmp_path, main=MAIN, edit=on_a_desk, vm=vm)
    board = desk(testbed)
    challenge = Visitor(b"GET /twoslot HTTP/1.1\r\n\r\n")
    street(board).visitors.append(challenge)
    assert "listening on port 8267 for 1 min" in board.run_line("twoslot.listen(minutes=1)")
    assert challenge.status == 200 and street(board).open == 0


def test_a_person_may_listen_before_anything_else_ran(tmp_path: Path, vm: Callable[..., DeviceVM]) -> None:
    """Neither tick() nor a command ran since the start; two pushes follow each other."""
    board = desk(make_testbed(tmp_path, main="", edit=on_a_desk, vm=vm))
    visitors = [Visitor(b"GET /twoslot HTTP/1.1\r\n\r\n") for _ in range(2)]
    street(board).visitors.extend(visitors)
    printed = board.run_line("twoslot.listen(minutes=1)")
    assert "listening on port 8267 for 1 min" in printed and "Error" not in printed
    assert [visitor.status for visitor in visitors] == [200, 200] and street(board).open == 0


# The listening port.


def test_it_is_closed_by_default_and_closes_itself(testbed: TestBed, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    plain = desk(make_testbed(tmp_path / "other", edit=on_a_desk))
    assert street(plain).open == 0
    board = desk(testbed)
    assert street(board).open == 1
    for asked, kept in ((0, 1), (256, 255), (10, 10)):  # eight bits are kept over the restart of a push
        board.run_line(f"twoslot.listen({asked}, wait=False)")
        assert board.evaluate("twoslot.push.listener.listener.minutes") == kept
    board.run(TEN_MINUTES_MS + 1000)
    assert street(board).open == 0 and board.evaluate("twoslot._pollers") == []


def test_after_an_ordinary_restart_nobody_listens(tmp_path: Path) -> None:
    testbed = make_testbed(tmp_path, edit=on_a_desk)
    board = desk(testbed)
    street(board).visitors.append(Visitor(b"GET /twoslot HTTP/1.1\r\n\r\n"))
    board.run_line("twoslot.listen(3, wait=False)")
    board.run(3000)
    assert push(board, develop(testbed, 7)).status == 200
    board.run(5000)
    greet(board, known=True)
    board.press_reset()
    board.run(5000)
    assert street(board).open == 0


def test_without_a_secret_nobody_may_push(tmp_path: Path) -> None:
    board = desk(make_testbed(tmp_path, main=LISTENS))
    assert street(board).open == 0 and codes(board) == [74]


@pytest.mark.parametrize("content", [b"", b"{}", b'{"secret": 5}', b'{"secret": "00"}', b"[]", b'{"secret": "zz"}'])
def test_a_malformed_secret_is_refused(content: bytes, tmp_path: Path) -> None:
    def edit(files: dict[str, bytes]) -> None:
        on_a_desk(files)
        files["/twoslot.secret"] = content

    assert codes(desk(make_testbed(tmp_path, main=LISTENS, edit=edit))) == [74]


# Attackers on the same network.


def test_a_recorded_request_cannot_be_replayed(testbed: TestBed, board: VirtualBoard) -> None:
    """The whole recorded conversation of a push is sent again."""
    release = develop(testbed, 7)
    nonce = greet(board)["nonce"]
    visit(board, PushingVisitor(head(release[0], nonce), *release, pieces=1))
    again = PushingVisitor(head(release[0], nonce), *release)
    visit(board, again)
    assert (again.status, again.code) == (401, (53, 0)) and again.asked == []


def test_a_challenge_is_good_for_one_request(board: VirtualBoard) -> None:
    field = authorization("GET", "/twoslot", greet(board)["nonce"])
    ask = f"GET /twoslot HTTP/1.1\r\n{field}\r\n".encode()
    assert visit(board, Visitor(ask)).status == 200
    assert visit(board, Visitor(ask)).code == (53, 0)


def test_a_challenge_is_good_for_a_minute(testbed: TestBed, board: VirtualBoard) -> None:
    late = pusher(board, develop(testbed, 7))
    board.run(61_000)
    visit(board, late)
    assert late.code == (53, 0) and untouched(board)


def test_a_superseded_challenge_is_refused(testbed: TestBed, board: VirtualBoard) -> None:
    early = pusher(board, develop(testbed, 7))
    greet(board)
    visit(board, early)
    assert early.code == (53, 0)


def test_three_wrong_secrets_close_the_port(testbed: TestBed, board: VirtualBoard) -> None:
    release = develop(testbed, 7)
    for count in (1, 2, 3):
        wrong = PushingVisitor(head(release[0], greet(board)["nonce"], secret=bytes(32)), *release)
        visit(board, wrong)
        assert (wrong.status, wrong.code) == (401, (54, count))
    board.run(2000)
    assert street(board).open == 0 and untouched(board)


def test_the_mac_is_of_this_document(testbed: TestBed, board: VirtualBoard) -> None:
    mine, other = develop(testbed, 7), develop(testbed, 8)
    swapped = PushingVisitor(head(mine[0], greet(board)["nonce"], length=len(other[0])), *other)
    visit(board, swapped)
    assert swapped.code == (54, 1) and untouched(board)


def test_the_mac_of_a_check_is_none_of_a_release(testbed: TestBed, board: VirtualBoard) -> None:
    document, image = develop(testbed, 7)
    nonce = greet(board)["nonce"]
    field = authorization("GET", "/twoslot", nonce)
    asked = f"POST /twoslot/release HTTP/1.1\r\nTransfer-Encoding: chunked\r\n{field}" \
            f"Twoslot-Document: {len(document)}\r\n\r\n"
    crossed = PushingVisitor(asked.encode(), document, image)
    visit(board, crossed)
    assert crossed.code == (54, 1)


def test_a_development_key_is_worth_nothing_on_a_board_that_is_not_marked(tmp_path: Path) -> None:
    testbed = make_testbed(tmp_path, main=LISTENS, edit=on_a_wall)
    board = desk(testbed)
    assert greet(board)["development"] == 0
    refused = push(board, develop(testbed, 7))
    assert (refused.status, refused.code) == (403, (21, 0)) and untouched(board)


def test_the_secret_alone_introduces_no_firmware(testbed: TestBed, board: VirtualBoard) -> None:
    assert push(board, develop(testbed, 7, key="online")).code == (21, 0), "a key has one role"
    document, image = develop(testbed, 7)
    forged = split_document(document)
    forged = Document(forged.payload.replace(b"7.0.0", b"7.0.1"), forged.key_id, forged.signature)
    assert push(board, (forged.pack(), image)).code == (22, 0) and untouched(board)


def test_a_revoked_key_whose_file_was_put_back_pushes_nothing(testbed: TestBed, board: VirtualBoard) -> None:
    """The journal is of a later epoch than the keys on the board. Who knows the secret signs with the old offline key."""
    cell = board.cell
    assert cell is not None
    later = replace(cell, sequence=2, key_epoch=2, keys_digest=bytes(range(16)))
    board.flash.poke(testbed.profile.journal.start + 256, later.pack())
    for key in ("offline", "stranger"):
        assert push(board, develop(testbed, 7, key=key)).code == (42, 2)
    assert runs_confirmed(board, 1) and board.cell == later


def test_a_development_release_is_never_pulled(testbed: TestBed, board: VirtualBoard) -> None:
    """The development key and the server together cannot install it on boards that poll."""
    document, image = develop(testbed, 7)
    payload = split_document(document).payload
    site = testbed.publisher.site
    release = Head(
        product=PRODUCT, channel="stable", epoch=1, seq=1, counter=7, issued=NOW, expires=NOW + 10**7,
        release=hashlib.sha256(payload).hexdigest())
    site.write(store.release_name(release.release), document)
    site.write(store.head_name(PRODUCT, "stable"), testbed.publisher.online.sign(release.to_payload()).pack())
    board.run(HOURS_MS)
    assert 21 in codes(board) and runs_confirmed(board, 1)
    forged = signing_key("stranger").sign(release.to_payload()).pack()
    site.write(store.head_name(PRODUCT, "stable"), forged)
    board.run(HOURS_MS)
    assert codes(board)[-1] == 21 and runs_confirmed(board, 1)


def test_an_image_that_is_not_the_signed_one_is_refused(testbed: TestBed, board: VirtualBoard) -> None:
    document, image = develop(testbed, 7)
    changed = bytearray(image)
    changed[5000] ^= 1
    assert push(board, (document, bytes(changed))).code == (13, 0)
    honest_table = PushingVisitor(head(document, greet(board)["nonce"]), document, bytes(changed))
    honest_table.piece = lambda wants: (  # type: ignore[method-assign]
        PushingVisitor.piece(PushingVisitor(b"", document, image if wants == "blocks" else bytes(changed)), wants))
    visit(board, honest_table)
    assert honest_table.code == (12, 1) and runs_confirmed(board, 1)


# Clients that waste the board's time.


MEASURED = """\
turns = []
tick, sleep_ms = twoslot.tick, time.sleep_ms
while True:
    begun = time.ticks_ms()
    tick()
    turns.append(time.ticks_diff(time.ticks_ms(), begun))
    sleep_ms(100)
"""
"""An application that measures what its turns take, ten a second."""

STRANGERS = {
    "says nothing": Visitor(b""),
    "stops in the head": Visitor(b"POST /twoslot/release HTTP/1.1\r\nTwoslot-Doc"),
    "stops in the document": Visitor(
        b"POST /twoslot/release HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTwoslot-Document: 4096\r\n\r\n1000\r\n" + bytes(999)),
}


class EndlessHead(Visitor):
    """Sends one byte each time it is asked, for ever."""

    def readinto(self, view: memoryview, *, patient: bool = True) -> int | None:
        if not self.inbox or not patient:
            return None
        view[:1] = self.inbox[:1]
        del self.inbox[:1]
        self.inbox += b"x"
        return 1


def strangers() -> list[Visitor]:
    quiet = [Visitor(bytes(it.inbox)) for it in STRANGERS.values()]
    return [*quiet, EndlessHead(b"GET /twoslot HTTP/1.1\r\nX: "), *(Visitor(bytes(it.inbox)) for it in quiet * 2)]


def test_ten_strangers_hold_up_no_application(tmp_path: Path, vm: Callable[..., DeviceVM]) -> None:
    """One unauthenticated POST held it for 27 s, ten of them for 271 s. Nothing is waited for now."""
    main = LISTENS.replace(MAIN, "import time\n" + MEASURED)
    board = desk(make_testbed(tmp_path, main=main, edit=on_a_desk, vm=vm))
    begin_ms = board.clock.ms
    visitors = strangers()
    street(board).visitors.extend(visitors)
    board.run(2 * MINUTES_MS)
    assert all(visitor.closed for visitor in visitors)
    turns = board.evaluate("turns")
    print(f"ten strangers: the longest turn took {max(turns)} ms, all {sum(turns)} ms")
    assert max(turns) <= 500 and board.clock.ms > begin_ms
    assert greet(board)["counter"] == 1


@pytest.mark.parametrize("name", STRANGERS, ids=lambda name: name.replace(" ", "-"))
def test_a_stranger_has_two_seconds_and_then_a_pause(name: str, board: VirtualBoard) -> None:
    sent = bytes(STRANGERS[name].inbox)
    start = board.clock.ms
    silent = visit(board, Visitor(sent))
    assert silent.status == 400 and silent.code[0] == (11 if sent else 4)
    assert 2000 <= board.clock.ms - start < 4500
    again = Visitor(b"GET /twoslot HTTP/1.1\r\n\r\n")
    visit(board, again)
    assert again.heard == b"", "the same address, at once"
    board.run(5000)
    assert greet(board)["counter"] == 1


def test_a_request_that_comes_in_pieces_within_two_seconds_is_served(testbed: TestBed, board: VirtualBoard) -> None:
    """A byte at each look: the request is whole after a second and a half."""
    ask = b"GET /twoslot HTTP/1.1\r\n\r\n"
    slow = Visitor(b"")
    street(board).visitors.append(slow)
    for at in range(0, len(ask), 5):
        slow.inbox += ask[at : at + 5]
        board.run(250)
    board.run(5000)
    assert slow.status == 200


def test_a_client_that_stops_in_a_block_is_dropped(testbed: TestBed, board: VirtualBoard) -> None:
    slow = pusher(board, develop(testbed, 7))
    slow.piece = lambda wants: PushingVisitor.piece(slow, wants)[:-1]  # type: ignore[method-assign]
    start = board.clock.ms
    visit(board, slow)
    assert slow.code[0] in (5, 6, 11, 13) and board.clock.ms - start < 40_000 and runs_confirmed(board, 1)


@pytest.mark.parametrize(("sends", "code"), [
    (b"GET /twoslot HTTP/1.1\r\n" + b"X: y\r\n" * 33, 9),
    (b"GET /twoslot HTTP/1.1\r\nX: " + b"y" * 5000, 9),
    (b"GET /" + b"y" * 5000, 9),
    (b"\r\n", 6),
    (b"\x16\x03\x01\x02\x00\x01\r\n", 6),
    (b"GET / HTTP/1.1\r\n\r\n", 52),
    (b"GET /twoslot/ HTTP/1.1\r\n\r\n", 52),
    (b"PUT /twoslot/release HTTP/1.1\r\n\r\n", 52),
    (b"POST /twoslot/release HTTP/1.1\r\n\r\n", 52),
    (b"POST /twoslot/release HTTP/1.1\r\nContent-Length: 600\r\nTwoslot-Document: 600\r\n\r\n", 52),
    (b"POST /twoslot/release HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTwoslot-Document: 531\r\n\r\n", 52),
    (b"POST /twoslot/release HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTwoslot-Document: 4097\r\n\r\n", 52),
    (b"POST /twoslot/release HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTwoslot-Document: -1\r\n\r\n", 52),
    (b"POST /twoslot/release HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTwoslot-Document: 1e3\r\n\r\n", 52),
    (b"POST /twoslot/release HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTwoslot-Document: 600\r\n\r\n0\r\n\r\n", 5),
    (b"POST /twoslot/release HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTwoslot-Document: 600\r\n\r\nxyz\r\n", 6),
    (b"POST /twoslot/release HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTwoslot-Document: 600\r\n\r\nfffffffff\r\n", 9),
    (b"GET /twoslot HTTP/1.1\r\nAuthorization: Twoslot\r\n\r\n", 53),
    (b'GET /twoslot HTTP/1.1\r\nAuthorization: Twoslot nonce="\r\n\r\n', 53),
])
def test_a_malformed_request_gets_a_defined_response(sends: bytes, code: int, board: VirtualBoard) -> None:
    assert visit(board, Visitor(sends)).code[0] == code
    assert untouched(board) and greet(board)["counter"] == 1


def test_an_endless_body_is_read_only_to_its_length(testbed: TestBed, board: VirtualBoard) -> None:
    endless = pusher(board, develop(testbed, 7))
    pieces = PushingVisitor.piece
    endless.piece = lambda wants: pieces(endless, wants) + bytes(200_000)  # type: ignore[method-assign]
    visit(board, endless)
    assert endless.code[0] in (6, 9, 12, 13) or endless.status == 200
    assert len(endless.inbox) > 190_000


def test_a_second_client_is_told_that_the_board_is_busy(testbed: TestBed, board: VirtualBoard) -> None:
    first = pusher(board, develop(testbed, 7))
    second = Visitor(b"GET /twoslot HTTP/1.1\r\n\r\n")
    street(board).visitors.extend([first, second])
    board.run(MINUTES_MS, until=lambda: first.closed)
    assert (second.status, second.code) == (503, (55, 0))
    assert first.status == 200


def test_while_an_update_is_pulled_nobody_pushes(testbed: TestBed, board: VirtualBoard) -> None:
    testbed.size = 48 * 4096
    testbed.publish(2)
    board.run(HOURS_MS, until=lambda: board.activity()[0] == "download")
    refused = visit(board, Visitor(b"GET /twoslot HTTP/1.1\r\n\r\n"), seconds=1)
    board.run(HOURS_MS)
    assert refused.code == (55, 0)
    assert runs_confirmed(board, 2), "the update is not disturbed"


def test_the_secret_is_never_sent(testbed: TestBed, board: VirtualBoard) -> None:
    done = push(board, develop(testbed, 7))
    for text in (bytes(done.heard), json.dumps(greet(board)).encode()):
        assert SECRET not in text and SECRET.hex().encode() not in text
