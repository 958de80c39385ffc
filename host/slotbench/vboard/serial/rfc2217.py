"""RFC 2217: the board's UART over Telnet, with the client's DTR and RTS."""

from __future__ import annotations

import selectors
from typing import Final

from serial.rfc2217 import PortManager

from slotbench.vboard.serial.transports import Receiver, Tcp

__all__ = ["Rfc2217"]

_IAC: Final = 0xFF


class Rfc2217(Tcp):
    """A TCP port that speaks RFC 2217: `rfc2217://` of pyserial. Lines are off while no client is
    there.
    """

    has_lines: Final = True  # type: ignore[misc]

    def __init__(self, selector: selectors.BaseSelector, receiver: Receiver, port: int) -> None:
        super().__init__(selector, receiver, port)
        self._manager: PortManager | None = None
        self._port = _ForwardedPort(receiver)

    @property
    def baud(self) -> int:  # type: ignore[override]
        """What the client has set."""
        return self._port.baudrate

    @property
    def name(self) -> str:
        """The URL for --port."""
        return super().name.replace("socket:", "rfc2217:")

    def send(self, data: bytes) -> None:
        """Write to the client, IAC doubled."""
        super().send(data.replace(b"\xff", b"\xff\xff"))

    def _accept(self, events: int) -> None:
        was_free = self._stream is None
        super()._accept(events)
        if was_free:
            self._port = _ForwardedPort(self._receiver)
            self._manager = PortManager(self._port, _Connection(self))

    def _is_refused(self, opening: bytes) -> bool | None:
        """A client of RFC 2217 begins with a Telnet command; no web page can."""
        return opening[0] != _IAC if opening else None

    def _arrived(self, data: bytes) -> None:
        assert self._manager is not None
        payload = b"".join(self._manager.filter(data))
        if payload:
            super()._arrived(payload)

    def _hung_up(self) -> None:
        self._receiver.lines(dtr=False, rts=False)
        super()._hung_up()

    def write(self, data: bytes) -> None:
        """Write Telnet commands, as they are."""
        super().send(data)


class _Connection:
    """Where the Telnet side puts what it says."""

    def __init__(self, transport: Rfc2217) -> None:
        self.write = transport.write


class _ForwardedPort:
    """The serial port as the Telnet side sees it: settings it may choose, and two lines that
    matter.
    """

    cts = dsr = cd = True
    ri = False

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self.baudrate = 115200
        self.bytesize, self.parity, self.stopbits = 8, "N", 1
        self.xonxoff = self.rtscts = self.break_condition = False
        self._dtr = self._rts = False

    @property
    def dtr(self) -> bool:
        return self._dtr

    @dtr.setter
    def dtr(self, asserted: bool) -> None:
        self._dtr = asserted
        self._receiver.lines(dtr=self._dtr, rts=self._rts)

    @property
    def rts(self) -> bool:
        return self._rts

    @rts.setter
    def rts(self, asserted: bool) -> None:
        self._rts = asserted
        self._receiver.lines(dtr=self._dtr, rts=self._rts)

    def reset_input_buffer(self) -> None:
        """Nothing is kept back."""

    def reset_output_buffer(self) -> None:
        """Nothing is kept back."""
