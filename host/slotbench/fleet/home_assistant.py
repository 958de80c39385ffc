"""Boards in Home Assistant: an `update` entity for each, by MQTT discovery. It costs the boards nothing.

Home Assistant shows what is installed and what is offered. Its install button asks for what
`slotbench fleet install` asks for: that the channel's head lists the board, whatever the percentage is. Each
new head is told to the boards that listen at this broker (FORMATS, MQTT hint).
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from sqlalchemy import select

from slotbench import __version__
from slotbench.errors import BenchError
from slotbench.fleet.audit_log import Actor
from slotbench.fleet.board_list import BoardFilter, BoardHealth, BoardView, late_after, list_boards
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.installs import ask_install, list_installs
from slotbench.fleet.offers import OfferedHead, newest_heads
from slotbench.fleet.schema import boards
from slotbench.release.notify import head_topic, parse_broker

__all__ = ["HomeAssistantBridge", "board_messages", "entity_id"]

_PREFIX: Final = "homeassistant"
_TOPIC: Final = "twoslot/fleet"
_PRESS: Final = "install"
"""The last part of the topic of a button, and what it sends."""
_PRESSES_MAX: Final = 64
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

    `login` is a user name and a password. With `has_button`, whoever may write to the broker can have a board
    take what its channel offers. `clock` gives Unix seconds. Raises BenchError (usage) for a wrong
    address. A broker that is away is tried again, without end.
    """

    def __init__(
        self, database: FleetDatabase, address: str, login: tuple[str, str] | None,
        clock: Callable[[], float], *, has_button: bool = False,
    ) -> None:
        self.has_button = has_button
        self._presses: deque[str] = deque(maxlen=_PRESSES_MAX)
        self._asked: frozenset[str] = frozenset()
        self._hints: dict[str, int] = {}
        self._pressed = threading.Event()
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
        self._client.on_message = self._on_message
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
        self._pressed.set()
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
        self._take_presses(now)
        with self._database.reading() as connection:
            late_s = late_after(connection)
            heads = newest_heads(connection)
            asked = frozenset(each.device_id for each in list_installs(connection) if not each.cancel)
            is_same = self._sent and heads == self._heads and asked == self._asked
            is_whole = not is_same or now - self._whole_at >= _WHOLE_S
            wanted = BoardFilter(limit=_PAGE, seen_since=0 if is_whole else self._turned_at - _SLACK_S)
            offered = {(head.product, head.channel): head for head in heads}
            while True:
                found = list_boards(connection, wanted, now, late_s)
                for board in found:
                    published += self._publish(board, offered.get((board.product, board.channel)), asked)
                if len(found) < _PAGE:
                    break
                wanted = replace(wanted, after=found[-1].device_id)
        self._hint(heads)
        self._heads, self._asked, self._turned_at = heads, asked, now
        self._whole_at = now if is_whole else self._whole_at
        return published

    def _publish(self, board: BoardView, head: OfferedHead | None, asked: Collection[str]) -> int:
        published = 0
        messages = board_messages(
            board, head, has_button=self.has_button, is_asked=board.device_id in asked)
        for topic, content in messages.items():
            digest = hashlib.sha256(content.encode()).digest()[:8]
            if self._sent.get(topic) != digest:
                self._client.publish(topic, content, qos=1, retain=True)
                self._sent[topic] = digest
                published += 1
        return published

    def _hint(self, heads: list[OfferedHead]) -> None:
        """Tell boards that listen at this broker of heads that are new."""
        for head in heads:
            topic = head_topic(head.product, head.channel)
            if self._hints.get(topic) != head.seq:
                self._client.publish(topic, str(head.seq), qos=1, retain=True)
                self._hints[topic] = head.seq

    def _take_presses(self, now: int) -> None:
        """Ask for the boards whose button was pressed. What cannot be done is said in the log."""
        pressed = {self._presses.popleft() for _ in range(len(self._presses))}
        if not pressed:
            return
        with self._database.reading() as connection:
            ids = connection.execute(select(boards.c.device_id)).scalars().all()
        for device_id in ids:
            if entity_id(device_id) in pressed:
                try:
                    with self._database.writing() as connection:
                        ask_install(connection, Actor("Home Assistant", self._host), now, device_id)
                except BenchError as error:
                    _log.warning("not installed by Home Assistant: %s", error)

    def _work(self) -> None:
        while not self._ended.is_set():
            self._pressed.wait(_TURN_S)
            self._pressed.clear()
            if self._ended.is_set():
                return
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
        self._hints.clear()
        if self.has_button:
            client.subscribe(f"{_TOPIC}/+/{_PRESS}", 1)
        self.connected.set()

    def _on_disconnect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        self.connected.clear()

    def _on_message(self, client: Any, data: Any, message: mqtt.MQTTMessage) -> None:
        if message.retain or message.payload != _PRESS.encode():
            _log.warning("%s: what is no press of a button is ignored", message.topic)
        elif self.has_button:
            self._presses.append(message.topic.split("/")[-2])
            self._pressed.set()


def entity_id(device_id: str) -> str:
    """The part of topics that stands for a board: a device id may hold what a topic must not."""
    return "twoslot_" + hashlib.sha256(device_id.encode()).hexdigest()[:16]


def board_messages(
    board: BoardView, head: OfferedHead | None, *, has_button: bool = False, is_asked: bool = False,
) -> Mapping[str, str]:
    """What Home Assistant is told of a board, by topic. `head` is what its channel offers, if that is known.

    `is_asked` says that somebody asked to install it, and no head lists it yet.
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
    if has_button:
        config |= {"command_topic": f"{base}/{_PRESS}", "payload_install": _PRESS}
    is_updating = board.state is BoardHealth.UPDATING
    is_listed = head is not None and is_newer and board.device_id in head.devices
    has_failed = board.state is BoardHealth.TROUBLE
    state = {
        "installed_version": installed, "latest_version": latest, "title": board.product,
        "in_progress": is_updating or (is_asked or is_listed) and not has_failed,
        "update_percentage": board.progress if is_updating else None}
    return {
        f"{_PREFIX}/update/{name}/config": json.dumps(config),
        f"{base}/state": json.dumps(state),
        f"{base}/availability": "offline" if board.state is BoardHealth.LATE else "online"}
