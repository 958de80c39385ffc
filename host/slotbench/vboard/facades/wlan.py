"""network, as ports/esp8266 has it: a station that the SDK associates by itself, and no access point side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from slotbench.vboard.facades.datagrams import NAME_SERVER
from slotbench.vboard.network.station import Association
from slotbench.vboard.runtime import CALL_US, Runtime
from slotbench.vboard.signals import DeviceOSError

__all__ = ["MODULES"]

_STATUS: Final = {
    Association.IDLE: 0, Association.CONNECTING: 1, Association.WRONG_PASSWORD: 2, Association.NOT_FOUND: 3,
    Association.UP: 5}
_SCAN_US: Final = 2_000_000


def _network(rt: Runtime) -> Mapping[str, Any]:
    name = ["MPY-ESP8266"]

    def hostname(new: str | None = None) -> str | None:
        if new is None:
            return name[0]
        name[0] = new
        return None

    return {
        "WLAN": lambda interface=0: _Wlan(rt, interface),
        "hostname": hostname,
        "STA_IF": 0,
        "AP_IF": 1,
        "STAT_IDLE": 0,
        "STAT_CONNECTING": 1,
        "STAT_WRONG_PASSWORD": 2,
        "STAT_NO_AP_FOUND": 3,
        "STAT_CONNECT_FAIL": 4,
        "STAT_GOT_IP": 5,
        "MODE_11B": 1,
        "MODE_11G": 2,
        "MODE_11N": 3,
    }


class _Wlan:
    """network.WLAN. What `connect` is given stays in the SDK's own flash, as on the chip."""

    PM_NONE, PM_POWERSAVE, PM_PERFORMANCE = 0, 1, 2

    def __init__(self, rt: Runtime, interface: int) -> None:
        if interface not in (0, 1):
            raise ValueError
        self._rt = rt
        self._is_station = interface == 0

    def active(self, on: bool | None = None) -> bool | None:
        self._rt.wait_us(CALL_US)
        if on is None:
            return self._is_station and self._rt.station.active
        if self._is_station:
            self._rt.station.activate(bool(on))
        return None

    def connect(
        self, ssid: str | bytes | None = None, key: str | bytes | None = None, *, bssid: bytes | None = None,
    ) -> None:
        if not self._is_station:
            raise DeviceOSError("STA required")
        self._rt.station.connect(None if ssid is None else _bytes(ssid), _bytes(key or b""))

    def disconnect(self) -> None:
        self._rt.station.activate(False)

    def isconnected(self) -> bool:
        self._rt.wait_us(CALL_US)
        return self._is_station and self._rt.is_associated()

    def status(self, what: str | None = None) -> int:
        self._rt.wait_us(CALL_US)
        if what == "rssi":
            return -60
        return _STATUS[self._rt.station.association()] if self._is_station else -1

    def scan(self) -> list[tuple[bytes, bytes, int, int, int, int]]:
        if not self._rt.station.active:
            raise DeviceOSError("STA must be active")
        self._rt.wait_us(_SCAN_US)
        heard = (each for each in self._rt.network.access_points or () if each.in_range)
        return [
            (b"" if each.hidden else each.ssid, b"\x02slot1", 1, -55, 3 if each.password else 0, each.hidden)
            for each in heard]

    def ifconfig(self) -> tuple[str, str, str, str]:
        if self.isconnected():
            return "192.168.100.3", "255.255.255.0", NAME_SERVER[0], NAME_SERVER[0]
        return "0.0.0.0", "0.0.0.0", "0.0.0.0", "0.0.0.0"

    def config(self, what: str | None = None, **settings: Any) -> Any:
        if what == "mac":
            return b"\x5c\xcf\x7f" + self._rt.soc.unique_id[:3]
        if what in ("essid", "ssid") and self._is_station:
            return self._rt.station.ssid.decode("utf-8", "replace")
        if what is not None:
            raise ValueError("unknown config param")
        return None


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else bytes(text)


MODULES = {"network": _network}
