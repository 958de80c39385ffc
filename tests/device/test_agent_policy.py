"""twoslot.agent, before and after the download: heads, trials, refusals, and what the journal records."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from slotbench.formats import document
from slotbench.formats.head import rollout_place
from slotbench.formats.journal import JournalCell, SlotState
from slotbench.formats.rtc import BootReason
from slotbench.release.publish import Rollout, refresh_heads
from slotbench.vboard.network.base import ECONNRESET
from slotbench.vboard.network.faults import FaultyNetwork
from slotbench.vboard.network.wsgi import WsgiNetwork
from support.device.board import BOARD, CHANNEL, NOW, PRODUCT, RUNNING, DeviceBoard, firmware, keys_document, refusal
from support.device.control import TAG, open_control
from support.device.decision import first
from support.device.release import head_fields, offer, payload, release_fields, signed
from support.device.site import DONE, IDLE, SEQ, Site, Updater, files_app

HEAD_PATH = f"/heads/{PRODUCT}/{CHANNEL}.head"
KEYS = hashlib.sha256(keys_document().split(b"\n")[0]).digest()[:16]
"""What the journal holds of the pinned keys."""
Make = Callable[..., DeviceBoard]


def updater_on(make_board: Make, site: Site, **settings: Any) -> Updater:
    board = make_board(FaultyNetwork(WsgiNetwork(site.app())), **settings)
    vm = board.start()
    board.flash.reset_counters()
    return Updater(board, vm)


@pytest.fixture
def updater(make_board: Make, site: Site) -> Updater:
    return updater_on(make_board, site)


def trial(make_board: Make, site: Site, why: BootReason = BootReason.TRIAL, **settings: Any) -> Updater:
    """A board in the first attempt of release 6."""
    board = make_board(FaultyNetwork(WsgiNetwork(site.app())), **settings)
    board.put_trial(spent=first(1))
    vm = board.start(1, why, trial=True, left=2, counter=6)
    board.flash.reset_counters()
    return Updater(board, vm)


def running_cell(**fields: Any) -> JournalCell:
    """The second cell of a board that runs release 5, confirmed."""
    return JournalCell(
        sequence=2, state_a=SlotState.CONFIRMED, counter_a=RUNNING, attempts=3, copies=8, floor=2, **fields)


def asked_etag(updater: Updater) -> list[str | None]:
    """If-None-Match of each request for the head, as the server saw it."""
    seen: list[str | None] = []
    app = updater.network.inner.app  # type: ignore[attr-defined]

    def watch(environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"] == HEAD_PATH:
            seen.append(environ.get("HTTP_IF_NONE_MATCH"))
        return app(environ, start_response)

    updater.network.inner.app = watch  # type: ignore[attr-defined]
    return seen


# Checking.


def test_a_check_reads_the_release_and_changes_no_slot(updater: Updater) -> None:
    assert updater.run(download=False) == IDLE

    plan = updater.agent.plan
    assert (plan["version"], plan["counter"]) == ("2.0.0", 6)
    assert updater.agent.accepted
    assert all(op.addr in BOARD.journal for op in updater.board.operations())
    assert updater.board.newest().state_b == SlotState.EMPTY
    assert [request.path.split("/")[1] for request in updater.network.requests] == ["heads", "releases"]


def test_a_seen_head_is_recorded(updater: Updater) -> None:
    updater.run(download=False)

    cell = updater.board.newest()
    assert (cell.head_seq, cell.head_time, cell.key_epoch) == (SEQ, NOW + 60, 1)
    assert cell.channel_tag == TAG


@pytest.mark.parametrize(
    ("known", "news"),
    [
        ({}, False), ({"head_seq": 0}, True), ({"channel_tag": 5, "head_seq": 9}, True),
        ({"key_epoch": 0, "head_seq": 9}, True), ({"keys_digest": bytes(16)}, True),
    ],
    ids=["the same", "newer", "another channel's", "a later epoch's", "the first that names the keys"],
)
def test_only_a_newer_head_is_recorded(updater: Updater, known: dict[str, Any], news: bool) -> None:
    """Otherwise every check would wear the journal."""
    seen = {"head_seq": SEQ, "head_time": NOW, "channel_tag": TAG, "key_epoch": 1, "keys_digest": KEYS}
    updater.board.put_cell(1, running_cell(**{**seen, **known}))
    updater.run(download=False)

    assert bool(updater.board.operations()) == news
    cell = updater.board.newest()
    assert (cell.head_seq, cell.channel_tag, cell.key_epoch) == (SEQ, TAG, 1)


def test_a_head_that_offers_nothing_is_recorded_too(updater: Updater) -> None:
    """An older head must not replace the refused one later."""
    updater.board.put_cell(1, running_cell(bad_counter=6))
    with refusal(updater.vm, "ReleaseError", 30, 6):
        updater.run()

    assert (updater.board.newest().head_seq, updater.board.newest().bad_counter) == (SEQ, 6)


def test_a_known_head_is_not_sent_again(updater: Updater) -> None:
    seen = asked_etag(updater)
    updater.run(download=False)
    etag = updater.agent.etag
    assert etag
    before = len(updater.network.requests)

    assert updater.run(etag=etag) == IDLE

    assert seen == [None, etag[0]]
    assert [(r.path, r.status) for r in updater.network.requests[before:]] == [(HEAD_PATH, 304)]
    assert updater.agent.etag == etag, "the next check would fetch the whole head"
    assert updater.agent.plan is None


@pytest.mark.parametrize(("later", "asked"), [(-1, True), (1, False)], ids=["before its end", "after it"])
def test_a_head_that_has_expired_is_to_be_shown(updater: Updater, later: int, asked: bool) -> None:
    """A 304 has no date. Without a clock, the newest date that was signed counts: a head of another channel had it."""
    updater.run(download=False)
    etag, expires, interval_s = updater.agent.etag
    newest = updater.board.newest()
    updater.board.put_cell(9, replace(newest, sequence=newest.sequence + 9, head_time=expires + later))
    seen = asked_etag(updater)

    if asked:
        assert updater.run(etag=(etag, expires, interval_s)) == IDLE
    else:
        with refusal(updater.vm, "ReleaseError", 34, expires):
            updater.run(etag=(etag, expires, interval_s))
    assert seen == [etag if asked else None]


def test_a_refused_release_is_not_fetched_again_while_the_head_stays(updater: Updater) -> None:
    """The release is refused but the etag of the head is kept, so a check costs a 304."""
    updater.board.put_cell(1, running_cell(bad_counter=6))
    with refusal(updater.vm, "ReleaseError", 30, 6):
        updater.run()

    assert updater.agent.accepted and updater.agent.etag
    assert updater.agent.state == IDLE


@pytest.mark.parametrize("key", ["offline", "stranger"])
def test_an_unsigned_head_leaves_no_trace(updater: Updater, key: str) -> None:
    forged = signed(head_fields(payload(release_fields())), key)
    updater.network.inner.app = files_app({HEAD_PATH: forged})  # type: ignore[attr-defined]

    with refusal(updater.vm, "ReleaseError", 21, 0):
        updater.run(etag=('"old"', NOW + 86400, 0))
    assert not updater.agent.accepted and updater.agent.etag is None
    assert updater.board.operations() == [], "an unsigned head was recorded"


@pytest.mark.parametrize(
    ("rollout", "code"), [(Rollout(paused=True), 40), (Rollout(percent=0), 39)], ids=["paused", "percent"])
def test_force_installs_a_release_that_is_held_back(
    make_board: Make, tmp_path: Any, rollout: Rollout, code: int,
) -> None:
    held = Site(tmp_path / "held")
    held.publish(rollout=rollout)
    updater = updater_on(make_board, held)

    with refusal(updater.vm, "ReleaseError", code):
        updater.run()
    assert updater.run(force=True) == DONE


def test_the_device_id_of_the_settings_places_the_board(make_board: Make, tmp_path: Any) -> None:
    """Without one the chip's id does."""
    half = Site(tmp_path / "half")
    half.publish(rollout=Rollout(percent=50))
    path = next((half.root / "releases").iterdir())
    digest = document.split_document(path.read_bytes()).digest
    soc = rollout_place(digest, "4a7e1c00")
    ids = [f"lamp-{number}" for number in range(20)]
    in_ = next(name for name in ids if rollout_place(digest, name) < 50)
    out = next(name for name in ids if rollout_place(digest, name) >= 50)

    for device_id, taken in ((in_, True), (out, False), (None, soc < 50)):
        updater = updater_on(make_board, half, device_id=device_id)
        if taken:
            assert updater.run(download=False) == IDLE
        else:
            with refusal(updater.vm, "ReleaseError", 39, 50):
                updater.run(download=False)


