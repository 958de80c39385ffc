"""Telling boards to look now: a retained message on an MQTT broker. It carries no trust, only a number."""

from __future__ import annotations

from typing import Final

from slotbench.errors import USAGE, BenchError
from slotbench.formats.head import Head

__all__ = ["head_topic", "notify_boards", "parse_broker"]

_PORT: Final = 1883
_CONNECT_S: Final = 5.0
_PATIENCE_S: Final = 10.0


def head_topic(product: str, channel: str) -> str:
    """What boards of a product and channel listen to (FORMATS 6.5)."""
    return f"twoslot/{product}/{channel}"


def notify_boards(broker: str, head: Head) -> None:
    """Leave the head's seq at the broker (`host[:port]`), for the boards that are there and those that come.

    Returns when the broker has confirmed it. Raises BenchError: usage when `broker` is not that, a failed
    check when no broker confirms within seconds.
    """
    # Commands that only could tell boards need not wait for it to load.
    import paho.mqtt.client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    host, port = parse_broker(broker)
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.connect_timeout = _CONNECT_S
    why = "it does not take the message"
    try:
        client.connect(host, port)
        client.loop_start()
        message = client.publish(head_topic(head.product, head.channel), str(head.seq), qos=1, retain=True)
        message.wait_for_publish(_PATIENCE_S)
        if message.is_published():
            return
    except OSError as error:
        why = error.strerror or str(error)
    except (RuntimeError, ValueError):
        # paho's way to say that the broker hung up.
        pass
    finally:
        client.disconnect()
        client.loop_stop()
    raise BenchError(
        f"the head is published, but boards were not told: {why}", where=f"{host}:{port}",
        do="they look by themselves too; to say it again: `slotbench release notify`")


def parse_broker(broker: str) -> tuple[str, int]:
    """Host and port in `host[:port]`. Raises BenchError (usage)."""
    host, colon, port = broker.partition(":")
    if not host or colon and not (port.isdecimal() and 0 < int(port) < 65536):
        raise BenchError(f"{broker!r} is no broker", do="give a host, or host:port", exit_code=USAGE)
    return host, int(port) if colon else _PORT
