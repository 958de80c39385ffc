"""A board and a client in a thread of this process that take turns, over real sockets.

The board goes on only while the client waits: for the board's bytes, for the end of a sleep, or for its own
to be read. How fast this computer is changes nothing then: each run takes the same virtual time.
"""

from __future__ import annotations

import select
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from slotbench.vboard.network.base import ECONNRESET, TcpListener, TcpStream
from slotbench.vboard.network.loopback import LoopbackListener, LoopbackNetwork, LoopbackStream
from slotbench.vboard.signals import BenchViolation, DeviceOSError

__all__ = ["ClientStopped", "TurnTakingNetwork", "Turns"]

_STUCK_S: Final = 120.0
"""Real seconds within which a client waits again. It computes for some milliseconds."""


class ClientStopped(Exception):
    """The client was told to stop while it slept."""


class Turns:
    """Whose turn it is. `clock` gives the board's virtual seconds.

    The client's thread is between `begin`, which is called before it starts, and `end`; it connects and
    sleeps by the methods of this class. The rest is for the board.
    """

    def __init__(self) -> None:
        self.clock: Callable[[], float] = lambda: 0.0
        self.active = False
        self._changed = threading.Condition()
        self._waits: Callable[[], bool] | None = None
        self._wake_at: float | None = None
        self._stopped = False
        # Bytes by the client's port: written by the board, received by the client, and the other way.
        self._written: Counter[int] = Counter()
        self._received: Counter[int] = Counter()
        self._sent: Counter[int] = Counter()
        self._read: Counter[int] = Counter()
        self._gone: set[int] = set()  # the client hung up
        self._dropped: set[int] = set()  # the board hung up
        self._connects: list[int] = []  # ports of the client whose connections were not accepted yet

    # The client's side.

    def begin(self) -> None:
        """A client starts."""
        self.active, self._stopped, self._waits, self._wake_at = True, False, None, None

    def end(self) -> None:
        """It is over: the board goes on alone."""
        with self._changed:
            self.active = False
            self._changed.notify_all()

    def stop(self) -> None:
        """Wake the client, if it sleeps, with ClientStopped; now or later."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def sleep(self, seconds: float) -> None:
        """Sleep for virtual seconds. Raises ClientStopped."""
        with self._changed:
            self._wake_at = self.clock() + seconds
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._wake_at is None or self._stopped)
            self._wake_at = None
            if self._stopped:
                raise ClientStopped

    def connect(self, address: tuple[str, int], seconds: float) -> socket.socket:
        """Connect to the board, as socket.create_connection."""
        sock = _TurnSocket(self)
        sock.settimeout(seconds)
        try:
            sock.connect(address)
        except OSError:
            sock.detach_turns()
            sock.close()
            raise
        with self._changed:
            # A port may have been another connection's before.
            port = sock.getsockname()[1]
            for counts in (self._written, self._received, self._sent, self._read):
                del counts[port]
            self._gone.discard(port)
            self._dropped.discard(port)
            self._connects.append(port)
        sock.port = port
        return sock

    @contextmanager
    def waiting(self, is_over: Callable[[], bool]) -> Iterator[None]:
        """The client waits in here, until `is_over()`."""
        with self._changed:
            self._waits = is_over
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._waits = None

    def is_answered(self, port: int) -> bool:
        """Whether the client has something to receive, or the end."""
        return self._received[port] < self._written[port] or port in self._dropped

    def note_received(self, port: int, count: int) -> None:
        """The client received so many bytes."""
        with self._changed:
            self._received[port] += count

    def note_sent(self, port: int, count: int) -> None:
        """The client is about to send so many bytes."""
        with self._changed:
            self._sent[port] += count

    def wait_for_room(self, port: int) -> None:
        """Wait until the board read something, or hung up."""
        with self._changed:
            before = self._read[port]
            self._waits = lambda: self._read[port] != before or port in self._dropped
            self._changed.notify_all()
            self._changed.wait_for(self._waits, _STUCK_S)
            self._waits = None

    def note_gone(self, port: int) -> None:
        """The client hangs up."""
        with self._changed:
            self._gone.add(port)

    # The board's side.

    def settle(self) -> None:
        """Wait until the client waits, after it had its turn. Raises BenchViolation if it is stuck."""
        with self._changed:
            if not self._changed.wait_for(self._is_settled, _STUCK_S):
                raise BenchViolation(f"the client does not wait for the board within {_STUCK_S:.0f} s")

    def _is_settled(self) -> bool:
        if self._wake_at is not None and self._wake_at <= self.clock():
            self._wake_at = None
            self._changed.notify_all()
            return False
        return not self.active or self._wake_at is not None or self._waits is not None and not self._waits()

    def take_connect(self) -> bool:
        """Whether a client has connected that was not accepted yet."""
        with self._changed:
            return bool(self._connects) and self._connects.pop(0) > 0

    def drop_connects(self) -> None:
        """The board listens no more: who was not accepted is turned away."""
        with self._changed:
            self._dropped.update(self._connects)
            self._connects.clear()

    def note_written(self, port: int, count: int) -> None:
        """The board is about to write so many bytes."""
        with self._changed:
            self._written[port] += count

    def note_dropped(self, port: int) -> None:
        """The board hangs up."""
        with self._changed:
            self._dropped.add(port)
            self._changed.notify_all()

    def to_read(self, port: int) -> int | None:
        """How many bytes the client sent that the board did not read; None: none, and it hung up."""
        with self._changed:
            left = self._sent[port] - self._read[port]
            return None if not left and port in self._gone else left

    def note_read(self, port: int, count: int) -> None:
        """The board read so many bytes."""
        with self._changed:
            self._read[port] += count
            self._changed.notify_all()


class _TurnSocket(socket.socket):
    """The client's end of a connection."""

    def __init__(self, turns: Turns) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_STREAM)
        self._turns: Turns | None = turns
        self.port = 0

    def detach_turns(self) -> None:
        """Have nothing more to do with the turns."""
        self._turns = None

    def recv_into(self, *arguments: Any) -> int:
        assert self._turns is not None
        with self._turns.waiting(lambda: self._turns is None or self._turns.is_answered(self.port)):
            count = super().recv_into(*arguments)
        self._turns.note_received(self.port, count)
        return count

    def sendall(self, data: Any, flags: int = 0) -> None:
        assert self._turns is not None
        self._turns.note_sent(self.port, len(data))
        seconds, left = self.gettimeout(), memoryview(data)
        self.settimeout(0)
        try:
            while left:
                try:
                    left = left[self.send(left, flags):]
                except BlockingIOError:
                    self._turns.wait_for_room(self.port)
        finally:
            self.settimeout(seconds)

    def close(self) -> None:
        if self._turns is not None and self.fileno() >= 0:
            self._turns.note_gone(self.port)
        super().close()


