"""Programs elsewhere are told what happens: signed, in order, and again when they did not take it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from slotbench.errors import BenchError
from slotbench.fleet.audit_log import Actor, record_action
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.leases import LEASE_S
from slotbench.fleet.recorder import BoardRecorder
from slotbench.fleet.webhook_sender import (
    WebhookSender,
    add_webhook,
    list_webhooks,
    remove_webhook,
    signature_of,
)
from support.commands import RunCommand
from support.fleet import proven, url_of
from support.samples import NOW

SOMEBODY = Actor("somebody")


class WebhookReceiver(HTTPServer):
    """Takes messages; `status` is what it answers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _WebhookHandler)
        self.status = 200
        self.taken: list[tuple[dict[str, str], bytes]] = []
        self.url = f"http://127.0.0.1:{self.server_port}/hook"

    @property
    def kinds(self) -> list[str]:
        return [json.loads(body)["kind"] for _, body in self.taken]


class _WebhookHandler(BaseHTTPRequestHandler):
    server: WebhookReceiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header("Location", self.server.url + "/elsewhere")
        self.send_header("Content-Length", "0")
        self.server.taken.append((dict(self.headers), body))
        self.end_headers()

    def log_message(self, *arguments: Any) -> None: ...


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever, args=(0.01,))
        thread.start()
        yield receiver
        receiver.shutdown()
        thread.join()


@pytest.fixture
def sender(database: FleetDatabase, clock: list[float]) -> WebhookSender:
    return WebhookSender(database, lambda: clock[0])


def act(database: FleetDatabase, action: str, subject: str = "lamp/stable counter 7") -> None:
    with database.writing() as connection:
        record_action(connection, SOMEBODY, NOW, action, subject, "why")


def test_what_happens_from_now_on_is_told_signed_and_once(
    database: FleetDatabase, receiver: WebhookReceiver, sender: WebhookSender, recorder: BoardRecorder,
) -> None:
    act(database, "rollout start")
    with database.writing() as connection:
        secret = add_webhook(connection, SOMEBODY, NOW, receiver.url)
    act(database, "rollout running")
    act(database, "login", "somebody")
    act(database, "refresh")
    recorder.observe(proven())
    recorder.observe(proven(report=2, report_counter=7, at=NOW + 9))
    recorder.flush()
    recorder.observe(proven(report=2, report_counter=7, at=NOW + 10, app=(3, 3, 4)))
    recorder.flush()
    assert sender.turn() == 4 and sender.turn() == 0
    assert receiver.kinds == ["rollout running", "refresh"] + ["board trouble"] * 2, "no login, nothing older"
    program = json.loads(receiver.taken[3][1])
    assert (program["about"], program["report"], program["counter"]) == ("program", "unproven", 4)
    headers, body = receiver.taken[2]
    assert json.loads(body) == {
        "kind": "board trouble", "at": NOW + 9, "device_id": "lamp-7", "name": "", "place": "", "about": "release",
        "report": "bad", "counter": 7}
    assert headers["Twoslot-Signature"] == signature_of(secret, body)
    assert len({headers["Twoslot-Delivery"] for headers, _ in receiver.taken}) == 4


def test_what_is_not_taken_comes_again_later_and_in_order(
    database: FleetDatabase, receiver: WebhookReceiver, sender: WebhookSender, clock: list[float],
) -> None:
    with database.writing() as connection:
        add_webhook(connection, SOMEBODY, NOW, receiver.url)
    act(database, "rollout running")
    act(database, "rollout paused")
    receiver.status = 500
    assert sender.turn() == 0 and receiver.kinds == ["rollout running"]
    with database.reading() as connection:
        view, = list_webhooks(connection)
    assert (view.failures, view.problem) == (1, "status 500")
    clock[0] += 19
    assert sender.turn() == 0 and len(receiver.taken) == 1, "not before 20 s"
    clock[0] += 1
    receiver.status = 302
    assert sender.turn() == 0 and receiver.kinds == ["rollout running"] * 2, "a redirect leads nowhere"
    clock[0] += 40
    receiver.status = 204
    assert sender.turn() == 2 and receiver.kinds[2:] == ["rollout running", "rollout paused"]
    with database.reading() as connection:
        view, = list_webhooks(connection)
    assert (view.failures, view.problem) == (0, "")


def test_one_process_sends(database: FleetDatabase, receiver: WebhookReceiver, clock: list[float]) -> None:
    first, second = (WebhookSender(database, lambda: clock[0]) for _ in range(2))
    with database.writing() as connection:
        add_webhook(connection, SOMEBODY, NOW, receiver.url)
    act(database, "rollout running")
    assert first.turn() == 1
    act(database, "rollout done")
    assert second.turn() == 0
    clock[0] += LEASE_S + 1
    assert second.turn() == 1 and receiver.kinds == ["rollout running", "rollout done"]


def test_a_program_that_is_not_there_is_said(database: FleetDatabase, sender: WebhookSender) -> None:
    with database.writing() as connection:
        add_webhook(connection, SOMEBODY, NOW, "http://127.0.0.1:9/")
        for url in ("ftp://x", "http://", "http://a b", "javascript:alert(1)"):
            with pytest.raises(BenchError, match="is no URL"):
                add_webhook(connection, SOMEBODY, NOW, url)
    act(database, "rollout running")
    assert sender.turn() == 0
    with database.writing() as connection:
        assert "refused" in list_webhooks(connection)[0].problem
        remove_webhook(connection, SOMEBODY, NOW, "http://127.0.0.1:9/")
    assert sender.turn() == 0


def test_webhooks_are_added_listed_and_taken_away(slotbench: RunCommand, database: FleetDatabase) -> None:
    def webhook(*arguments: str) -> Any:
        return slotbench("fleet", "webhook", *arguments, "--database", url_of(database))

    assert "Nobody is told" in webhook("list").out
    made = webhook("add", "http://127.0.0.1:9/x")
    assert made.code == 0 and len(made.out.strip()) == 64
    assert "it is told already" in webhook("add", "http://127.0.0.1:9/x").err
    assert webhook("list").out == "http://127.0.0.1:9/x  well\n"
    assert webhook("remove", "http://127.0.0.1:9/x").code == 0
    assert webhook("remove", "http://127.0.0.1:9/x").code == 2
