"""Boards of a fleet for tests: what they prove, and rows of the database without a request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import insert

from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.schema import boards, searched_text
from slotbench.server import ProvenRequest
from support.samples import NOW, PRODUCT

HEAD_NAME = f"heads/{PRODUCT}/stable.head"


@dataclass
class Queries:
    """The statements that a block sent to the database."""

    statements: list[str] = field(default_factory=list)


def url_of(database: FleetDatabase) -> str:
    """The URL of a database of a test, for a command line."""
    return str(database.engine.url.render_as_string(hide_password=False))


def proven(device_id: str = "lamp-7", **changes: Any) -> ProvenRequest:
    """An authenticated request of a board that confirmed counter 5."""
    fields: dict[str, Any] = {
        "at": NOW, "running": 5, "report": 1, "report_counter": 5, "name": HEAD_NAME, "first_byte": 0,
        "address": "192.168.1.20"}
    return ProvenRequest(device_id=device_id, **fields | changes)


def fill(database: FleetDatabase, number: int, **changes: Any) -> None:
    """Put that many boards into the database, lamp-000000 and so on. Values may be functions of the number."""
    rows = []
    for index in range(number):
        row = {
            "device_id": f"lamp-{index:06}", "product": PRODUCT, "channel": "stable", "running": 5, "report": 1,
            "report_counter": 5, "first_seen": NOW - 86400, "last_seen": NOW - index % 3600,
            "address": "192.168.1.20", "name": f"Lamp {index}", "place": "kitchen" if index % 2 else "attic",
            **{key: value(index) if callable(value) else value for key, value in changes.items()}}
        rows.append(row | {"searched": searched_text(row["device_id"], row["name"], row["place"])})
    with database.writing() as connection:
        connection.execute(insert(boards), rows)