def test_the_running_release_is_up_to_date(make_board: Make, tmp_path: Any) -> None:
    old = Site(tmp_path / "old")
    old.publish(firmware(1), counter=RUNNING, version="1.0.0")
    updater = updater_on(make_board, old)

    with refusal(updater.vm, "ReleaseError", 28, RUNNING):
        updater.run()
    assert len(updater.network.requests) == 1, "the release was fetched although its counter decides"


def test_a_server_that_is_busy_says_when_to_come_back(updater: Updater) -> None:
    busy = ("503 Service Unavailable", [("Retry-After", "90")])
    updater.network.inner.app = files_app({HEAD_PATH: busy})  # type: ignore[attr-defined]
    with refusal(updater.vm, "LinkError", 7, 503):
        updater.run()
    assert updater.agent.retry_after == 90

    updater.network.inject(errno=ECONNRESET, times=1)
    with refusal(updater.vm, "LinkError", 3, 104):
        updater.run()
    assert updater.agent.retry_after == 0, "the wait of an earlier response is kept"


def test_a_release_that_is_gone_is_a_link_error(updater: Updater) -> None:
    updater.network.inner.app = files_app({HEAD_PATH: offer().head})  # type: ignore[attr-defined]

    with refusal(updater.vm, "LinkError", 7, 404):
        updater.run()
    assert updater.agent.state == IDLE


