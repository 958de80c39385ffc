"""The clock in the check of a head: a clock that was never set is ignored."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from slotbench.release import store
from slotbench.vboard.network.wsgi import WsgiNetwork
from support.device.board import NOW, PRODUCT, DeviceBoard, refusal
from support.device.release import head_fields, payload, release_fields, signed
from support.device.site import RELEASE, TABLE, Site, Updater, files_app

Make = Callable[..., DeviceBoard]


@pytest.fixture
def updater(make_board: Make, site: Site) -> Updater:
    """A board that has seen no head yet, so that no date but the clock's counts."""
    board = make_board(WsgiNetwork(site.app()))
    return Updater(board, board.start())


def set_clock(updater: Updater, seconds: int) -> None:
    """As ntptime does, in seconds of 1970."""
    t = datetime.fromtimestamp(seconds, UTC)
    fields = (t.year, t.month, t.day, 0, t.hour, t.minute, t.second, 0)
    updater.vm.exec(f"import machine\nmachine.RTC().datetime({fields})")


def expires(site: Site) -> int:
    text = site.publisher.site.read(store.head_name(PRODUCT, "stable"))
    assert text is not None
    fields: dict[str, Any] = json.loads(text.partition(b"\n")[0])
    return int(fields["expires"])


def test_without_a_clock_no_head_is_too_old(updater: Updater) -> None:
    assert updater.run(until=TABLE) == TABLE


@pytest.mark.parametrize(
    ("year", "month", "believed"), [(2001, 1, False), (2018, 12, False), (2027, 2, True)])
def test_a_clock_before_2019_was_never_set(updater: Updater, year: int, month: int, believed: bool) -> None:
    """Some firmware starts its clock at another year, which says nothing about a head's date."""
    head = signed(head_fields(payload(release_fields()), issued=NOW, expires=NOW + 86400), "online")
    updater.network.app = files_app({f"/heads/{PRODUCT}/stable.head": head})  # type: ignore[attr-defined]
    set_clock(updater, int(datetime(year, month, 1, tzinfo=UTC).timestamp()))

    if believed:
        with refusal(updater.vm, "ReleaseError", 34, NOW + 86400):
            updater.run(until=RELEASE)
    else:
        assert updater.run(until=RELEASE) == RELEASE


def test_a_head_that_is_older_than_the_keys_is_over(updater: Updater) -> None:
    """Without a clock, and before the first head: the date that the offline key signed is known."""
    head = signed(head_fields(payload(release_fields()), issued=NOW - 9, expires=NOW - 1), "online")
    updater.network.app = files_app({f"/heads/{PRODUCT}/stable.head": head})  # type: ignore[attr-defined]
    with refusal(updater.vm, "ReleaseError", 34, NOW - 1):
        updater.run(until=RELEASE)


@pytest.mark.parametrize(("later", "taken"), [(-3600, True), (-10, True), (10, False), (86400, False)])
def test_a_head_is_good_until_it_expires(updater: Updater, site: Site, later: int, taken: bool) -> None:
    """The clock's epoch is 2000 and the head's 1970: to the second, but for those the check itself takes."""
    end = expires(site)
    set_clock(updater, end + later)

    if taken:
        assert updater.run(until=TABLE) == TABLE
    else:
        with refusal(updater.vm, "ReleaseError", 34, end):
            updater.run(until=TABLE)


def test_a_clock_that_is_set_far_too_late_does_not_harm_for_good(updater: Updater, site: Site) -> None:
    """A head that it refused is accepted once the clock is right."""
    set_clock(updater, expires(site) + 10 * 365 * 86400)
    with refusal(updater.vm, "ReleaseError", 34):
        updater.run(until=TABLE)

    set_clock(updater, expires(site) - 86400)
    assert updater.run(until=TABLE) == TABLE