class TurnTakingNetwork(LoopbackNetwork):
    """A loopback network on which the board takes turns with the client of `turns`."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = Turns()
        self.turns.clock = lambda: self.clock.us / 1e6

    def listen(self, port: int) -> TcpListener:
        """Take connections at the address of this port."""
        return _TurnListener(self.bind(port), self, self.turns)


class _TurnListener(LoopbackListener):
    def __init__(self, sock: socket.socket, network: LoopbackNetwork, turns: Turns) -> None:
        super().__init__(sock, network)
        self._turns = turns

    def accept(self) -> TcpStream | None:
        if not self._turns.active:
            return super().accept()
        self._turns.settle()
        if not self._turns.take_connect():
            return None
        select.select([self._sock], [], [], _STUCK_S)
        sock = self._sock.accept()[0]
        sock.settimeout(_STUCK_S)
        return _TurnStream(sock, self._network, self._turns)

    def __del__(self) -> None:
        if self._sock.fileno() >= 0:  # of a VM that is gone
            self._turns.drop_connects()

    def close(self) -> None:
        self._turns.drop_connects()
        super().close()
        with suppress(BenchViolation):
            self._turns.settle()


class _TurnStream(LoopbackStream):
    def __init__(self, sock: socket.socket, network: LoopbackNetwork, turns: Turns) -> None:
        super().__init__(sock, network)
        self._turns = turns
        self._port = sock.getpeername()[1]

    def __del__(self) -> None:
        if not self.closed:  # of a VM that is gone
            self._turns.note_dropped(self._port)

    def write(self, data: bytes) -> int:
        self._turns.note_written(self._port, len(data))
        written = super().write(data)
        self._turns.settle()
        return written

    def readinto(self, view: memoryview, *, patient: bool = True) -> int | None:
        if self.closed:
            raise DeviceOSError(ECONNRESET)
        self._turns.settle()
        left = self._turns.to_read(self._port)
        if left is None:
            return 0
        if not left:
            return None
        try:
            count = self._sock.recv_into(view, min(left, len(view)), socket.MSG_WAITALL)
        except OSError:
            raise DeviceOSError(ECONNRESET) from None
        self._turns.note_read(self._port, count)
        return count

    def readable(self) -> bool:
        self._turns.settle()
        return self._turns.to_read(self._port) != 0

    def close(self) -> None:
        if not self.closed:
            self._turns.note_dropped(self._port)
            super().close()
            with suppress(BenchViolation):
                self._turns.settle()
