"""Home Assistant hears of boards by a real mosquitto (`fleet.home_assistant`)."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import insert, update

from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.audit_log import list_audit
from slotbench.fleet.home_assistant import HomeAssistantBridge, entity_id
from slotbench.fleet.schema import boards, heads, images, releases
from support.fleet import fill
from support.installs import Installs
from support.mqtt.brokers import Mosquitto
from support.samples import NOW, PRODUCT

WITHIN_S = 90.0
DIGEST = "ab" * 32


class HomeAssistant:
    """What is told on the broker, the newest of each topic; `wait` until that many messages came."""

    def __init__(self, broker: Mosquitto) -> None:
        self.told: dict[str, str] = {}
        self.count = 0
        self._changed = threading.Condition()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self.client.on_message = self._on_message
        self.client.connect("127.0.0.1", broker.port)
        self.client.subscribe([("homeassistant/#", 1), ("twoslot/fleet/+/state", 1), ("twoslot/fleet/+/availability", 1)])
        self.client.loop_start()

    def wait(self, count: int) -> dict[str, str]:
        with self._changed:
            assert self._changed.wait_for(lambda: self.count >= count, WITHIN_S), f"{self.count} of {count}"
            return dict(self.told)

    def _on_message(self, client: Any, data: Any, message: mqtt.MQTTMessage) -> None:
        with self._changed:
            self.told[message.topic] = message.payload.decode()
            self.count += 1
            self._changed.notify_all()


@pytest.fixture
def home(mosquitto: Mosquitto) -> Iterator[HomeAssistant]:
    home = HomeAssistant(mosquitto)
    yield home
    home.client.disconnect()
    home.client.loop_stop()


@pytest.fixture
def house(database: FleetDatabase) -> Callable[..., None]:
    """Three boards that run 5 (2.0.0), and a channel that offers 7 (2.1.0)."""
    fill(database, 3, last_seen=NOW)
    with database.writing() as connection:
        connection.execute(insert(releases), [
            {"digest": digest * 32, "product": PRODUCT, "counter": counter, "version": version, "channels": "[]",
             "boards": "[]", "notes": "", "preflight": "", "floor": 0, "created": NOW, "bytes": 1000}
            for digest, counter, version in (("ab", 7, "2.1.0"), ("cd", 5, "2.0.0"))])
        connection.execute(insert(images).values(
            sha256=DIGEST, digest=DIGEST, product=PRODUCT, counter=7, bytes=1000))
        connection.execute(insert(heads).values(
            product=PRODUCT, channel="stable", epoch=1, seq=1, digest=DIGEST, counter=7, percent=100, cohorts="[]",
            paused=False, interval_s=0, issued=NOW, expires=NOW + 86400, seen=NOW))

    def change(device_id: str, **values: object) -> None:
        with database.writing() as connection:
            connection.execute(update(boards).where(boards.c.device_id == device_id).values(**values))

    return change


def test_home_assistant_hears_of_boards_and_of_what_changes(
    database: FleetDatabase, mosquitto: Mosquitto, home: HomeAssistant, house: Callable[..., None], clock: list[float],
) -> None:
    first, second = entity_id("lamp-000000"), entity_id("lamp-000001")
    with HomeAssistantBridge(database, mosquitto.address, None, lambda: clock[0]) as bridge:
        assert bridge.connected.wait(WITHIN_S)
        assert bridge.turn() == 9
        told = home.wait(9)
        config = json.loads(told[f"homeassistant/update/{first}/config"])
        assert config["device"]["name"] == "Lamp 0" and config["device"]["suggested_area"] == "attic"
        assert config["state_topic"] == f"twoslot/fleet/{first}/state" and config["unique_id"] == first
        assert json.loads(told[config["state_topic"]]) == {
            "installed_version": "2.0.0", "latest_version": "2.1.0", "title": PRODUCT, "in_progress": False,
            "update_percentage": None}
        assert told[config["availability_topic"]] == "online"

        assert bridge.turn() == 0, "nothing changed"
        house("lamp-000001", target=7, target_at=NOW, progress=250)
        assert bridge.turn() == 1
        state = json.loads(home.wait(10)[f"twoslot/fleet/{second}/state"])
        assert (state["in_progress"], state["update_percentage"]) == (True, 25)
        house("lamp-000001", running=7, report_counter=7)
        assert bridge.turn() == 2
        state = json.loads(home.wait(12)[f"twoslot/fleet/{second}/state"])
        assert (state["installed_version"], state["latest_version"]) == ("2.1.0", "2.1.0")

        with database.writing() as connection:
            connection.execute(update(heads).values(paused=True))
        assert bridge.turn() == 2, "what is paused is offered to nobody"
        clock[0] += 14 * 3600
        assert bridge.turn() == 3
        assert home.wait(17)[f"twoslot/fleet/{first}/availability"] == "offline"


def test_a_broker_that_starts_anew_is_told_again(
    database: FleetDatabase, mosquitto: Mosquitto, house: Callable[..., None], clock: list[float],
) -> None:
    with HomeAssistantBridge(database, mosquitto.address, None, lambda: clock[0]) as bridge:
        assert bridge.connected.wait(WITHIN_S) and bridge.turn() == 9
        mosquitto.stop()
        bridge.connected.clear()
        assert bridge.turn() == 0
        mosquitto.start()
        assert bridge.connected.wait(WITHIN_S) and bridge.turn() == 9


def test_the_install_button_has_the_board_listed_and_told(
    mosquitto: Mosquitto, home: HomeAssistant, installs: Installs,
) -> None:
    name = entity_id("lamp-000003")
    hints: queue.Queue[tuple[str, bytes, bool]] = queue.Queue()
    home.client.message_callback_add(
        "twoslot/sensor/stable", lambda client, data, message: hints.put((message.topic, message.payload, message.retain)))
    home.client.subscribe("twoslot/sensor/stable", 1)
    kept = f"twoslot/fleet/{entity_id('lamp-000005')}/install"
    home.client.publish(kept, "install", qos=1, retain=True).wait_for_publish(WITHIN_S)
    with HomeAssistantBridge(
        installs.database, mosquitto.address, None, lambda: installs.clock[0], has_button=True,
    ) as bridge:
        assert bridge.connected.wait(WITHIN_S)
        count = bridge.turn()
        config = json.loads(home.wait(count)[f"homeassistant/update/{name}/config"])
        assert (config["command_topic"], config["payload_install"]) == (f"twoslot/fleet/{name}/install", "install")
        assert hints.get(timeout=WITHIN_S)[1] == str(installs.head.seq).encode()
        # Neither of these, nor the one that the broker kept, is a press.
        home.client.publish(config["command_topic"], "erase", qos=1)
        home.client.publish(f"twoslot/fleet/{entity_id('lamp-9')}/install", "install", qos=1)

        for _ in range(2):  # pressing twice is as pressing once
            home.client.publish(config["command_topic"], config["payload_install"], qos=1)
        state = json.loads(home.wait(count + 1)[config["state_topic"]])
        assert (state["in_progress"], state["update_percentage"]) == (True, None), "the thread did not take the press"
        assert installs.turn() == [3]
        bridge.turn()
        assert hints.get(timeout=WITHIN_S) == ("twoslot/sensor/stable", str(installs.head.seq).encode(), False)
        installs.change(3, running=7, report_counter=7, last_seen=int(installs.clock[0]))
        assert bridge.turn() == 2
        state = json.loads(home.wait(count + 3)[config["state_topic"]])
        assert (state["in_progress"], state["installed_version"]) == (False, state["latest_version"])
    with installs.database.reading() as connection:
        told = [(entry.who, entry.address, entry.action, entry.subject) for entry in list_audit(connection)]
    assert told[1] == ("Home Assistant", "127.0.0.1", "install", "lamp-000003") and len(told) == 2


def test_without_the_option_there_is_no_button(
    mosquitto: Mosquitto, home: HomeAssistant, house: Callable[..., None], database: FleetDatabase,
) -> None:
    with HomeAssistantBridge(database, mosquitto.address, None, lambda: NOW) as bridge:
        assert bridge.connected.wait(WITHIN_S) and bridge.turn() == 9
        config = json.loads(home.wait(9)[f"homeassistant/update/{entity_id('lamp-000000')}/config"])
    assert "command_topic" not in config and not bridge.has_button
