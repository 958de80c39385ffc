"""Asking boards to poll now: a retained message on an MQTT broker. Boards do not trust its content."""

from __future__ import annotations

from typing import Final

from slotbench.errors import USAGE, BenchError
from slotbench.formats.head import Head

__all__ = ["head_topic", "notify_boards", "parse_broker"]

_PORT: Final = 1883
_CONNECT_S: Final = 5.0
_PATIENCE_S: Final = 10.0


def head_topic(product: str, channel: str) -> str:
    """The topic that boards of a product and channel subscribe to (FORMATS, MQTT hint)."""
    return f"twoslot/{product}/{channel}"


def notify_boards(broker: str, head: Head) -> None:
    """Publish the head's seq as a retained message at `broker` (`host[:port]`), for present and later boards.

    Returns once the broker has acknowledged it. Raises BenchError if `broker` is not an address (usage), or
    if no broker acknowledges within seconds.
    """
    # Imported here because it loads slowly and most commands do not need it.
    import paho.mqtt.client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    host, port = parse_broker(broker)
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.connect_timeout = _CONNECT_S
    why = "the broker does not acknowledge the message"
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
        # paho raises these when the broker closes the connection.
        pass
    finally:
        client.disconnect()
        client.loop_stop()
    raise BenchError(
        f"the head is published, but boards were not notified: {why}", where=f"{host}:{port}",
        cure="run `slotbench release notify` to try again; boards also poll by themselves")


def parse_broker(broker: str) -> tuple[str, int]:
    """The host and the port in `host[:port]`. Raises BenchError (usage)."""
    host, colon, port = broker.partition(":")
    if not host or colon and not (port.isdecimal() and 0 < int(port) < 65536):
        raise BenchError(
            f"{broker!r} is not the address of a broker", cure="give a host, or host:port", exit_code=USAGE)
    return host, int(port) if colon else _PORT
