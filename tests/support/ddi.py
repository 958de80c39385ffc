"""A device that speaks hawkBit's DDI with a server of an application: Flask's client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from slotbench.fleet.audit_log import Actor
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.ddi.device_tokens import TokenKind, make_device_token
from slotbench.fleet.schema import events
from slotbench.formats.head import Head
from support.samples import NOW, PRODUCT

PublishCounter: TypeAlias = Callable[..., Head]
"""Publishes a counter, with the fields of its rollout."""


def new_token(
    database: FleetDatabase, label: str, kind: TokenKind = TokenKind.TARGET, channel: str = "stable",
) -> str:
    """A token, with its word before it: what a header has."""
    with database.writing() as connection:
        token = make_device_token(connection, Actor("somebody"), NOW, kind, label, PRODUCT, channel)
    return f"{kind.title()}Token {token}"


def history(database: FleetDatabase, device_id: str) -> list[tuple[str, int, str]]:
    """What is kept of a device: kind, counter and detail, the oldest first."""
    with database.reading() as connection:
        rows = connection.execute(select(events).where(events.c.device_id == device_id).order_by(events.c.id))
        return [(row.kind, row.counter, row.detail) for row in rows]


class DdiDevice:
    """A device with its token."""

    def __init__(self, app: Flask, device_id: str, authorization: str, tenant: str = PRODUCT) -> None:
        self.client = app.test_client()
        self.path = f"/{tenant}/controller/v1/{device_id}"
        self.headers = {"Authorization": authorization}

    def get(self, path: str = "", **headers: str) -> TestResponse:
        """Ask for what is below the device's address, or for a link."""
        where = path if path.startswith("http") else self.path + path
        return self.client.get(where, headers={**self.headers, **headers})

    def links(self) -> dict[str, str]:
        """Poll; the links by their names."""
        answer = self.get()
        assert answer.status_code == 200, answer.text
        return {name: link["href"] for name, link in answer.json["_links"].items()}  # type: ignore[index]

    def put(self, mode: str | None = None, **data: str) -> TestResponse:
        """Say what the device is."""
        body: dict[str, Any] = {"data": data} | ({"mode": mode} if mode else {})
        return self.client.put(f"{self.path}/configData", json=body, headers=self.headers)

    def say(
        self, link: str, execution: str = "closed", finished: str = "success", *details: str, **more: Any,
    ) -> TestResponse:
        """Report about an action, by its link."""
        status = {"execution": execution, "result": {"finished": finished}, "details": list(details)}
        return self.client.post(
            f"{link.partition('?')[0]}/feedback", json={"status": status} | more, headers=self.headers)
