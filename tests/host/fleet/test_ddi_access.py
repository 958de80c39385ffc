"""Who may speak DDI with the server, and what hostile devices get (`fleet.ddi`): refused, escaped, and logged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, given, settings
from markupsafe import escape
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import select

from slotbench.errors import BenchError
from slotbench.fleet.audit_log import Actor, list_audit
from slotbench.fleet.board_list import find_board, list_entries
from slotbench.fleet.board_words import entry_words
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.ddi.app import create_ddi
from slotbench.fleet.ddi.device_tokens import (
    TokenKind,
    list_device_tokens,
    make_device_token,
    remove_device_token,
)
from slotbench.fleet.ddi.messages import MessageError, merge_attributes, parse_feedback
from slotbench.fleet.recorder import BoardRecorder
from slotbench.fleet.schema import ddi_targets, ddi_tokens
from slotbench.release.store import Store
from support.cockpit import Browser
from support.commands import RunCommand
from support.ddi import DdiDevice, PublishCounter, history, new_token
from support.samples import NOW, PRODUCT

SOMEBODY = Actor("somebody")
XSS = "<script>alert(1)</script>\"'&<img src=x onerror=alert(1)>"


@pytest.mark.parametrize("authorization", [
    "", "TargetToken", "TargetToken ", "TargetToken wrong", "GatewayToken {token}", "Bearer {token}", "{token}",
    "TargetToken {token}x", "TargetToken \udce4", "Basic Og=="])
def test_without_its_token_a_device_is_told_nothing(
    ddi: Flask, database: FleetDatabase, publish: PublishCounter, authorization: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    publish()
    token = new_token(database, "press-1").partition(" ")[2]
    header = authorization.replace("{token}", token).encode("utf-8", "surrogateescape").decode("latin-1")
    answer = DdiDevice(ddi, "press-1", header).get()
    assert answer.status_code == 401 and "_links" not in answer.text
    assert "press-1 shows no token" in caplog.text and token not in caplog.text


def test_a_token_admits_one_device_and_that_of_a_gateway_all_of_its_channel(
    ddi: Flask, database: FleetDatabase, publish: PublishCounter,
) -> None:
    publish()
    own, gateway = new_token(database, "press-1"), new_token(database, "hall", TokenKind.GATEWAY, "beta")
    assert DdiDevice(ddi, "press-1", own).get().status_code == 200
    assert DdiDevice(ddi, "press-2", own).get().status_code == 401
    assert "deploymentBase" not in DdiDevice(ddi, "press-2", gateway).links(), "nothing is in beta"
    for tenant, status in ((PRODUCT, 200), ("default", 200), ("DEFAULT", 200), ("lamp", 404), ("..", 404)):
        assert DdiDevice(ddi, "press-1", own, tenant).get().status_code == status, tenant
    number = DdiDevice(ddi, "press-1", own).links()["deploymentBase"].rpartition("/")[2].partition("?")[0]
    stranger = DdiDevice(ddi, "press-2", gateway)
    for path in (f"/deploymentBase/{number}", f"/softwaremodules/{number}/artifacts", f"/cancelAction/{number}"):
        assert stranger.get(path).status_code == 404, "it is the action of another"
    assert stranger.say(f"{stranger.path}/deploymentBase/{number}").status_code == 404
    with database.writing() as connection:
        remove_device_token(connection, SOMEBODY, NOW, "press-1")
    assert DdiDevice(ddi, "press-1", own).get().status_code == 401


def test_tokens_are_kept_as_hashes_and_written_down(database: FleetDatabase) -> None:
    token = new_token(database, "press-1").partition(" ")[2]
    assert len(token) == 32 and token.isalnum(), "as long as hawkBit's: some devices have room for no more"
    with database.writing() as connection:
        assert token not in str(connection.execute(select(ddi_tokens)).all())
        assert [each.label for each in list_device_tokens(connection)] == ["press-1"]
        with pytest.raises(BenchError, match="it has a token"):
            make_device_token(connection, SOMEBODY, NOW, TokenKind.TARGET, "press-1", PRODUCT, "stable")
        for label in ("", "a b", "a/b", "x" * 65, "ä", "a\n"):
            with pytest.raises(BenchError, match="is no device id"):
                make_device_token(connection, SOMEBODY, NOW, TokenKind.TARGET, label, PRODUCT, "stable")
        with pytest.raises(BenchError, match="it has no token"):
            remove_device_token(connection, SOMEBODY, NOW, "press-9")
        assert [entry.action for entry in list_audit(connection)] == ["hawkbit target"]
        assert token not in str(list_audit(connection))


def test_an_id_that_is_none_is_refused(ddi: Flask, database: FleetDatabase) -> None:
    gateway = new_token(database, "hall", TokenKind.GATEWAY)
    for device_id in ("a%20b", "%00", "x" * 65, "%3Cscript%3E", "a%0Ab", "%C3%A4", "a'--", "a%22"):
        assert DdiDevice(ddi, device_id, gateway).get().status_code == 400, device_id
    with database.reading() as connection:
        assert connection.execute(select(ddi_targets)).all() == []


PATHS = [
    "/softwaremodules/1/artifacts/../../../../../keys/sensor.keys", "/softwaremodules/1/artifacts/..%2f..%2fkeys",
    "/softwaremodules/1/artifacts/%2e%2e", "/softwaremodules/1/artifacts/heads", "/softwaremodules/-1/artifacts",
    "/softwaremodules/1/artifacts/images%2f", "/softwaremodules/99999999999999999999/artifacts/a",
    "/../../../heads/sensor/stable.head", "/deploymentBase/1/../../../heads", "/deploymentBase/x", "/static/app.py",
    "/softwaremodules/1/artifacts/.MD5SUM", "/softwaremodules/1/artifacts/fleet.sqlite"]
"""Out of the files of an action."""


def test_no_path_leaves_the_files_of_an_action(device: DdiDevice, publish: PublishCounter) -> None:
    publish()
    device.links()
    for path in PATHS:
        answer = device.get(path)
        assert answer.status_code in (400, 404) and b"kind" not in answer.data, path


NO_MESSAGES = [
    b"", b"x", b"[]", b"null", b"1", b'"x"', b"{}", b"[" * 20_000, b'{"status": []}', b'{"status": {}}',
    b'{"status": {"execution": "closed"}}', b'{"status": {"execution": "closed", "result": {"finished": 1}}}',
    b'{"status": {"execution": ["closed"], "result": {"finished": "success"}}}', b"\xff\xfe", b"\x00",
    b'{"status": {"execution": "won", "result": {"finished": "success"}}}',
    b'{"status": {"execution": "closed", "result": {"finished": "success"}, "details": "x"}}',
    b'{"status": {"execution": "closed", "result": {"finished": "success"}, "details": [{}]}}']
"""Bodies that say nothing."""


def test_a_message_that_is_none_is_refused_and_changes_nothing(
    device: DdiDevice, publish: PublishCounter, caplog: pytest.LogCaptureFixture, database: FleetDatabase,
) -> None:
    publish()
    link = device.links()["deploymentBase"].partition("?")[0]
    before = history(database, "press-1")
    for body in NO_MESSAGES:
        caplog.clear()
        sent = {"headers": device.headers, "data": body, "content_type": "application/json"}
        assert device.client.post(f"{link}/feedback", **sent).status_code == 400, body  # type: ignore[arg-type]
        assert "press-1: a message was refused" in caplog.text, body
        answer = device.client.put(f"{device.path}/configData", **sent)  # type: ignore[arg-type]
        assert answer.status_code == 400, body
        assert history(database, "press-1") == before, body
        assert set(device.links()) == {"configData", "deploymentBase"}, body


@pytest.mark.parametrize("data", [
    {"k" * 129: "v"}, {"": "v"}, {"k": "v" * 257}, {"k": 1}, {"k": None}, {"k": {"a": "b"}}, {"k": "\x00"},
    {"k\n": "v"}, {"k": "\ud800"}, {f"k{number}": "v" for number in range(101)}, []])
def test_data_that_nobody_could_keep_is_refused(data: Any) -> None:
    with pytest.raises(MessageError):
        merge_attributes(json.dumps({"data": data}).encode(), {})


def test_data_is_merged_replaced_and_removed() -> None:
    def after(mode: str | None, **data: str) -> dict[str, str]:
        return merge_attributes(json.dumps({"mode": mode, "data": data}).encode(), {"a": "1", "b": "2"})

    assert after(None, b="3") == after("merge", b="3") == {"a": "1", "b": "3"}
    assert after("replace", c="4") == {"c": "4"} and after("remove", a="") == {"b": "2"}
    with pytest.raises(MessageError):
        after("append", a="1")


def test_what_is_too_long_too_often_or_of_another_type_is_refused(
    device: DdiDevice, publish: PublishCounter, database: FleetDatabase,
) -> None:
    publish()
    link = device.links()["deploymentBase"].partition("?")[0]
    assert device.say(link, "proceeding", "none", "x" * 40_000).status_code == 413
    answer = device.client.post(f"{link}/feedback", data={"status": "closed"}, headers=device.headers)
    assert answer.status_code == 415
    assert device.client.post(f"{device.path}/configData", headers=device.headers).status_code == 405
    statuses = [device.say(link, "proceeding", "none", "x" * 5000).status_code for _ in range(125)]
    assert statuses.count(200) == 118 and set(statuses[118:]) == {429}
    assert all(len(detail) <= 200 for _, _, detail in history(database, "press-1"))
    assert device.get().status_code == 200, "polls go on"


def test_what_a_device_says_is_escaped_and_shown(
    slotbench: RunCommand, device: DdiDevice, publish: PublishCounter, database: FleetDatabase,
    recorder: BoardRecorder, browser: Browser, caplog: pytest.LogCaptureFixture, database_file: Path,
) -> None:
    publish()
    link = device.links()["deploymentBase"]
    assert device.put(**{"cohort": XSS, "hw": "v2", f"k{XSS}": "x"}).status_code == 200
    assert device.say(link, "proceeding", "none", XSS, "two\nlines", "\x1b[31m", "\ud800\u202e").status_code == 200
    recorder.flush()
    page = browser.get("/board?id=press-1").text
    assert "<dt>hw</dt><dd>v2</dd>" in page and f"<dt>k{escape(XSS)}</dt>" in page
    shown = slotbench("fleet", "show", "press-1", "--database", f"sqlite:///{database_file}").out
    assert "It says of itself: cohort" in shown and "hw 'v2'" in shown and "\x1b" not in shown
    assert "<script>alert" not in page and "<img src=x" not in page and "&lt;script&gt;alert(1)" in page
    with database.reading() as connection:
        said = [entry for entry in list_entries(connection, "press-1", PRODUCT) if entry.kind == "said"]
        assert find_board(connection, "press-1", NOW, 3600) is not None
    words = entry_words(said[0])
    assert words.isprintable() and words.startswith("said of counter 7: <script>") and "two?lines" in words
    assert "<script>" not in caplog.text


def test_a_proxy_is_believed_only_where_it_is_named(
    ddi: Flask, database: FleetDatabase, site: Store, recorder: BoardRecorder, publish: PublishCounter,
) -> None:
    publish()
    token = new_token(database, "press-1")
    forwarded = {
        "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    answer = DdiDevice(ddi, "press-1", token).get(**forwarded)
    assert "evil.example" not in answer.text and "https:" not in answer.text
    behind = create_ddi(
        database, site.root, recorder.observe, clock=lambda: NOW, public_url="https://ddi.example.org")
    proxied = DdiDevice(behind, "press-1", token)
    href = proxied.get(**forwarded).json["_links"]["deploymentBase"]["href"]  # type: ignore[index]
    assert href.startswith(f"https://ddi.example.org/{PRODUCT}/controller/v1/press-1/deploymentBase/")
    artifact = proxied.get(href).json["deployment"]["chunks"][0]["artifacts"][0]  # type: ignore[index]
    assert set(artifact["_links"]) == {"download", "md5sum"}, "nothing is said to be plain HTTP"
    recorder.flush()
    with database.reading() as connection:
        board = find_board(connection, "press-1", NOW, 3600)
        registered = list_audit(connection)[0]
    assert board is not None and board.address == "127.0.0.1" and registered.address == "127.0.0.1"
    DdiDevice(behind, "press-1", token).get(**forwarded)
    recorder.flush()
    with database.reading() as connection:
        assert find_board(connection, "press-1", NOW, 3600).address == "203.0.113.9"  # type: ignore[union-attr]


def test_a_database_that_is_away_is_said_and_devices_come_again(
    device: DdiDevice, publish: PublishCounter, site: Store, database: FleetDatabase,
    caplog: pytest.LogCaptureFixture,
) -> None:
    publish()
    device.links()
    site.path(f"heads/{PRODUCT}/stable.head").write_bytes(b"damaged")
    answer = device.get()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
    assert "cannot be answered" in caplog.text and str(site.root) not in answer.text


def test_the_document_is_true(device: DdiDevice, publish: PublishCounter, ddi: Flask) -> None:
    publish()
    link = device.links()["deploymentBase"]
    number = int(link.rpartition("/")[2].partition("?")[0])
    artifact = device.get(link).json["deployment"]["chunks"][0]["artifacts"][1]  # type: ignore[index]
    schema = schemathesis.openapi.from_wsgi("/openapi.json", ddi)
    addresses = [each.ok() for each in schema.get_all_operations()]
    assert len(addresses) == 10
    for address in addresses:

        @settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=address.as_strategy())
        def ask(case: Any) -> None:
            right = {"tenant": PRODUCT, "device_id": "press-1", "number": number, "filename": artifact["filename"]}
            if len(str(case.body)) % 3:  # most of what is drawn is about what is there
                case.path_parameters = {key: right[key] for key in case.path_parameters}
            case.call_and_validate(headers=device.headers, checks=[
                not_a_server_error, status_code_conformance, content_type_conformance,
                response_schema_conformance])

        ask()


def test_a_feedback_is_read() -> None:
    found = parse_feedback(json.dumps({
        "id": "7", "time": "20140511T121314", "status": {
            "execution": "closed", "code": 200, "result": {"finished": "none", "progress": {"cnt": 2, "of": 5}},
            "details": ["a", "b"]}}).encode())
    assert (found.execution, found.finished, found.words) == ("closed", "none", "a / b")
