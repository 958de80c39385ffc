"""The Wi-Fi station of a virtual board: the access point it joins, and the network that the SDK remembers.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from slotbench.vboard.flash.nor import SECTOR
from slotbench.vboard.network.base import AccessPoint, Network
from slotbench.vboard.soc import Soc

__all__ = ["Association", "Station"]

_MARK: Final = b"wifi"
_SSID_BYTES: Final = 32
_PASSWORD_BYTES: Final = 64
_PLACE: Final = 0x800
"""Of the record, in the SDK's sector of PHY data, which its saves leave alone: the bench's own place."""
_REFUSED_US: Final = 3_000_000
"""How long the four-way handshake is tried with a wrong password, about."""


class Association(Enum):
    """What the station says of itself."""

    IDLE = "idle"
    CONNECTING = "connecting"
    WRONG_PASSWORD = "wrong password"
    NOT_FOUND = "no such access point"
    UP = "up"


class Station:
    """The station of one boot of `soc`. A network without a list of access points takes any of them."""

    def __init__(self, soc: Soc, network: Network) -> None:
        self.active = True
        self._soc = soc
        self._network = network
        self._since_us = soc.boot_us
        self.ssid, self._password = self._load()
        network.joined = self._access_point()

    def activate(self, on: bool) -> None:
        """Switch the station on, which then joins the network that it knows, or off."""
        if on and not self.active:
            self._since_us = self._soc.clock.us
        self.active = on

    def connect(self, ssid: bytes | None, password: bytes) -> None:
        """Join a network, or the one that it knows (None). The SDK remembers what it was given."""
        if ssid is not None:
            self.ssid, self._password = ssid[:_SSID_BYTES], password[:_PASSWORD_BYTES]
            self._save()
        self.active, self._since_us = True, self._soc.clock.us
        self._network.joined = self._access_point()

    def association(self) -> Association:
        """How far it is."""
        network, passed_us = self._network, self._soc.clock.us - self._since_us
        if not self.active:
            return Association.IDLE
        if not network.online:
            return Association.NOT_FOUND
        if network.access_points is not None:
            if not self.ssid:
                return Association.IDLE
            if network.joined is None:
                return Association.NOT_FOUND
            if network.joined.password != self._password:
                return Association.WRONG_PASSWORD if passed_us >= _REFUSED_US else Association.CONNECTING
        return Association.UP if passed_us >= network.link.associate_ms * 1000 else Association.CONNECTING

    def _access_point(self) -> AccessPoint | None:
        known = self._network.access_points or ()
        return next((each for each in known if each.in_range and each.ssid == self.ssid), None)

    @property
    def _address(self) -> int:
        return self._soc.flash.size - 4 * SECTOR + _PLACE

    def _load(self) -> tuple[bytes, bytes]:
        record = self._soc.flash.peek(self._address, len(_MARK) + 2 + _SSID_BYTES + _PASSWORD_BYTES)
        if not record.startswith(_MARK):
            return b"", b""
        ssid_length, length = record[len(_MARK) : len(_MARK) + 2]
        rest = record[len(_MARK) + 2 :]
        return rest[:ssid_length], rest[_SSID_BYTES : _SSID_BYTES + length]

    def _save(self) -> None:
        lengths = bytes([len(self.ssid), len(self._password)])
        self._soc.flash.poke(
            self._address, _MARK + lengths + self.ssid.ljust(_SSID_BYTES, b"\0") + self._password.ljust(
                _PASSWORD_BYTES, b"\0"))
