"""Who gets into the cockpit, and who does not: tokens, sessions, roles, CSRF, limits, names (`cockpit.guard`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from slotbench.errors import BenchError
from slotbench.fleet import access_tokens
from slotbench.fleet.access_tokens import AccessRole, check_token, list_tokens, make_token, remove_token
from slotbench.fleet.audit_log import Actor, list_audit
from slotbench.fleet.cockpit.app import Cockpit, create_cockpit
from slotbench.fleet.cockpit.guard import EndedSessions, RateLimit, SESSION_S
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.schema import tokens
from support.cockpit import Browser
from support.fleet import fill
from support.samples import NOW

SOMEBODY = Actor("somebody")
PAGES = ["/", "/boards", "/board?id=lamp-000000", "/rollouts", "/rollout/1", "/releases", "/release?digest=0",
         "/audit", "/live", "/api/fleet", "/api/boards", "/api/board?id=x", "/api/rollouts", "/api/releases"]


def client(database: FleetDatabase, clock: list[float], tmp_path: Path, **changes: Any) -> FlaskClient:
    return create_cockpit(
        Cockpit(database=database, site=tmp_path, clock=lambda: clock[0], **changes)).test_client()


def test_without_a_login_nothing_is_shown(database: FleetDatabase, clock: list[float], tmp_path: Path) -> None:
    fill(database, 1)
    asked = client(database, clock, tmp_path)
    for page in PAGES:
        answer = asked.get(page)
        if page.startswith(("/api/", "/live")):
            assert (answer.status_code, answer.data) == (401, b"Unauthorized\n"), page
        else:
            assert answer.status_code == 303 and answer.headers["Location"].startswith("/login"), page
        assert b"Lamp 0" not in answer.data, page


def test_a_token_opens_it_and_is_kept_as_a_hash(browser: Browser, database: FleetDatabase) -> None:
    assert browser.get("/").status_code == 200
    with database.reading() as connection:
        hashed = connection.execute(select(tokens.c.hashed)).scalars().all()
        told = " ".join(f"{entry.subject} {entry.detail}" for entry in list_audit(connection))
    assert all(each.startswith("scrypt$") for each in hashed)
    secret = browser.token.partition(".")[2]
    assert secret not in told and not any(secret in each for each in hashed)


@pytest.mark.parametrize("token", [
    "", "x", "1.", "1.wrong", "99.{secret}", ".{secret}", "-1.{secret}", "1" * 300, "\0", "²." "x", "1.{secret}x"])
def test_a_wrong_token_opens_nothing(
    browser: Browser, token: str, caplog: pytest.LogCaptureFixture,
) -> None:
    browser.log_out()
    answer = browser.log_in(token.replace("{secret}", browser.token.partition(".")[2]))
    assert answer.status_code == 403 and browser.get("/").status_code == 303
    assert "login refused" in caplog.text and browser.token.partition(".")[2] not in caplog.text


def test_too_many_wrong_tokens_lock_the_address_out_for_a_while(browser: Browser) -> None:
    browser.log_out()
    statuses = [browser.log_in("x").status_code for _ in range(12)]
    assert statuses == [403] * 10 + [429] * 2
    assert browser.log_in(browser.token).status_code == 429, "the right one too: nobody can tell"


def test_a_limit_forgets() -> None:
    clock = [0.0]
    limit = RateLimit(2, 10, lambda: clock[0])
    for at in (0.0, 5.0):
        clock[0] = at
        assert not limit.is_exceeded("a")
        limit.count("a")
    assert limit.is_exceeded("a") and not limit.is_exceeded("b")
    clock[0] = 10.0
    assert not limit.is_exceeded("a")


def test_a_session_ends(browser: Browser, clock: list[float], database: FleetDatabase) -> None:
    clock[0] = NOW + SESSION_S - 1
    assert browser.get("/").status_code == 200
    clock[0] = NOW + SESSION_S
    assert browser.get("/").status_code == 303
    browser.log_in(browser.token)
    assert browser.get("/").status_code == 200
    with database.writing() as connection:
        remove_token(connection, SOMEBODY, NOW, "anna")
    assert browser.get("/").status_code == 303, "a login that is taken away ends at once"


def test_a_copy_of_the_cookie_ends_with_its_session(browser: Browser) -> None:
    assert browser.get("/").status_code == 200
    cookie = browser.client.get_cookie("twoslot")
    assert cookie is not None and browser.post("/logout").status_code == 303
    browser.client.set_cookie("twoslot", cookie.value)
    assert browser.get("/").status_code == 303
    browser.log_in(browser.token)
    assert browser.get("/").status_code == 200, "the login itself goes on"


def test_ended_sessions_are_forgotten_with_their_cookies() -> None:
    ended = EndedSessions()
    ended.end("a", NOW)
    ended.end("b", NOW + SESSION_S - 1)
    assert ended.has("a") and ended.has("b")
    ended.end("c", NOW + SESSION_S)
    assert not ended.has("a") and ended.has("b") and ended.has("c")


def test_a_viewer_looks_and_changes_nothing(viewer: Browser, database: FleetDatabase) -> None:
    fill(database, 1)
    page = viewer.get("/board?id=lamp-000000").text
    assert "Lamp 0" in page and "change_board" not in page and "<button>Save" not in page
    assert viewer.post("/board", id="lamp-000000", name="mine").status_code == 403
    assert viewer.post("/rollouts", product="x", channel="y").status_code == 403
    assert viewer.post("/rollout/1/abort").status_code == 403
    assert viewer.post("/logout").status_code == 303


def test_a_change_needs_the_token_of_the_session(browser: Browser, database: FleetDatabase) -> None:
    fill(database, 1)
    for csrf in ("", "wrong", "ü"):
        assert browser.client.post("/board", data={"id": "lamp-000000", "name": "x", "csrf": csrf}).status_code == 403
    answer = browser.post("/board", headers={"Sec-Fetch-Site": "cross-site"}, id="lamp-000000", name="x")
    assert answer.status_code == 403
    assert browser.post("/board", id="lamp-000000", name="Hall", place="").status_code == 303
    assert "Hall" in browser.get("/boards").text


def test_changes_are_limited(browser: Browser, database: FleetDatabase) -> None:
    fill(database, 1)
    statuses = [browser.post("/board", id="lamp-000000", name="x").status_code for _ in range(62)]
    assert statuses == [303] * 60 + [429] * 2


def test_only_addresses_and_known_names_are_answered(
    database: FleetDatabase, clock: list[float], tmp_path: Path,
) -> None:
    asked = client(database, clock, tmp_path)
    for host, status in (
        ("localhost", 200), ("127.0.0.1:8270", 200), ("192.168.1.10:8270", 200), ("[::1]:8270", 200),
        ("evil.example", 421), ("localhost.evil.example", 421), ("", 421),
    ):
        answer = asked.get("/login", headers={"Host": host})
        assert answer.status_code == status, host
        assert status == 200 or b"--cockpit-url" in answer.data, host


def test_behind_a_proxy_its_name_and_headers_count_and_else_they_do_not(
    database: FleetDatabase, clock: list[float], tmp_path: Path, browser: Browser,
) -> None:
    behind = client(database, clock, tmp_path, public_url="https://fleet.example.org")
    forwarded = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "Host": "fleet.example.org"}
    answer = behind.post("/login", data={"token": browser.token}, headers=forwarded)
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-twoslot=")
    assert all(flag in cookie for flag in ("Secure", "HttpOnly", "SameSite=Strict", "Path=/"))
    assert "max-age" in answer.headers["Strict-Transport-Security"]
    browser.client.post("/login", data={"token": browser.token}, headers={"X-Forwarded-For": "203.0.113.8"})
    with database.reading() as connection:
        assert [entry.address for entry in list_audit(connection)][:2] == ["127.0.0.1", "203.0.113.9"]


def test_each_answer_has_safe_headers(browser: Browser) -> None:
    for page in ("/", "/nothing", "/static/cockpit.js", "/login"):
        headers = browser.get(page).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == ("public, max-age=3600" if "static" in page else "no-store")


@pytest.mark.parametrize(("target", "location"), [
    ("/boards?state=late", "/boards?state=late"), ("//evil.example", "/"), ("https://evil.example", "/"),
    ("/\\evil.example", "/"), ("/\n/evil.example", "/"), ("", "/")])
def test_a_login_leads_nowhere_else(browser: Browser, target: str, location: str) -> None:
    browser.log_out()
    assert browser.log_in(browser.token, next=target).headers["Location"] == location


def test_what_is_too_big_is_refused(browser: Browser) -> None:
    assert browser.client.post("/login", data={"token": "x" * 20_000}).status_code == 413
    assert browser.post("/board", id="x", name="y" * 20_000).status_code in (400, 413)


@pytest.mark.parametrize("path", [
    "/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/../fleet.sqlite", "/templates/login.html",
    "/static/", "//static//cockpit.js", "/heads/sensor/stable.head"])
def test_no_path_leaves_the_pages(browser: Browser, path: str) -> None:
    answer = browser.get(path)
    assert answer.status_code in (303, 308, 404, 421) and b"import" not in answer.data


def test_a_program_reads_with_its_token(
    browser: Browser, database: FleetDatabase, clock: list[float], tmp_path: Path,
) -> None:
    fill(database, 3, report=lambda n: 2 if n == 1 else 1)
    program = client(database, clock, tmp_path)
    right = {"Authorization": f"Bearer {browser.token}"}
    assert program.get("/api/fleet", headers=right).json["states"] == {
        "trouble": 1, "late": 0, "updating": 0, "well": 2}
    found = program.get("/api/boards?limit=2", headers=right).json
    assert [board["device_id"] for board in found["boards"]] == ["lamp-000000", "lamp-000001"]
    assert found["matching"] == 3 and found["boards"][1]["state"] == "trouble"
    assert program.get("/api/board?id=lamp-000001", headers=right).json["history"] == []
    assert program.get("/api/board?id=none", headers=right).status_code == 404
    assert program.get("/api/boards", headers={"Authorization": "Bearer 1.wrong"}).status_code == 401


def test_a_hash_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert access_tokens._hash("x").startswith("scrypt$14$8$1$"), "16 MB and some 50 ms"


def test_tokens_are_made_listed_and_taken_away(database: FleetDatabase) -> None:
    with database.writing() as connection:
        token = make_token(connection, SOMEBODY, NOW, "bert", AccessRole.VIEWER)
        with pytest.raises(BenchError, match="a login of that name is there"):
            make_token(connection, SOMEBODY, NOW, "bert", AccessRole.VIEWER)
        for label in ("", " x", "x" * 41, "a\nb"):
            with pytest.raises(BenchError, match="is no name of a login"):
                make_token(connection, SOMEBODY, NOW, label, AccessRole.VIEWER)
        found = check_token(connection, f" {token}\n")
        assert found is not None and (found.label, found.role) == ("bert", AccessRole.VIEWER)
        assert [each.label for each in list_tokens(connection)] == ["bert"]
        remove_token(connection, SOMEBODY, NOW, "bert")
        assert check_token(connection, token) is None
        with pytest.raises(BenchError, match="there is no login of that name"):
            remove_token(connection, SOMEBODY, NOW, "bert")
