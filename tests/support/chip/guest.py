"""A guest of few words for the wire of the emulated chip: ARP, and one TCP connection at a time."""

from __future__ import annotations

import struct

from slotbench.vboard.chip.network.frames import ARP, ETHERNET_BYTES, FIN, RST, SYN, kind_of, segment_in
from slotbench.vboard.chip.network.slirp import GUEST, HOST
from slotbench.vboard.chip.network.wire import Wire
from slotbench.vboard.clock import Clock

_ACK, _PSH = 16, 8
_MAC = b"\x5e\xcf\x7f\x00\x00\x01"
_STEP_US = 1000
_STEPS_MAX = 20_000


class Guest:
    """The board's end of `wire`, on `clock`. `heard` is what the peer sent, in order; repeats are dropped."""

    def __init__(self, wire: Wire, clock: Clock) -> None:
        self.wire = wire
        self.clock = clock
        self.heard = b""
        self.flags = 0
        self.peer_port = self.port = 0
        self._sequence, self._expected = 1000, 0
        self._peer_mac = b"\xff" * 6
        self._repeats = b""
        wire.send(b"\xff" * 6 + _MAC + struct.pack(">HHHBBH", ARP, 1, 0x0800, 6, 4, 1)
                  + _MAC + GUEST.packed + bytes(6) + HOST.packed)
        assert self.until(lambda: self._peer_mac != b"\xff" * 6), "nobody answers ARP"

    def connect(self, port: int, own_port: int = 5000) -> bool:
        """Open a connection to `port` of the host; False when it is refused."""
        self.port, self.peer_port, self.flags, self.heard = own_port, port, 0, b""
        self._send(SYN)
        self._sequence += 1
        return self.until(lambda: bool(self.flags)) and bool(self.flags & SYN)

    def say(self, data: bytes) -> None:
        """Send a piece that fits a segment."""
        self._send(_ACK | _PSH, data)
        self._sequence += len(data)

    def until(self, done: object) -> bool:
        """Let time pass until `done()` is true; a lost last segment is sent again every second."""
        assert callable(done)
        for step in range(_STEPS_MAX):
            if done():
                return True
            self.wire.serve()
            while (frame := self.wire.receive()) is not None:
                self._hear(frame)
            if not self.wire.await_host():
                self.clock.advance_us(_STEP_US)
            if step % 1000 == 999 and self._repeats:
                self.wire.send(self._repeats)
        return bool(done())

    def _hear(self, frame: bytes) -> None:
        if kind_of(frame) == ARP:
            if frame[20:22] == b"\0\x02":
                self._peer_mac = frame[6:12]
            elif frame[38:42] == GUEST.packed:
                self._peer_mac = frame[6:12]
                self.wire.send(frame[6:12] + _MAC + frame[12:20] + b"\0\x02" + _MAC + GUEST.packed
                               + frame[6:12] + frame[28:32])
            return
        found = segment_in(frame)
        if found is None:
            return
        if found.flags & SYN and not found.flags & _ACK:
            self.port, self.peer_port = found.target_port, found.source_port
            self._expected = found.next_sequence
            self._send(SYN | _ACK)
            self._sequence += 1
            return
        self.flags |= found.flags
        if found.flags & RST:
            return
        if found.flags & SYN:
            self._expected = found.next_sequence
            self._send(_ACK)
        elif found.payload or found.flags & FIN:
            if found.sequence == self._expected:
                self._expected = found.next_sequence
                self.heard += frame[len(frame) - found.payload :] if found.payload else b""
            self._send(_ACK)

    def _send(self, flags: int, data: bytes = b"") -> None:
        tcp = struct.pack(">HHIIBBHHH", self.port, self.peer_port, self._sequence, self._expected, 5 << 4, flags,
                          2144, 0, 0) + data
        pseudo = GUEST.packed + HOST.packed + struct.pack(">BBH", 0, 6, len(tcp))
        tcp = tcp[:16] + _checksum(pseudo + tcp) + tcp[18:]
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0) + GUEST.packed + HOST.packed
        ip = head[:10] + _checksum(head) + head[12:]
        frame = self._peer_mac + _MAC + b"\x08\x00" + ip + tcp
        assert len(frame) == ETHERNET_BYTES + 20 + len(tcp)
        self._repeats = frame if data or flags & SYN else b""
        self.wire.send(frame)


def _checksum(data: bytes) -> bytes:
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack(">H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF)
