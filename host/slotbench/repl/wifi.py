"""Wi-Fi networks of a board: tried there, remembered by its SDK, and kept in twoslot.wifi.

The SDK of an ESP8266 remembers the one network that it joined last, with its password, and joins it at each
start by itself. twoslot.wifi has it too, with the network to fall back to.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from slotbench.errors import USAGE, BenchError
from slotbench.repl.transports import ReplTransport, parse_reports

__all__ = ["WIFI_FILE", "WifiNetwork", "WifiTrial", "refusal", "try_network", "wifi_file"]

WIFI_FILE: Final = "twoslot.wifi"
"""The file's name on the board."""
_SSID_BYTES: Final = 32
_PASSWORD_BYTES: Final = range(8, 64)
_WRONG_PASSWORD, _NOT_FOUND, _UP = 2, 3, 5
_WAIT_MS: Final = 20_000
_TRY: Final = """\
import json, network, socket, time
def say(*what):
    print("@twoslot", what)
w = network.WLAN(network.STA_IF)
w.active(True)
w.connect(%(ssid)r, %(password)r)
begun = time.ticks_ms()
while w.status() != 5 and time.ticks_diff(time.ticks_ms(), begun) < %(wait_ms)d:
    time.sleep_ms(200)
up = w.status()
say("wifi", up, w.ifconfig()[0], w.status("rssi") if up == 5 else 0)
if up == 5:
    s = socket.socket()
    s.settimeout(5)
    try:
        s.connect(socket.getaddrinfo(%(host)r, %(port)d)[0][-1])
        say("server", 0)
    except OSError as e:
        say("server", e.args[0] or 1)
    s.close()
else:
    try:
        say("seen", sorted({n[0] for n in w.scan() if n[0]}))
    except OSError:
        pass
    try:
        with open("/twoslot.wifi") as f:
            w.connect(*json.load(f)[0])
    except (OSError, ValueError):
        pass
"""


@dataclass(frozen=True, slots=True)
class WifiNetwork:
    """A network as it is joined. Without a password it is open. Raises BenchError (usage) where it is wrong.
    """

    ssid: str
    password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not 0 < len(self.ssid.encode()) <= _SSID_BYTES:
            raise BenchError(
                f"the name of a Wi-Fi network has 1 to {_SSID_BYTES} bytes in UTF-8, this one "
                f"{len(self.ssid.encode())}", where=self.ssid, cure="check the name", exit_code=USAGE)
        if self.password and len(self.password.encode()) not in _PASSWORD_BYTES:
            raise BenchError(
                "the password of a Wi-Fi network has 8 to 63 characters", where=self.ssid,
                cure="type it again; an open network has none", exit_code=USAGE)


@dataclass(frozen=True, slots=True)
class WifiTrial:
    """What became of an attempt to join. `address` is empty without a connection.

    `server_error` is the board's error number for a connection to its server; 0: the server took it.
    """

    status: int
    address: str = ""
    rssi: int = 0
    server_error: int = 0
    seen: Sequence[str] = ()

    @property
    def is_up(self) -> bool:
        """Whether the board has an address."""
        return self.status == _UP

    @property
    def is_refused(self) -> bool:
        """Whether the access point refused the password."""
        return self.status == _WRONG_PASSWORD


def try_network(transport: ReplTransport, network: WifiNetwork, server: str, port: str) -> WifiTrial:
    """Have the board join a network, and connect to its server (a URL).

    The SDK remembers it then; after a failure the board joins the first one of its twoslot.wifi again. Raises
    BenchError if the board is lost.
    """
    place = urlsplit(server)
    said = transport.run_script(_TRY % {
        "ssid": network.ssid.encode(), "password": network.password.encode(), "wait_ms": _WAIT_MS,
        "host": place.hostname or "", "port": place.port or 80})
    try:
        facts = {fact[0]: fact[1:] for fact in parse_reports(said)}
        status, address, rssi = facts["wifi"]
        seen = tuple(bytes(each).decode("utf-8", "replace") for each in facts.get("seen", ((),))[0])
        server_error = int(facts.get("server", (0,))[0])
        return WifiTrial(int(status), str(address) if status == _UP else "", int(rssi), server_error, seen)
    except (ValueError, KeyError, TypeError):
        raise BenchError(
            "the board's answer cannot be read", where=port,
            cure=f"see what it prints: mpremote connect {port} repl", exit_code=USAGE) from None


def refusal(network: WifiNetwork, trial: WifiTrial, port: str) -> BenchError:
    """Why the board did not join a network, and what to do."""
    kept = "the network that the board had in twoslot.wifi is back"
    if trial.status == _WRONG_PASSWORD:
        return BenchError(
            f"the access point refuses the password of {network.ssid!r}", where=port,
            cure=f"type it again; {kept}")
    if trial.status == _NOT_FOUND:
        names = ", ".join(map(repr, trial.seen)) or "none"
        return BenchError(
            f"the board does not find the network {network.ssid!r}; it sees {names}", where=port,
            cure=f"check the name, go nearer, and switch 2.4 GHz on, the only band of an ESP8266; {kept}")
    return BenchError(
        f"the board gets no connection to {network.ssid!r}", where=port,
        cure=f"check the access point: WPA2, 2.4 GHz, and an address by DHCP; {kept}")


def wifi_file(networks: Sequence[WifiNetwork]) -> bytes:
    """twoslot.wifi: the network to begin with first. MicroPython's JSON takes UTF-8 as it is."""
    pairs = [[each.ssid, each.password] for each in networks]
    return json.dumps(pairs, ensure_ascii=False).encode()
