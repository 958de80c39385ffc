"""The wire between an emulated board and this machine: frames on one side, real sockets on the other.

What the board sends to 192.168.4.2 reaches 127.0.0.1 of this machine and nothing else. `forward` lets this
machine reach a port of the board. Frames take their time on the board's clock, and may get lost.
"""

from __future__ import annotations

import heapq
import itertools
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Self

from slotbench.vboard.chip.network.frames import (
    ACK,
    ARP,
    FIN,
    IPV4,
    RST,
    SYN,
    TcpSegment,
    kind_of,
    reset_for,
    segment_in,
)
from slotbench.vboard.chip.network.services import Services
from slotbench.vboard.chip.network.slirp import HOST, NAME_SERVER, Slirp

__all__ = ["FrameFaults", "Wire"]

BYTES_PER_S: Final = 500_000
"""What frames get through the air; with the round trip and lwIP's small window that is about 50 KB/s of TCP.
Both are model values, no measurements.
"""
ROUND_TRIP_US: Final = 10_000
_GRACE_S: Final = 2.0
_PAUSE_S: Final = 0.1
_SLICE_S: Final = 0.02
_ROOM_BYTES: Final = 536
"""A board whose window is smaller has not read what is there."""

_Key = tuple[int, bytes, int]


@dataclass(slots=True)
class FrameFaults:
    """What goes wrong on the wire; chance is drawn from `seed`.

    `loss` is the share of frames that is lost in either direction, `delay_us` the most that a frame for
    the board comes late. `is_down` loses all frames. `cut_after`: when the board has received that many more
    bytes of TCP, all its connections are reset, once.
    """

    loss: float = 0.0
    delay_us: int = 0
    is_down: bool = False
    cut_after: int | None = None
    seed: int = 0


@dataclass(slots=True)
class _Stream:
    """A TCP connection, by direction (True: to the board): the last frame that arrived, what its receiver
    expects next, the sequence number behind all that was sent, and that up to which it was acknowledged.
    `window` is what the board takes.
    """

    frames: dict[bool, bytes] = field(default_factory=dict)
    expects: dict[bool, int] = field(default_factory=dict)
    sent: dict[bool, int] = field(default_factory=dict)
    acknowledged: dict[bool, int] = field(default_factory=dict)
    window: int = 0
    ended: set[bool] = field(default_factory=set)

    @property
    def waits_for_host(self) -> bool:
        """Whether nothing is under way in either direction, and the board would take more."""
        return self.window >= _ROOM_BYTES and self.sent == self.acknowledged


