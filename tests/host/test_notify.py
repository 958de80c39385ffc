"""`release.notify`: the broker retains the seq of the head for the boards. A failure is one line with a cure."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from slotbench.formats import document
from slotbench.formats.head import Head
from slotbench.release import notify, store
from slotbench.release.store import Store
from support.commands import MakeRelease, RunCommand
from support.mqtt.brokers import Mosquitto, broker, free_port, packet
from support.samples import PRODUCT, SEQ, KeyRing

pytestmark = pytest.mark.usefixtures("mqtt")
WITHIN_S = 90.0

Commands: TypeAlias = dict[str, tuple[object, ...]]


def retained_message(mosquitto: Mosquitto, topic: str) -> tuple[bytes, bool]:
    """What the broker sends to a later subscriber, and whether it marks the message as retained."""
    found: list[tuple[bytes, bool]] = []
    there = threading.Event()

    def on_message(client: mqtt.Client, data: object, message: mqtt.MQTTMessage) -> None:
        found.append((bytes(message.payload), message.retain))
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
def commands(
    slotbench: RunCommand, site: Store, make_release: MakeRelease, ring: KeyRing, firmware_file: Path,
) -> Commands:
    """The command lines that publish counter 7, promote it and notify boards."""
    keys = "--keys", ring.document
    signing = "--key", ring.online, *keys
    return {
        "publish": ("release", "publish", make_release(), site.root, "--image", firmware_file, *signing),
        "promote": ("release", "promote", site.root, "--percent", "100", *signing),
        "notify": ("release", "notify", site.root, *keys),
    }


def head_seq(site: Store) -> int:
    return Head.from_payload(document.split_document(site.read(store.head_name(PRODUCT, "stable"))).payload).seq


def test_the_broker_retains_the_seq_of_the_head(
    slotbench: RunCommand, site: Store, commands: Commands, mosquitto: Mosquitto,
) -> None:
    ran = slotbench(*commands["publish"], "--percent", "10", "--notify", mosquitto.address)
    assert (ran.code, ran.err) == (0, "")
    assert f"{mosquitto.address}: boards of sensor/stable are told to check" in ran.out
    assert retained_message(mosquitto, "twoslot/sensor/stable") == (b"%d" % SEQ, True)

    assert slotbench(*commands["promote"], "--notify", mosquitto.address).code == 0
    assert retained_message(mosquitto, "twoslot/sensor/stable") == (b"%d" % (SEQ + 1), True)


def test_a_broker_that_is_down_does_not_stop_a_publication(
    slotbench: RunCommand, site: Store, commands: Commands, mosquitto: Mosquitto,
) -> None:
    slotbench(*commands["publish"], "--percent", "10")
    mosquitto.stop()

    ran = slotbench(*commands["promote"], "--notify", mosquitto.address)

    assert ran.code == 1 and head_seq(site) == SEQ + 1
    assert "the head is published, but boards were not notified: " in ran.err
    assert "run `slotbench release notify` to try again" in ran.err
    assert slotbench(*commands["notify"], mosquitto.address).code == 1
    mosquitto.start()
    assert slotbench(*commands["notify"], mosquitto.address).code == 0
    assert retained_message(mosquitto, "twoslot/sensor/stable") == (b"%d" % (SEQ + 1), True)


def stay_silent(connection: socket.socket) -> None:
    connection.recv(1000)
    connection.recv(1)


def refuse_connection(connection: socket.socket) -> None:
    packet(connection)
    connection.sendall(b"\x20\x02\0\x05")


def accept_no_message(connection: socket.socket) -> None:
    packet(connection)
    connection.sendall(b"\x20\x02\0\0")
    connection.recv(1000)
    connection.recv(1)


@pytest.mark.parametrize("behave", [stay_silent, refuse_connection, accept_no_message])
def test_a_broker_that_does_not_acknowledge_is_an_error(
    slotbench: RunCommand, site: Store, commands: Commands, monkeypatch: pytest.MonkeyPatch,
    behave: Callable[[socket.socket], None],
) -> None:
    monkeypatch.setattr(notify, "_PATIENCE_S", 0.5)
    with broker(behave) as made:
        ran = slotbench(*commands["publish"], "--notify", made.address)
    assert ran.code == 1 and head_seq(site) == SEQ
    assert "the broker does not acknowledge the message" in ran.err


def test_a_closed_port_is_an_error(slotbench: RunCommand, commands: Commands) -> None:
    ran = slotbench(*commands["publish"], "--notify", f"127.0.0.1:{free_port()}")
    assert ran.code == 1 and "not notified: " in ran.err


def test_refresh_and_notify_exclude_each_other(
    slotbench: RunCommand, site: Store, ring: KeyRing, commands: Commands,
) -> None:
    slotbench(*commands["publish"])
    ran = slotbench(
        "release", "publish", "--refresh", site.root, "--key", ring.online, "--keys", ring.document,
        "--notify", "127.0.0.1")
    assert ran.code == 2 and "--notify does not go with --refresh" in ran.err


def test_notify_without_a_published_head_is_an_error(
    slotbench: RunCommand, site: Store, ring: KeyRing,
) -> None:
    site.root.mkdir()
    ran = slotbench("release", "notify", site.root, "127.0.0.1", "--keys", ring.document)
    assert ran.code == 1 and "nothing is published for sensor in the channel stable" in ran.err
