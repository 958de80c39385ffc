"""What answers a board on its wire beside this machine: a name server, and a clock for NTP.

Every name means this machine. The time is this machine's, and goes on with the board's.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from slotbench.vboard.chip.network.frames import ETHERNET_BYTES, IPV4, checksum, kind_of
from slotbench.vboard.chip.network.slirp import HOST, NAME_SERVER
from slotbench.vboard.network.names import answer_names

__all__ = ["Services"]

_UDP: Final = 17
_IP_BYTES: Final = 20
_UDP_BYTES: Final = 8
_DNS_PORT, _NTP_PORT = 53, 123
_NTP_EPOCH_S: Final = 2_208_988_800
"""From 1900 to 1970."""
_NTP_BYTES: Final = 48


@dataclass(frozen=True, slots=True)
class _Datagram:
    """A UDP datagram in a frame."""

    frame: bytes
    target: bytes
    source_port: int
    target_port: int
    data: bytes

    def answer(self, data: bytes) -> bytes:
        """The frame that brings `data` back."""
        ip = self.frame[ETHERNET_BYTES:]
        udp = struct.pack(">HHHH", self.target_port, self.source_port, _UDP_BYTES + len(data), 0) + data
        head = struct.pack(">BBHHHBBH", 0x45, 0, _IP_BYTES + len(udp), 0, 0, 64, _UDP, 0)
        head += self.target + ip[12:16]
        ethernet = self.frame[6:12] + self.frame[:6] + self.frame[12:14]
        return ethernet + head[:10] + checksum(head) + head[12:] + udp


class Services:
    """Answers the questions in a board's frames. `now_us` is the board's time, `clock` seconds since 1970."""

    def __init__(self, now_us: Callable[[], int], clock: Callable[[], float] = time.time) -> None:
        self._now_us = now_us
        self._offset_s = clock() - now_us() / 1e6

    def set_time(self, seconds: float) -> None:
        """It is so many seconds after the beginning of 1970 now."""
        self._offset_s = seconds - self._now_us() / 1e6

    def answer(self, frame: bytes) -> bytes | None:
        """The frame that answers this one; None where it is for somebody else."""
        asked = _datagram_in(frame)
        if asked is None:
            return None
        if asked.target_port == _DNS_PORT and asked.target == NAME_SERVER.packed:
            answer = answer_names(asked.data, lambda name: str(HOST)) or b""
        elif asked.target_port == _NTP_PORT and asked.target == HOST.packed:
            answer = self._time(asked.data)
        else:
            return None
        return asked.answer(answer) if answer else None

    def _time(self, request: bytes) -> bytes:
        """An NTP answer of stratum 1."""
        if len(request) < _NTP_BYTES:
            return b""
        now_s = self._offset_s + self._now_us() / 1e6 + _NTP_EPOCH_S
        stamp = struct.pack(">II", int(now_s) & 0xFFFFFFFF, int(now_s % 1 * (1 << 32)))
        head = bytes((request[0] & 0x38 | 4, 1, 6, 0xEC)) + bytes(8) + b"LOCL"
        return head + stamp + request[40:48] + stamp + stamp


def _datagram_in(frame: bytes) -> _Datagram | None:
    ip = frame[ETHERNET_BYTES:]
    if kind_of(frame) != IPV4 or len(ip) < _IP_BYTES or ip[9] != _UDP:
        return None
    udp = ip[(ip[0] & 15) * 4 :]
    if len(udp) < _UDP_BYTES:
        return None
    source_port, target_port, length = struct.unpack_from(">HHH", udp)
    return _Datagram(frame, ip[16:20], source_port, target_port, udp[_UDP_BYTES:length])
