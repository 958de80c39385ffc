"""The pages of the cockpit: what they say, and that no string of a board does anything in them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import insert, update

from slotbench.errors import BenchError
from slotbench.fleet.audit_log import list_audit
from slotbench.fleet.board_list import BoardHealth
from slotbench.fleet.cockpit import app as cockpit_app
from slotbench.fleet.cockpit.pictures import channel_bars, health_bar
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.recorder import BoardRecorder
from slotbench.fleet.leases import LEASE_S
from slotbench.fleet.offer_asks import list_asks
from slotbench.fleet.rollout_runner import RolloutRunner, read_channel_head
from slotbench.fleet.schema import asks, boards, events, heads, releases, rollouts
from slotbench.fleet.site_mirror import SiteMirror
from slotbench.fleet.summary import RunningCount
from slotbench.formats.head import Head
from slotbench.release.publish import Rollout, publish_release
from slotbench.release.signer import ExternalSigner
from slotbench.release.store import Store, patch_name
from support.cockpit import Browser, PageCheck
from support.commands import MakeRelease
from support.fleet import Queries, fill, proven
from support.samples import NOW, PRODUCT, KeyRing

HOSTILE = '"><script>alert(1)</script>\'{{7*7}}<img src=x onerror=alert(1)>'
STATIC = Path(cockpit_app.__file__).parent / "static"


@pytest.fixture
def published(
    database: FleetDatabase, site: Store, ring: KeyRing, make_release: MakeRelease, firmware: bytes,
) -> str:
    """A release that is offered to nobody, among boards; its digest."""
    head = publish_release(
        site, make_release(7, notes="warmer light"), ring.document, [firmware], ring.load("online"), NOW,
        rollout=Rollout(percent=0))
    SiteMirror(database, site.root, lambda: NOW).sync()
    fill(database, 40, running=lambda n: 7 if n == 5 else 5, report=lambda n: 2 if n == 3 else 1)
    return head.release


@pytest.fixture
def runner(database: FleetDatabase, site: Store, ring: KeyRing, clock: list[float]) -> RolloutRunner:
    """The process that signs; it had a turn."""
    runner = RolloutRunner(database, site.root, ring.document, ring.load("online"), lambda: clock[0])
    runner.step()
    return runner


def pages(digest: str = "0" * 64, device_id: str = "lamp-000003") -> list[str]:
    return [
        "/", "/boards", "/boards?state=trouble&search=kitchen", f"/board?id={device_id}", "/rollouts", "/rollout/1",
        "/releases", f"/release?digest={digest}", "/audit", "/login", "/nothing"]


def begin(browser: Browser, offered: str, **changes: str) -> Any:
    fields = {
        "product": PRODUCT, "channel": "stable", "digest": offered, "steps": "10, 100", "soak": "24h", "failed": "5",
        "silent": "10", "window": "", "cohorts": "lab, desk"} | changes
    return browser.post("/rollouts", **fields)


def test_an_empty_fleet_tells_the_next_command(browser: Browser) -> None:
    page = browser.get("/").text
    for command in ("slotbench ship firmware.bin", "slotbench deploy --identities boards.json",
                    "slotbench serve --identities boards.json", "slotbench check"):
        assert command in page
    assert "slotbench fleet rollout start" in browser.get("/rollouts").text
    assert "slotbench ship firmware.bin" in browser.get("/releases").text
    assert "No board yet" in browser.get("/boards").text


def test_the_overview_says_how_the_fleet_is(browser: Browser, published: str, database: FleetDatabase) -> None:
    page = browser.get("/").text
    assert "1 of 40 boards needs a look" in page and "39 well, 0 updating, 0 late, 1 in trouble" in page
    assert "counter 5 39" in re.sub(r"<[^>]+>", "", page) and "Lamp 3" in page
    with database.writing() as connection:
        connection.execute(update(boards).values(report=1))
    assert "All 40 boards are well" in browser.get("/").text


def test_a_head_that_expires_is_warned_about(
    browser: Browser, published: str, clock: list[float], site: Store,
) -> None:
    assert "expires in 29 days" not in re.findall("<section class=\"card notice.*", browser.get("/").text)
    head = read_channel_head(site, PRODUCT, "stable")
    assert head is not None
    for left, said in ((6 * 86400, "expires in 6 days"), (-1, "has expired")):
        clock[0] = head.expires - left
        browser.log_in(browser.token)
        for path in ("/", "/boards", "/audit", "/rollouts"):
            page = browser.get(path).text
            assert said in page and "slotbench release publish --refresh" in page, path
    browser.post("/logout")
    assert "expire" not in browser.get("/login").text, "who is not logged in is told nothing"


def test_boards_are_searched_filtered_and_paged(browser: Browser, published: str, database: FleetDatabase) -> None:
    with database.writing() as connection:
        connection.execute(insert(boards), [
            {"device_id": f"more-{n:03}", "running": 5, "report": 1, "report_counter": 5, "first_seen": NOW,
             "last_seen": NOW, "searched": f"more-{n:03}"} for n in range(60)])
    first = browser.get("/boards").text
    assert "100 boards" in first and first.count('<tr class="row">') == 50
    following = re.findall(r'href="(/boards\?after=[^"]+)"', first)[0].replace("&amp;", "&")
    assert browser.get(following).text.count('<tr class="row">') == 50
    assert browser.get("/boards?search=LAMP+kitchen").text.count('<tr class="row">') == 20
    assert browser.get("/boards?state=trouble").text.count('<tr class="row">') == 1
    assert browser.get("/boards?running=7").text.count('<tr class="row">') == 1
    assert "No board is like that" in browser.get("/boards?search=100%25").text
    assert "every profile" not in first
    with database.writing() as connection:
        connection.execute(update(boards).where(boards.c.device_id < "lamp-000007").values(board="d1_mini"))
        connection.execute(update(boards).where(boards.c.device_id > "more-050").values(board="nodemcu"))
    for asked, number in {"board=d1_mini": 7, "search=D1_mini": 7, "board=d1_mini&state=trouble": 1, "board=d1": 0}.items():
        page = browser.get(f"/boards?{asked}").text
        assert page.count('<tr class="row">') == number, asked
    page = browser.get("/boards?board=nodemcu&search=more").text
    assert 'href="/boards?search=more&amp;board=d1_mini"' in page and 'href="/boards?search=more"' in page
    assert '<input type="hidden" name="board" value="nodemcu">' in page
    for odd in ("state=none", "running=x", "running=99999999999999999999", "after=%00", "search=%27%22%25_"):
        assert browser.get(f"/boards?{odd}").status_code == 200
    for odd in ("/board?id=%00", "/board?id=lamp-000003%00x", "/release?digest=%00", "/rollout/99999999999999999999"):
        assert browser.get(odd).status_code == 404
    for odd in ("/audit?before=99999999999999999999", "/board?id=lamp-000003&before=x", "/api/boards?limit=-1"):
        assert browser.get(odd).status_code == 200
    assert browser.post("/board", id="lamp\0", name="x").status_code == 409


def test_a_board_is_told_and_named(browser: Browser, recorder: BoardRecorder, database: FleetDatabase) -> None:
    recorder.observe(proven())
    recorder.observe(proven(report=2, report_counter=7, at=NOW + 60))
    recorder.flush()
    page = browser.get("/board?id=lamp-7").text
    assert "It gave counter 7 up: it crashed, or its image is invalid." in page
    assert "Sunday, 15 June 2025" in page and "proved for the first time who it is" in page
    assert browser.post("/board", id="lamp-7", name="Hall", place="attic").status_code == 303
    assert "Hall" in browser.get("/board?id=lamp-7").text
    assert browser.post("/board", id="nobody", name="x").status_code == 409
    assert browser.get("/board?id=nobody").status_code == 404
    with database.reading() as connection:
        entry = list_audit(connection)[0]
    assert (entry.who, entry.action, entry.subject, entry.address) == ("anna", "name", "lamp-7", "127.0.0.1")
    assert "name &#39;Hall&#39;" in browser.get("/audit").text


def test_a_release_is_rolled_out_and_stopped_from_its_page(
    browser: Browser, published: str, site: Store, runner: RolloutRunner, clock: list[float],
) -> None:
    page = browser.get(f"/release?digest={published}").text
    assert "warmer light" in page and "Roll it out in steps" in page and "Promote by hand" in page
    answer = begin(browser, published)
    assert answer.headers["Location"] == "/rollout/1", answer.text
    assert "Rollout 1" in browser.get(f"/release?digest={published}").text
    runner.step()
    head = read_channel_head(site, PRODUCT, "stable")
    assert head is not None and (head.percent, head.cohorts) == (10, ("lab", "desk"))
    page = browser.get("/rollout/1").text
    assert "No process signs now" not in page and "Pause it now" in page and "lab, desk" in page
    assert browser.post("/rollout/1/pause").status_code == 303
    runner.step()
    assert "Resume it now" in browser.get("/rollout/1").text
    clock[0] += LEASE_S + 1
    page = browser.get("/rollout/1").text
    assert "it now" not in page and "slotbench fleet rollout resume --id 1" in page
    assert browser.post("/rollout/1/abort").status_code == 409, "nobody would sign it"
    runner.step()
    assert browser.post("/rollout/1/abort").status_code == 303
    runner.step()
    assert "it now" not in browser.get("/rollout/1").text
    assert browser.post("/rollout/1/resume").status_code == 409
    assert browser.post("/rollout/9/pause").status_code == 409
    assert browser.post("/rollout/1/explode").status_code == 404


def test_a_release_is_promoted_paused_and_resumed_from_its_page_without_a_rollout(
    browser: Browser, published: str, site: Store, runner: RolloutRunner, database: FleetDatabase,
) -> None:
    mirror = SiteMirror(database, site.root, lambda: NOW)

    def ask(what: str, **fields: str) -> int:
        return browser.post(
            f"/offer/{what}", **{"product": PRODUCT, "channel": "stable", "digest": published} | fields).status_code

    def head() -> tuple[int, bool]:
        runner.step()
        mirror.sync()
        found = read_channel_head(site, PRODUCT, "stable")
        assert found is not None
        return found.percent, found.paused

    page = browser.get(f"/release?digest={published}").text
    assert "Promote it now" in page and "Pause it now" in page and "passed" not in page
    assert ask("promote", percent="25") == 303
    page = browser.get(f"/release?digest={published}").text
    assert "anna asked to promote to 25 %" in page and "Promote it now" not in page
    assert head() == (25, False)
    assert "asked to" not in browser.get(f"/release?digest={published}").text
    assert ask("pause") == 303 and head() == (25, True)
    assert "Resume it now" in browser.get(f"/release?digest={published}").text
    assert ask("resume") == 303 and head() == (25, False)
    assert ask("promote", percent="100") == 303 and ask("cancel") == 303 and head() == (25, False)
    for what, fields in (
        ("promote", {"percent": "25"}), ("promote", {"percent": "101"}), ("promote", {"percent": "x"}), ("resume", {}),
        ("pause", {"digest": "0" * 64}), ("pause", {"channel": "beta"}), ("pause", {"product": "../x"}), ("cancel", {}),
    ):
        assert ask(what, **fields) == 409, (what, fields)
    with database.reading() as connection:
        told = [(entry.who, entry.action, entry.detail) for entry in reversed(list_audit(connection))]
    assert [each for each in told if "ask" in each[1] or each[0] == "the process that signs"] == [
        ("anna", "ask promote", "promote to 25 %"), ("the process that signs", "promote", "25 % of the boards"),
        ("anna", "ask pause", "pause"),
        ("the process that signs", "pause", "no board while paused (25 % of the boards when resumed)"),
        ("anna", "ask resume", "resume"), ("the process that signs", "resume", "25 % of the boards"),
        ("anna", "ask promote", "promote to 100 %"), ("anna", "ask taken back", "promote to 100 %")]


def test_an_ask_outlives_a_signer_that_fails_or_dies_and_is_signed_once(
    browser: Browser, published: str, site: Store, ring: KeyRing, runner: RolloutRunner, database: FleetDatabase,
    clock: list[float],
) -> None:
    def head() -> Head:
        found = read_channel_head(site, PRODUCT, "stable")
        assert found is not None
        return found

    fields = {"product": PRODUCT, "channel": "stable", "digest": published, "percent": "25"}
    assert browser.post("/offer/promote", **fields).status_code == 303
    runner.leave()
    broken = RolloutRunner(
        database, site.root, ring.document, ExternalSigner(["false"], ring.keys), lambda: clock[0])
    with pytest.raises(BenchError):
        broken.step()
    assert head().percent == 0
    assert "Not signed: the signer did not sign" in browser.get(f"/release?digest={published}").text
    broken.leave()
    with database.reading() as connection:
        asked, = list_asks(connection)
    runner.step()
    signed = head()
    assert signed.percent == 25
    with database.writing() as connection:  # as if it had died before it took the row away
        connection.execute(insert(asks).values(
            product=PRODUCT, channel="stable", digest=published, step="promote", percent=25, at=asked.at, by="anna"))
    runner.step()
    assert head() == signed, "nothing is signed twice"
    with database.reading() as connection:
        assert list_asks(connection) == []


def test_without_a_process_that_signs_a_release_shows_what_to_type(
    browser: Browser, published: str, viewer: Browser, database: FleetDatabase,
) -> None:
    page = browser.get(f"/release?digest={published}").text
    assert "it now" not in page and "Begin" not in page
    for command in ("slotbench serve --sign", "slotbench release promote --channel stable --percent 10",
                    "slotbench release pause --channel stable"):
        assert command in page
    answer = begin(browser, published)
    assert answer.status_code == 409 and "slotbench fleet rollout start" in answer.text
    answer = browser.post("/offer/pause", product=PRODUCT, channel="stable", digest=published)
    assert answer.status_code == 409 and "slotbench release pause --channel stable" in answer.text
    page = browser.get("/board?id=lamp-000003").text
    assert "slotbench fleet install lamp-000003" in page and "Install it" not in page
    assert viewer.post("/offer/pause", product=PRODUCT, channel="stable", digest=published).status_code == 403


def test_a_board_gets_its_release_from_its_page(
    browser: Browser, published: str, site: Store, runner: RolloutRunner, database: FleetDatabase,
) -> None:
    def ask(what: str, device_id: str = "lamp-000004") -> int:
        return browser.post(f"/board/{what}", id=device_id).status_code

    assert "Install it on this board" in browser.get("/board?id=lamp-000004").text
    assert ask("install") == 303 and ask("install", "nobody") == 409
    assert "anna asked for it just now" in browser.get("/board?id=lamp-000004").text
    runner.step()
    head = read_channel_head(site, PRODUCT, "stable")
    assert head is not None and head.devices == ("lamp-000004",)
    SiteMirror(database, site.root, lambda: NOW).sync()
    assert "at its next check" in browser.get("/board?id=lamp-000004").text
    assert ask("cancel") == 303
    runner.step()
    head = read_channel_head(site, PRODUCT, "stable")
    assert head is not None and head.devices == ()
    assert "Install it" not in browser.get("/board?id=lamp-000005").text, "it runs it"


def test_the_sizes_of_a_release_are_those_of_the_site(browser: Browser, published: str, site: Store) -> None:
    image = next(path.stem for path in (site.root / "images").iterdir())
    (site.root / "patches").mkdir(exist_ok=True)
    site.path(patch_name(image)).write_bytes(bytes(2048))
    said = re.sub(r"<[^>]+>|\s+", " ", browser.get(f"/release?digest={published}").text)
    said = " ".join(said.split())
    whole = site.path(f"images/{image}.bin").stat().st_size
    assert f"What a board fetches whole image {whole / 1024:.1f} KB deflated 2.0 KB" in said
    assert "Preflight no preflight" in said


@pytest.mark.usefixtures("runner")
def test_a_plan_that_makes_no_sense_is_a_page_that_says_so(browser: Browser, published: str) -> None:
    for changes, said in (
        ({"digest": "0" * 64}, "the channel offers another release now"), ({"steps": "x"}, "are no steps"),
        ({"soak": "x"}, "is no duration"), ({"failed": "-1"}, "is no percentage"), ({"window": "9"}, "is no window"),
        ({"cohorts": "../x"}, "cohort"), ({"product": "../.."}, "product"), ({"channel": ""}, "channel"),
    ):
        answer = begin(browser, published, **changes)
        assert answer.status_code == 409 and said in answer.text and "That was not done" in answer.text, changes


@pytest.mark.usefixtures("runner")
def test_no_string_of_a_board_or_of_a_person_does_anything(
    browser: Browser, published: str, database: FleetDatabase,
) -> None:
    with database.writing() as connection:
        connection.execute(update(boards).where(boards.c.device_id == "lamp-000003").values(
            device_id=HOSTILE[:64], name=HOSTILE[:64], place=HOSTILE[:64], product=HOSTILE[:32],
            channel=HOSTILE[:32], address=HOSTILE[:64], trace=HOSTILE, told_at=NOW))
        connection.execute(insert(events), [
            {"device_id": HOSTILE[:64], "at": NOW, "kind": kind, "counter": 7, "detail": detail}
            for kind, detail in ((HOSTILE[:32], HOSTILE), ("named", HOSTILE))])
        connection.execute(update(releases).values(notes=HOSTILE, version=HOSTILE[:16]))
        connection.execute(update(heads).values(cohorts=json.dumps([HOSTILE])))
    begin(browser, published)
    with database.writing() as connection:
        connection.execute(update(rollouts).values(reason=HOSTILE, by=HOSTILE[:64]))
    shown = 0
    for page in [
        *pages(published, quote(HOSTILE[:64])), f"/boards?search={quote(HOSTILE)}", f"/login?next=/{quote(HOSTILE)}",
    ]:
        text = browser.get(page).text
        found = PageCheck(text)
        assert found.tags.count("script") == 1 and found.tags.count("img") <= 1, page
        assert not {name for name in found.attributes if name.startswith("on")}, page
        assert not {name for name in found.attributes if not re.fullmatch("[a-zA-Z-]+", name)}, page
        shown += "&lt;script&gt;alert(1)" in text
    assert shown >= 8, "it is shown, as text"


@pytest.mark.usefixtures("runner")
def test_pages_are_whole_and_refer_to_nothing_elsewhere(
    browser: Browser, published: str, recorder: BoardRecorder,
) -> None:
    recorder.observe(proven("lamp-000003", running=9))
    recorder.flush()
    begin(browser, published)
    for page in pages(published):
        found = PageCheck(browser.get(page).text)
        assert all(re.match(r"/(?!/)|#", target) for target in found.targets), page
        assert "style" not in found.attributes and "style" not in found.tags, "the policy forbids it"
    assert len((STATIC / "cockpit.js").read_text().splitlines()) <= 200
    for path in STATIC.iterdir():
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", path.read_text()), path


@pytest.mark.usefixtures("runner")
def test_a_page_takes_as_many_queries_for_few_boards_as_for_many(
    browser: Browser, published: str, database: FleetDatabase,
    queries: Callable[[], AbstractContextManager[Queries]],
) -> None:
    begin(browser, published)
    most = {"/": 20, "/live": 2, "/boards": 7, "/rollouts": 6, "/rollout/1": 9}
    for page, limit in most.items():
        counted = []
        for _ in range(2):
            with queries() as found:
                assert browser.get(page).status_code == 200
            counted.append(len(found.statements))
            fill(database, 300, device_id=lambda n: f"{page}-{len(counted)}-{n}")
        assert counted[0] == counted[1] <= limit, (page, counted)


def test_the_browser_hears_of_a_change(browser: Browser, recorder: BoardRecorder) -> None:
    def event() -> str:
        answer = browser.get("/live")
        assert answer.mimetype == "text/event-stream" and answer.text.startswith("retry: 4000\n")
        return answer.text

    before = event()
    assert event() == before
    recorder.observe(proven())
    recorder.flush()
    assert event() != before


def test_what_happened_to_many_is_told_once(browser: Browser, recorder: BoardRecorder) -> None:
    for number in range(20):
        recorder.observe(proven(f"lamp-{number}"))
    recorder.flush()
    recorder.observe(proven("lamp-3", running=6))
    recorder.flush()
    page = re.sub(r"\s*<[^>]+>\s*", " ", browser.get("/").text)
    assert "lamp-3 runs counter 6" in page
    assert "lamp-19 proved for the first time who it is, with counter 5 , and 19 more" in page


@pytest.mark.usefixtures("runner")
def test_a_rollout_shows_who_gave_it_up(browser: Browser, published: str, recorder: BoardRecorder) -> None:
    begin(browser, published)
    for number in range(6, 18):
        recorder.observe(proven(f"lamp-0000{number:02}", report=2, report_counter=7))
    recorder.observe(proven("lamp-000018", report=2, report_counter=6))
    recorder.flush()
    page = browser.get("/rollout/1").text
    assert page.count('<li><a class="title" href="/board?id=lamp-') == 8 and "All 12</a>" in page
    assert "lamp-000018" not in page and "10 % is the first step" in page
    boards = browser.get(re.findall(r'href="(/boards[^"]+)">All 12', page)[0].replace("&amp;", "&")).text
    assert boards.count('<tr class="row">') == 12 and "gave counter 7 up" in boards
    assert 'href="/boards?product=sensor&amp;channel=stable" aria-current' in boards, "the filter is taken away"


def test_what_is_rare_is_seen_in_a_bar() -> None:
    states = {BoardHealth.WELL: 99_900, BoardHealth.UPDATING: 0, BoardHealth.LATE: 79, BoardHealth.TROUBLE: 21}
    well, late, trouble = health_bar(states)
    assert [part.percent for part in (well, late, trouble)] == ["99.9", "0.1", "below 0.1"]
    assert well.x == 0 and late.x > well.x + well.width and trouble.x > late.x + late.width
    assert min(late.width, trouble.width) >= 8 and trouble.x + trouble.width == pytest.approx(1000, abs=0.2)
    assert trouble.query == {"state": "trouble"}


def test_many_versions_share_a_bar() -> None:
    counts = [RunningCount(product="lamp", channel="stable", running=n, version="", boards=n) for n in range(1, 12)]
    bar, = channel_bars(counts)
    assert [part.label for part in bar.parts] == [f"counter {n}" for n in range(11, 6, -1)] + ["older"]
    assert sum(part.boards for part in bar.parts) == bar.boards == 66
    assert bar.parts[-1].x + bar.parts[-1].width == pytest.approx(1000, abs=0.2)