class Wire:
    """The wire; time is `now_us`, microseconds of the board.

    `services` answers names and NTP.

    `received` counts the bytes of TCP that reached the board, `lost` frames, `connections` those the board
    made. Raises BenchError (exit code 2) without libslirp.
    """

    def __init__(
        self, now_us: Callable[[], int], *, faults: FrameFaults | None = None, bytes_per_s: int = BYTES_PER_S,
        round_trip_us: int = ROUND_TRIP_US, grace_s: float = _GRACE_S,
    ) -> None:
        self.faults = faults if faults is not None else FrameFaults()
        self.received = self.lost = self.connections = 0
        self._now_us = now_us
        self._bytes_per_s = bytes_per_s
        self._round_trip_us = round_trip_us
        self._grace_s = self._patience_s = grace_s
        self._random = random.Random(self.faults.seed)
        self._order = itertools.count()
        self._coming: list[tuple[int, int, bytes]] = []
        self._free_us = 0
        self._streams: dict[_Key, _Stream] = {}
        self._slirp = Slirp(self._from_host, now_us)
        self.services = Services(now_us)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the wire away, with all sockets behind it."""
        self._slirp.close()
        self._coming.clear()
        self._streams.clear()

    def send(self, frame: bytes) -> None:
        """The board sends a frame."""
        if not _may_pass(frame):
            return
        self._note_sent(frame, from_board=True)
        if self._loses():
            return
        self._note(frame, from_board=True)
        answer = self.services.answer(frame)
        if answer is not None:
            self._from_host(answer)
        else:
            self._slirp.send(frame)

    def receive(self) -> bytes | None:
        """The next frame for the board that has arrived by now."""
        if not self.has_arrived:
            return None
        frame = heapq.heappop(self._coming)[2]
        self._note(frame, from_board=False)
        return frame

    @property
    def has_arrived(self) -> bool:
        """Whether `receive` has a frame now."""
        return bool(self._coming) and self._coming[0][0] <= self._now_us()

    @property
    def next_us(self) -> int | None:
        """When the next frame for the board arrives, None when none is on its way."""
        return self._coming[0][0] if self._coming else None

    @property
    def is_busy(self) -> bool:
        """Whether a connection is open: somebody on this machine may be about to say something."""
        return bool(self._streams)

    def serve(self, wait_s: float = 0.0) -> bool:
        """Move bytes between this machine's sockets and the wire; wait up to `wait_s` real seconds for them.

        True when a socket had something.
        """
        return self._slirp.serve(wait_s)

    def await_host(self) -> bool:
        """Give a peer on this machine real time to answer. True: ask again before the board's time goes on.

        For a board whose time is not real time: a busy machine must not run it into its timeouts. A peer that
        says nothing for the whole grace period counts as silent.
        """
        if not self._streams or self._coming or self._patience_s <= 0:
            return False
        if not any(stream.waits_for_host for stream in self._streams.values()):
            return False  # what is lost is sent again when the board's time comes to it
        if not self.serve(_SLICE_S):
            self._patience_s -= _SLICE_S
        return True

    def watch(self) -> None:
        """To be called before a sleep that ends when `fileno` is readable."""
        self._slirp.watch()

    def fileno(self) -> int:
        """For `select`: readable when `serve` has work."""
        return self._slirp.fileno()

    def forward(self, port: int) -> int:
        """Let a port of 127.0.0.1 reach the TCP port `port` of the board; which one. Raises BenchError."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            host_port: int = free.getsockname()[1]
        self._slirp.forward(host_port, port)
        return host_port

    def cut_connections(self) -> int:
        """Reset every open connection, at both ends; how many there were."""
        count = len(self._streams)
        for stream in list(self._streams.values()):
            for to_board, frame in list(stream.frames.items()):
                reset = reset_for(frame, stream.expects.get(to_board, 0))
                if to_board:
                    self._arrive(reset, self._now_us())
                else:
                    self._slirp.send(reset)
        self._streams.clear()
        return count

    def _from_host(self, frame: bytes) -> None:
        now_us = self._now_us()
        self._note_sent(frame, from_board=False)
        if self._loses():
            return
        self._free_us = max(self._free_us, now_us) + len(frame) * 1_000_000 // self._bytes_per_s
        late_us = self._random.randrange(self.faults.delay_us + 1) if self.faults.delay_us else 0
        self._arrive(frame, self._free_us + self._round_trip_us + late_us)

    def _arrive(self, frame: bytes, at_us: int) -> None:
        heapq.heappush(self._coming, (at_us, next(self._order), frame))

    def _loses(self) -> bool:
        lost = self.faults.is_down or bool(self.faults.loss) and self._random.random() < self.faults.loss
        self.lost += lost
        return lost

    def _note_sent(self, frame: bytes, *, from_board: bool) -> None:
        """Keep what an end has sent, whether it arrives or not."""
        found = segment_in(frame)
        if found is None or found.flags & RST:
            return
        key = _key(found, from_board)
        if found.flags & SYN and key not in self._streams:
            self.connections += from_board
            self._streams[key] = _Stream()
            self._patience_s = self._grace_s
        if found.payload:
            # Who was asked has to answer; who is in the middle of an answer has the rest of it at hand.
            self._patience_s = self._grace_s if from_board else min(self._grace_s, _PAUSE_S)
        if (stream := self._streams.get(key)) is not None:
            to_board = not from_board
            before = stream.sent.get(to_board, found.sequence)
            if _is_later(found.next_sequence, before) or to_board not in stream.sent:
                stream.sent[to_board] = found.next_sequence

    def _note(self, frame: bytes, *, from_board: bool) -> None:
        """Keep what arrived of a connection."""
        found = segment_in(frame)
        if found is None:
            return
        key = _key(found, from_board)
        if found.flags & RST:
            self._streams.pop(key, None)
            return
        stream = self._streams.get(key)
        if stream is None:
            return
        to_board = not from_board
        stream.frames[to_board] = frame
        stream.expects[to_board] = found.next_sequence
        if found.flags & ACK:
            stream.acknowledged[from_board] = found.acknowledged
        if from_board:
            stream.window = found.window
        if found.flags & FIN:
            stream.ended.add(to_board)
        if len(stream.ended) == 2 and not found.flags & FIN:
            del self._streams[key]
        if to_board:
            self._count(found.payload)

    def _count(self, payload: int) -> None:
        self.received += payload
        if self.faults.cut_after is not None:
            self.faults.cut_after -= payload
            if self.faults.cut_after <= 0:
                self.faults.cut_after = None
                self.cut_connections()


def _key(found: TcpSegment, from_board: bool) -> _Key:
    if from_board:
        return found.source_port, found.target, found.target_port
    return found.target_port, found.source, found.source_port


def _is_later(sequence: int, other: int) -> bool:
    return 0 < (sequence - other & 0xFFFFFFFF) < 1 << 31


def _may_pass(frame: bytes) -> bool:
    """A board of the bench reaches this machine's loopback, its own name server, and nothing else."""
    kind = kind_of(frame)
    return kind == ARP or kind == IPV4 and frame[30:34] in (HOST.packed, NAME_SERVER.packed)