# A trial.


def test_a_signed_head_confirms_a_trial(make_board: Make, site: Site) -> None:
    updater = trial(make_board, site)

    assert updater.run() == IDLE

    cell, descriptor = updater.board.newest(), updater.board.descriptor(1)
    assert (cell.active, cell.state_b, cell.floor, cell.head_seq) == (1, SlotState.CONFIRMED, 3, SEQ)
    assert descriptor is not None and descriptor.confirmed
    assert [request.path for request in updater.network.requests] == [HEAD_PATH], "a trial checks the head only"


def test_with_manual_confirm_a_head_proves_nothing(make_board: Make, site: Site) -> None:
    updater = trial(make_board, site, confirm="manual")

    assert updater.run() == IDLE
    assert updater.board.operations() == []
    assert updater.agent.etag is None, "the next check would get a 304, which proves nothing"
    assert open_control(updater.vm).confirm() is True


def test_a_forged_head_does_not_confirm_a_trial(make_board: Make, site: Site) -> None:
    updater = trial(make_board, site)
    for key, change, code in (
        ("stranger", {}, 21), ("online", {"product": "other"}, 25), ("online", {"channel": "beta"}, 27),
        ("online", {"epoch": 2}, 42),
    ):
        head = signed(head_fields(payload(release_fields()), **change), key)
        updater.network.inner.app = files_app({HEAD_PATH: head})  # type: ignore[attr-defined]
        with refusal(updater.vm, "ReleaseError", code):
            updater.run()
    assert updater.board.operations() == []


@pytest.mark.parametrize("status", ["302 Found", "404 Not Found", "500 Oops", "304 Not Modified"])
def test_no_other_answer_confirms_a_trial(make_board: Make, site: Site, status: str) -> None:
    updater = trial(make_board, site)
    updater.network.inner.app = files_app({HEAD_PATH: (status, [("Location", "/")])})  # type: ignore[attr-defined]

    with pytest.raises(updater.vm.import_("twoslot.errors").LinkError):
        updater.run()
    assert updater.board.operations() == []


