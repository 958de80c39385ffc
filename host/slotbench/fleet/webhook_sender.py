"""Webhooks: programs elsewhere are told of rollouts, of renewed heads, and of boards in trouble.

Each message is a POST of one JSON object, signed with the webhook's own secret. It is sent at least once, in
order; one that was not taken is sent again, later and later, up to every hour.
"""

from __future__ import annotations

import hmac
import json
import logging
import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from types import TracebackType
from typing import Any, Final, Self
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from sqlalchemy import Connection, RowMapping, delete, func, insert, or_, select, update

from slotbench.errors import USAGE, BenchError
from slotbench.fleet.audit_log import Actor, record_action
from slotbench.fleet.board_list import TROUBLE
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.leases import give_lease_back, new_owner, take_lease
from slotbench.fleet.schema import audit, boards, events, webhooks
from slotbench.formats.journal import Report

__all__ = ["WebhookSender", "WebhookView", "add_webhook", "list_webhooks", "remove_webhook", "signature_of"]

_URL = re.compile(r"https?://[!-~]{1,390}")
_TURN_S: Final = 5.0
_LIMIT_S: Final = 10.0
_STOP_S: Final = 0.5
_BATCH: Final = 50
_FIRST_WAIT_S: Final = 10
_LONGEST_WAIT_S: Final = 3600
_LEASE: Final = "webhooks"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookView:
    """A webhook. `problem` is why its last message was not taken; empty if it was."""

    url: str
    failures: int
    problem: str


class _NoRedirects(HTTPRedirectHandler):
    """A message goes where the operator said, and nowhere else."""

    def redirect_request(self, *arguments: Any) -> None:
        return None


class WebhookSender:
    """Sends the messages of a fleet while its context is entered. `clock` gives Unix seconds."""

    def __init__(self, database: FleetDatabase, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._owner = new_owner()
        self._opener = build_opener(_NoRedirects)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="slotbench-webhooks", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join(_STOP_S)  # a message that is under way is sent again with the next start

    def turn(self) -> int:
        """Send what is due, and return how many messages were taken. Raises BenchError.

        Only one process of a fleet sends.
        """
        now = int(self._clock())
        with self._database.reading() as connection:
            due = connection.execute(select(webhooks).where(webhooks.c.next_at <= now)).mappings().all()
        if not due or not take_lease(self._database, _LEASE, self._owner, now):
            return 0
        return sum(self._serve(hook, now) for hook in due)

    def leave(self) -> None:
        """Let another process send. Raises BenchError."""
        give_lease_back(self._database, _LEASE, self._owner)

    def _serve(self, hook: RowMapping, now: int) -> int:
        with self._database.reading() as connection:
            messages = _audit_messages(connection, hook["audit_id"])
            messages += _board_messages(connection, hook["event_id"])
        taken = 0
        for column, number, message in messages:
            problem = self._send(hook, f"{column}-{number}", message)
            failures = (0 if taken else hook["failures"]) + 1 if problem else 0
            wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S << min(failures, 10)) if problem else 0
            values: dict[str, object] = {
                "failures": failures, "problem": problem[:200], "next_at": now + wait_s}
            if not problem:
                values[column] = number
            with self._database.writing() as connection:
                connection.execute(update(webhooks).where(webhooks.c.id == hook["id"]).values(**values))
            if problem:
                _log.warning("%s: webhook not taken (%s)", hook["url"], problem)
                break
            taken += 1
        return taken

    def _send(self, hook: RowMapping, delivery: str, message: dict[str, object]) -> str:
        """Send one message; why it was not taken, or nothing."""
        body = json.dumps(message).encode()
        request = Request(hook["url"], body, {
            "Content-Type": "application/json", "User-Agent": "twoslot", "Twoslot-Delivery": delivery,
            "Twoslot-Signature": signature_of(hook["secret"], body)})
        try:
            with self._opener.open(request, timeout=_LIMIT_S):
                return ""
        except HTTPError as error:
            error.close()
            return f"status {error.code}"
        except (OSError, HTTPException, ValueError) as error:
            return str(getattr(error, "reason", None) or error) or type(error).__name__

    def _work(self) -> None:
        while not self._ended.wait(_TURN_S):
            try:
                self.turn()
            except BenchError as error:
                _log.warning("webhooks were not sent: %s", error)
            except Exception:
                _log.exception("defect in the thread of webhooks")


def signature_of(secret: str, body: bytes) -> str:
    """The signature of a body: HMAC-SHA-256, keyed with the text of the secret."""
    return "sha256=" + hmac.digest(secret.encode(), body, "sha256").hex()


def add_webhook(connection: Connection, actor: Actor, now: int, url: str) -> str:
    """Tell the program at `url` what happens from now on, and return its secret.

    Raises BenchError (usage) for what is no URL, or is there already.
    """
    if not _URL.fullmatch(url):
        raise BenchError(f"{url!r} is no URL", cure="give http://... or https://...", exit_code=USAGE)
    if connection.execute(select(webhooks.c.id).where(webhooks.c.url == url)).first() is not None:
        raise BenchError("it is told already", where=url, exit_code=USAGE,
                         cure="take it away first: slotbench fleet webhook remove")
    secret = secrets.token_hex(32)
    newest = [
        connection.execute(select(func.max(table.c.id))).scalar() or 0 for table in (audit, events)]
    connection.execute(insert(webhooks).values(
        url=url, secret=secret, audit_id=newest[0], event_id=newest[1]))
    record_action(connection, actor, now, "webhook add", url[:128])
    return secret


def remove_webhook(connection: Connection, actor: Actor, now: int, url: str) -> None:
    """Tell this program nothing any more. Raises BenchError (usage) if it is not told anything."""
    if not connection.execute(delete(webhooks).where(webhooks.c.url == url)).rowcount:
        raise BenchError(
            "it is not told anything", where=url, cure="see `slotbench fleet webhook list`", exit_code=USAGE)
    record_action(connection, actor, now, "webhook remove", url[:128])


def list_webhooks(connection: Connection) -> list[WebhookView]:
    """All webhooks."""
    return [
        WebhookView(url=row.url, failures=row.failures, problem=row.problem)
        for row in connection.execute(select(webhooks).order_by(webhooks.c.url))]


def _audit_messages(connection: Connection, after: int) -> list[tuple[str, int, dict[str, object]]]:
    rows = connection.execute(
        select(audit).where(audit.c.id > after)
        .where(or_(audit.c.action.startswith("rollout "), audit.c.action == "refresh"))
        .order_by(audit.c.id).limit(_BATCH)).mappings()
    return [("audit_id", row["id"], {
        "kind": row["action"], "at": row["at"], "who": row["who"], "subject": row["subject"],
        "detail": row["detail"]}) for row in rows]


def _board_messages(connection: Connection, after: int) -> list[tuple[str, int, dict[str, object]]]:
    rows = connection.execute(
        select(events, boards.c.name, boards.c.place)
        .outerjoin(boards, boards.c.device_id == events.c.device_id)
        .where(events.c.id > after, events.c.kind.in_(("report", "app-report")))
        .where(events.c.detail.in_([str(code) for code in TROUBLE]))
        .order_by(events.c.id).limit(_BATCH)).mappings()
    return [("event_id", row["id"], {
        "kind": "board trouble", "at": row["at"], "device_id": row["device_id"], "name": row["name"] or "",
        "place": row["place"] or "", "about": "release" if row["kind"] == "report" else "program",
        "report": Report(int(row["detail"])).name.lower(),
        "counter": row["counter"]}) for row in rows]
