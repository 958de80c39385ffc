"""Boards in Home Assistant: an `update` entity for each, by MQTT discovery. It costs the boards nothing.

Home Assistant shows what is installed and what is offered. It has no button that installs: boards update by
themselves when the rollout includes them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from slotbench import __version__
from slotbench.errors import BenchError
from slotbench.fleet.board_list import BoardFilter, BoardHealth, BoardView, late_after, list_boards
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.offers import OfferedHead, newest_heads
from slotbench.release.notify import parse_broker

__all__ = ["HomeAssistantBridge", "board_messages", "entity_id"]

_PREFIX: Final = "homeassistant"
_TOPIC: Final = "twoslot/fleet"
_TURN_S: Final = 10.0
_STOP_S: Final = 0.5
_WHOLE_S: Final = 600
"""How often all boards are looked at: some fell silent, and nothing else says that."""
_SLACK_S: Final = 60
_PAGE: Final = 500
_KEEPALIVE_S: Final = 60

_log = logging.getLogger(__name__)


class HomeAssistantBridge:
    """Tells the broker at `address` (`host[:port]`) of all boards while its context is entered.

    `login` is a user name and a password. `clock` gives Unix seconds. Raises BenchError (usage) for a wrong
    address. A broker that is away is tried again, without end.
    """

    def __init__(
        self, database: FleetDatabase, address: str, login: tuple[str, str] | None,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._host, self._port = parse_broker(address)
        self._clock = clock
        self._sent: dict[str, bytes] = {}
        self._heads: list[OfferedHead] = []
        self._whole_at = self._turned_at = 0
        self._ended = threading.Event()
        self.connected = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        if login is not None:
            self._client.username_pw_set(*login)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._thread = threading.Thread(target=self._work, name="slotbench-home-assistant")

    def __enter__(self) -> Self:
        self._client.connect_async(self._host, self._port, _KEEPALIVE_S)
        self._client.loop_start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._client.disconnect()
        # It may be about to connect to a computer that does not answer.
        stopping = threading.Thread(target=self._client.loop_stop, daemon=True)
        stopping.start()
        stopping.join(_STOP_S)

    def turn(self) -> int:
        """Publish what changed since the last turn, and return how many messages that were.

        Raises BenchError. Nothing is published while the broker is away.
        """
        if not self.connected.is_set():
            return 0
        now = int(self._clock())
        published = 0
        with self._database.reading() as connection:
            late_s = late_after(connection)
            heads = newest_heads(connection)
            is_whole = not self._sent or heads != self._heads or now - self._whole_at >= _WHOLE_S
            wanted = BoardFilter(limit=_PAGE, seen_since=0 if is_whole else self._turned_at - _SLACK_S)
            offered = {(head.product, head.channel): head for head in heads}
            while True:
                found = list_boards(connection, wanted, now, late_s)
                for board in found:
                    published += self._publish(board, offered.get((board.product, board.channel)))
                if len(found) < _PAGE:
                    break
                wanted = replace(wanted, after=found[-1].device_id)
        self._heads, self._turned_at = heads, now
        self._whole_at = now if is_whole else self._whole_at
        return published

    def _publish(self, board: BoardView, head: OfferedHead | None) -> int:
        published = 0
        for topic, content in board_messages(board, head).items():
            digest = hashlib.sha256(content.encode()).digest()[:8]
            if self._sent.get(topic) != digest:
                self._client.publish(topic, content, qos=1, retain=True)
                self._sent[topic] = digest
                published += 1
        return published

    def _work(self) -> None:
        while not self._ended.wait(_TURN_S):
            try:
                self.turn()
            except BenchError as error:
                _log.warning("Home Assistant was not told: %s", error)
            except Exception:
                _log.exception("defect in the thread for Home Assistant")

    def _on_connect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            _log.warning("%s:%d: the broker of Home Assistant refuses (%s)", self._host, self._port, reason)
            return
        self._sent.clear()  # a broker that was started anew may remember nothing
        self.connected.set()

    def _on_disconnect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        self.connected.clear()


def entity_id(device_id: str) -> str:
    """The part of topics that stands for a board: a device id may hold what a topic must not."""
    return "twoslot_" + hashlib.sha256(device_id.encode()).hexdigest()[:16]


def board_messages(board: BoardView, head: OfferedHead | None) -> Mapping[str, str]:
    """What Home Assistant is told of a board, by topic. `head` is what its channel offers, if that is known.
    """
    name = entity_id(board.device_id)
    base = f"{_TOPIC}/{name}"
    installed = board.version or str(board.running)
    is_newer = head is not None and not head.paused and head.counter > board.running
    latest = (head.version or str(head.counter)) if head is not None and is_newer else installed
    device = {
        "identifiers": [name], "name": board.title, "manufacturer": "twoslot",
        "model": board.product or "board", "serial_number": board.device_id, "sw_version": installed}
    if board.place:
        device["suggested_area"] = board.place
    config = {
        "name": "Firmware", "unique_id": name, "device_class": "firmware", "entity_category": "diagnostic",
        "state_topic": f"{base}/state", "availability_topic": f"{base}/availability", "device": device,
        "origin": {"name": "twoslot", "sw_version": __version__}}
    is_updating = board.state is BoardHealth.UPDATING
    state = {
        "installed_version": installed, "latest_version": latest, "title": board.product,
        "in_progress": is_updating, "update_percentage": board.progress if is_updating else None}
    return {
        f"{_PREFIX}/update/{name}/config": json.dumps(config),
        f"{base}/state": json.dumps(state),
        f"{base}/availability": "offline" if board.state is BoardHealth.LATE else "online"}
