"""release.notify: what a broker keeps for the boards, and what is said when it cannot be told."""

from __future__ import annotations

import threading

import pytest
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from slotbench.formats import document
from slotbench.formats.head import Head
from slotbench.release import notify, store
from support.mqtt.brokers import Mosquitto, broker, free_port, packet
from support.samples import PRODUCT

pytestmark = pytest.mark.usefixtures("mqtt")
WITHIN_S = 20.0


def kept(mosquitto: Mosquitto, topic: str) -> tuple[bytes, bool]:
    """What the broker sends to somebody who comes later, and whether it says that it was kept."""
    found: list[tuple[bytes, bool]] = []
    there = threading.Event()

    def on_message(client: mqtt.Client, data: object, message: mqtt.MQTTMessage) -> None:
        found.append((message.payload, message.retain))
        there.set()

    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_message = on_message
    client.connect("127.0.0.1", mosquitto.port)
    client.subscribe(topic)
    client.loop_start()
    assert there.wait(WITHIN_S)
    client.disconnect()
    client.loop_stop()
    return found[0]


@pytest.fixture
def site(slotbench, target, make, ring, firmware_file):
    """Options that publish counter 7, and those of the verbs after it."""
    keys = "--keys", ring.document
    signing = "--key", ring.online, *keys
    return {
        "publish": ("release", "publish", make(), target.root, "--image", firmware_file, *signing),
        "promote": ("release", "promote", target.root, "--percent", "100", *signing),
        "notify": ("release", "notify", target.root, *keys),
    }


def seq(target) -> int:
    return Head.from_payload(document.split(target.read(store.head_name(PRODUCT, "stable"))).payload).seq


def test_the_seq_of_the_head_is_kept_for_boards(slotbench, target, site, mosquitto):
    ran = slotbench(*site["publish"], "--percent", "10", "--notify", mosquitto.address)
    assert (ran.code, ran.err) == (0, "")
    assert f"{mosquitto.address}: boards of sensor/stable are told to look" in ran.out
    assert kept(mosquitto, "twoslot/sensor/stable") == (b"1", True)

    assert slotbench(*site["promote"], "--notify", mosquitto.address).code == 0
    assert kept(mosquitto, "twoslot/sensor/stable") == (b"2", True)


def test_a_broker_that_is_down_keeps_nothing_from_being_published(slotbench, target, site, mosquitto):
    slotbench(*site["publish"], "--percent", "10")
    mosquitto.stop()

    ran = slotbench(*site["promote"], "--notify", mosquitto.address)

    assert ran.code == 1 and seq(target) == 2
    assert "the head is published, but boards were not told: " in ran.err
    assert "to say it again: `slotbench release notify`" in ran.err
    assert slotbench(*site["notify"], mosquitto.address).code == 1
    mosquitto.start()
    assert slotbench(*site["notify"], mosquitto.address).code == 0
    assert kept(mosquitto, "twoslot/sensor/stable") == (b"2", True)


def silent(connection):
    connection.recv(1000)
    connection.recv(1)


def refuses(connection):
    packet(connection)
    connection.sendall(b"\x20\x02\0\x05")


def takes_no_message(connection):
    packet(connection)
    connection.sendall(b"\x20\x02\0\0")
    connection.recv(1000)
    connection.recv(1)


@pytest.mark.parametrize("behave", [silent, refuses, takes_no_message])
def test_a_broker_that_does_not_confirm(slotbench, target, site, monkeypatch, behave):
    monkeypatch.setattr(notify, "_PATIENCE_S", 0.5)
    with broker(behave) as made:
        ran = slotbench(*site["publish"], "--notify", made.address)
    assert ran.code == 1 and seq(target) == 1
    assert "it does not take the message" in ran.err


def test_nobody_there(slotbench, site):
    ran = slotbench(*site["publish"], "--notify", f"127.0.0.1:{free_port()}")
    assert ran.code == 1 and "not told: " in ran.err


def test_refresh_tells_nobody(slotbench, target, ring, site):
    slotbench(*site["publish"])
    ran = slotbench(
        "release", "publish", "--refresh", target.root, "--key", ring.online, "--keys", ring.document,
        "--notify", "127.0.0.1")
    assert ran.code == 2 and "--notify does not go with --refresh" in ran.err


def test_nothing_published(slotbench, target, ring):
    target.root.mkdir()
    ran = slotbench("release", "notify", target.root, "127.0.0.1", "--keys", ring.document)
    assert ran.code == 1 and "nothing is published for sensor in the channel stable" in ran.err
