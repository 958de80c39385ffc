"""One process at a time: it takes a lease in the database with each turn, and others wait until it ends."""

from __future__ import annotations

import os
import secrets
import socket
from typing import Final

from sqlalchemy import select, update

from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.recorder import upsert
from slotbench.fleet.schema import leases

__all__ = ["LEASE_S", "give_lease_back", "new_owner", "take_lease"]

LEASE_S: Final = 30
"""How long a process has something for itself after each turn."""


def new_owner() -> str:
    """A name for this process."""
    return f"{socket.gethostname()[:30]}:{os.getpid()}:{secrets.token_hex(4)}"


def take_lease(database: FleetDatabase, name: str, owner: str, now: int) -> bool:
    """Take or keep the lease `name`, until LEASE_S after `now` (Unix seconds). False: another one has it.

    Raises BenchError.
    """
    until = now + LEASE_S
    with database.writing() as connection:
        statement = upsert(connection, leases).values(name=name, owner=owner, until=until)
        connection.execute(statement.on_conflict_do_update(
            index_elements=[leases.c.name], set_={"owner": owner, "until": until},
            where=(leases.c.owner == owner) | (leases.c.until <= now)))
        found = connection.execute(select(leases.c.owner).where(leases.c.name == name)).scalar_one()
    return bool(found == owner)


def give_lease_back(database: FleetDatabase, name: str, owner: str) -> None:
    """End the lease, for the next process. Raises BenchError."""
    with database.writing() as connection:
        connection.execute(
            update(leases).where(leases.c.name == name, leases.c.owner == owner).values(until=0))
