"""Boards for which somebody asks, and the process that signs: on a real site with real signatures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import update

from slotbench.fleet.audit_log import Actor
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.installs import ask_install, list_installs
from slotbench.fleet.rollout_runner import RolloutRunner, read_channel_head
from slotbench.fleet.schema import boards
from slotbench.fleet.site_mirror import SiteMirror
from slotbench.formats.head import DEVICES_MAX, Head
from slotbench.release.publish import Rollout, publish_release
from slotbench.release.store import Store
from support.commands import MakeRelease
from support.fleet import fill
from support.samples import PRODUCT, KeyRing

PERSON = Actor("somebody")


class Installs:
    """A channel that offers counter 7 to nobody, and boards that run 5."""

    def __init__(
        self, database: FleetDatabase, site: Store, ring: KeyRing, clock: list[float], make_release: MakeRelease,
        firmware: bytes,
    ) -> None:
        self.database, self.site, self.ring, self.clock = database, site, ring, clock
        self._make_release, self._firmware = make_release, firmware
        self.mirror = SiteMirror(database, site.root, lambda: clock[0])
        self.publish(7)
        fill(database, DEVICES_MAX + 4)

    def publish(self, counter: int, **rollout: Any) -> None:
        publish_release(
            self.site, self._make_release(counter), self.ring.document, [self._firmware], self.ring.load("online"),
            int(self.clock[0]), rollout=Rollout(percent=0, **rollout))
        self.mirror.sync()

    def ask(self, number: int, verb: Callable[..., object] = ask_install) -> None:
        self.clock[0] += 1
        with self.database.writing() as connection:
            verb(connection, PERSON, int(self.clock[0]), f"lamp-{number:06}")

    def turn(self) -> Sequence[int]:
        """Let the process that signs have its turn; the numbers of the boards that the head lists then."""
        RolloutRunner(
            self.database, self.site.root, self.ring.document, self.ring.load("online"), lambda: self.clock[0]).step()
        self.mirror.sync()
        self.clock[0] += 120  # the lease of that process ends
        return [int(device.removeprefix("lamp-")) for device in self.head.devices]

    def change(self, number: int, **values: object) -> None:
        with self.database.writing() as connection:
            connection.execute(update(boards).where(boards.c.device_id == f"lamp-{number:06}").values(**values))

    @property
    def head(self) -> Head:
        found = read_channel_head(self.site, PRODUCT, "stable")
        assert found is not None
        return found

    @property
    def waiting(self) -> Sequence[str]:
        with self.database.reading() as connection:
            return [each.device_id for each in list_installs(connection)]
