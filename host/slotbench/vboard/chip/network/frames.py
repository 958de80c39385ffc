"""Ethernet frames that carry TCP: what a wire has to read of them, and the RST that ends a connection."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

__all__ = [
    "ACK", "ARP", "ETHERNET_BYTES", "FIN", "IPV4", "RST", "SYN", "TcpSegment", "checksum", "kind_of",
    "reset_for", "segment_in",
]

ETHERNET_BYTES: Final = 14
ARP: Final = 0x0806
IPV4: Final = 0x0800
FIN, SYN, RST, _PSH, ACK = 1, 2, 4, 8, 16
_TCP: Final = 6
_IP_BYTES: Final = 20
_TCP_BYTES: Final = 20


@dataclass(frozen=True, slots=True)
class TcpSegment:
    """A TCP segment in a frame. Addresses are 4 bytes; `payload` counts bytes."""

    source: bytes
    target: bytes
    source_port: int
    target_port: int
    sequence: int
    acknowledged: int
    flags: int
    window: int
    payload: int

    @property
    def next_sequence(self) -> int:
        """What the receiver acknowledges when it has all of it."""
        marks = bool(self.flags & SYN) + bool(self.flags & FIN)
        return self.sequence + self.payload + marks & 0xFFFFFFFF


def kind_of(frame: bytes) -> int:
    """The type word of a frame: ARP, IPV4 or another; 0 for what is no frame."""
    return int.from_bytes(frame[12:14], "big") if len(frame) >= ETHERNET_BYTES else 0


def segment_in(frame: bytes) -> TcpSegment | None:
    """The TCP segment in a frame, None when there is none, or not all of its head."""
    ip = frame[ETHERNET_BYTES:]
    if kind_of(frame) != IPV4 or len(ip) < _IP_BYTES or ip[9] != _TCP:
        return None
    ip_bytes, total = (ip[0] & 15) * 4, int.from_bytes(ip[2:4], "big")
    tcp = ip[ip_bytes:total]
    if len(tcp) < _TCP_BYTES:
        return None
    source_port, target_port, sequence, acknowledged, offset, flags, window = struct.unpack_from(
        ">HHIIBBH", tcp)
    return TcpSegment(
        ip[12:16], ip[16:20], source_port, target_port, sequence, acknowledged, flags, window,
        len(tcp) - (offset >> 4) * 4)


def reset_for(frame: bytes, sequence: int) -> bytes:
    """The RST, with this sequence number, to whoever gets segments like the one in `frame`."""
    found = segment_in(frame)
    assert found is not None
    ports = struct.pack(">HHIIBBHHH", found.source_port, found.target_port, sequence, 0, 5 << 4, RST, 0, 0, 0)
    pseudo = found.source + found.target + struct.pack(">BBH", 0, _TCP, len(ports))
    tcp = ports[:16] + checksum(pseudo + ports) + ports[18:]
    ends = found.source + found.target
    head = struct.pack(">BBHHHBBH", 0x45, 0, _IP_BYTES + len(tcp), 0, 0, 64, _TCP, 0) + ends
    return frame[:ETHERNET_BYTES] + head[:10] + checksum(head) + head[12:] + tcp


def checksum(data: bytes) -> bytes:
    """The Internet checksum of an even number of bytes."""
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack(">H", ~total & 0xFFFF)