def test_the_head_that_confirms_may_be_paused_or_old_news(make_board: Make, tmp_path: Any) -> None:
    """The board proves that it can update itself; what the head offers is another matter."""
    paused = Site(tmp_path / "paused")
    paused.publish(rollout=Rollout(percent=0, paused=True))
    updater = trial(make_board, paused)

    assert updater.run() == IDLE
    assert updater.board.newest().state_b == SlotState.CONFIRMED


@pytest.mark.parametrize("stale", ["outdated", "expired"])
def test_a_signed_head_of_the_past_confirms_a_trial_and_nothing_else(
    make_board: Make, site: Site, stale: str,
) -> None:
    """A cache lags behind: that this board reached a signed head is the proof, its freshness is not."""
    known = {"head_seq": SEQ + 44, "head_time": NOW + 30, "channel_tag": TAG, "key_epoch": 1}
    if stale == "expired":
        known.update(head_seq=SEQ, head_time=NOW + 40 * 86400)
    board = make_board(FaultyNetwork(WsgiNetwork(site.app())))
    board.put_trial(spent=first(1), **known)
    updater = Updater(board, board.start(1, BootReason.TRIAL, trial=True, left=2, counter=6))

    assert updater.run() == IDLE
    cell = board.newest()
    assert (cell.active, cell.state_b) == (1, SlotState.CONFIRMED)
    assert {name: getattr(cell, name) for name in known} == known, "what was known of newer heads is lost"
    assert updater.agent.head is None and updater.agent.etag is None
    with refusal(updater.vm, "ReleaseError", 35 if stale == "outdated" else 34):
        updater.run()


@pytest.mark.parametrize("stale", [True, False])
def test_with_manual_confirm_no_head_of_the_past_proves_anything(make_board: Make, site: Site, stale: bool) -> None:
    board = make_board(FaultyNetwork(WsgiNetwork(site.app())), confirm="manual")
    board.put_trial(spent=first(1), head_seq=SEQ + 44 if stale else 0, channel_tag=TAG, key_epoch=1)
    updater = Updater(board, board.start(1, BootReason.TRIAL, trial=True, left=2, counter=6))

    assert updater.run() == IDLE
    assert board.newest().state_b == SlotState.READY


def test_a_newer_head_lets_an_unproven_release_be_tried_again(make_board: Make, tmp_path: Any) -> None:
    """The same head does not; the newer one counts at once, and also after the attempt that saw it failed."""
    site = Site(tmp_path / "next")
    site.publish()
    updater = updater_on(make_board, site)
    seen = {"head_seq": SEQ, "head_time": NOW, "channel_tag": TAG, "key_epoch": 1}
    updater.board.put_cell(1, running_cell(**seen, unproven_counter=6, rounds=4))
    with refusal(updater.vm, "ReleaseError", 41, 4):
        updater.run(download=False)

    refresh_heads(site.publisher.site, site.publisher.keys_path, site.publisher.online, site.issued + 60)
    updater.network.inject(on="releases/*", status=503, times=1)
    with refusal(updater.vm, "LinkError", 7):
        updater.run(download=False)
    assert (updater.board.newest().rounds, updater.board.newest().unproven_counter) == (0, 6)
    assert updater.run(download=False) == IDLE and updater.agent.plan["counter"] == 6


def test_in_last_resort_a_head_confirms_what_runs(make_board: Make, site: Site) -> None:
    """So that a board which runs a doubtful release can be helped over the air."""
    board = make_board(FaultyNetwork(WsgiNetwork(site.app())))
    board.put_trial(spent=first(3), bad_a=True)
    updater = Updater(board, board.start(1, BootReason.LAST_RESORT, counter=6))

    assert updater.run() == IDLE
    assert (board.newest().active, board.newest().state_b) == (1, SlotState.CONFIRMED)


def test_a_board_may_update_again_right_after_its_trial(make_board: Make, tmp_path: Any) -> None:
    site = Site(tmp_path / "next")
    site.publish()
    updater = trial(make_board, site)
    updater.run()
    site.publish(firmware(3), counter=7, version="3.0.0")

    assert updater.run() == DONE
    cell = updater.board.newest()
    assert (cell.active, cell.state_a, cell.counter_a) == (0, SlotState.READY, 7)
    assert (cell.state_b, cell.counter_b) == (SlotState.CONFIRMED, 6)
