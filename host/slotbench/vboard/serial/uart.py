"""The UART of a virtual board: bytes from and to its transports, and the reset circuit beside them.

What is behind it changes with the board's state. In download mode it is the ROM (`rom`), else the
`application`: whoever gives the board a REPL. Nothing here touches the board: what the circuit
wants of it is asked for with `take_reset()`.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Final, Protocol

from slotbench.vboard.serial.rfc2217 import Rfc2217
from slotbench.vboard.serial.rom import SYNC_HEAD
from slotbench.vboard.serial.transports import DEFAULT_BAUD, Pty, Tcp, Transport

__all__ = ["Application", "NoApplication", "Reset", "Rom", "Uart"]

_SAMPLE_S: Final = 0.25
"""How long after the end of a reset GPIO0 may still go low: clients set DTR and RTS one by one, and
an RFC 2217 client waits for an answer in between. On a board the capacitor at EN gives that time.
"""


class Reset(Enum):
    """What the reset circuit does to the chip."""

    RUN = "run"
    """A reset with GPIO0 high: the application."""
    DOWNLOAD = "download"
    """A reset with GPIO0 low: the ROM's download mode."""
    HOLD = "hold"
    """EN is low: nothing runs until it is let go."""


class Application(Protocol):
    """The program behind the UART while the board is not in download mode."""

    def receive(self, data: bytes) -> None:
        """Bytes from the host, in any pieces. What it has to say goes to `Uart.send`."""

    def hung_up(self) -> None:
        """The host closed the port."""


class NoApplication:
    """An application that does not listen."""

    def receive(self, data: bytes) -> None:
        """Ignore it."""

    def hung_up(self) -> None:
        """Ignore it."""


class Rom(Protocol):
    """The ROM behind the UART while the board is in download mode."""

    @property
    def left(self) -> bool:
        """Whether a host told it to start the application."""

    def receive(self, data: bytes) -> None:
        """Bytes from the host, in any pieces."""

    def line_noise(self) -> bytes:
        """What was heard and is no frame; it is given out once."""


class Uart:
    """UART0 and the transports to it. `now` gives real seconds, for the reset circuit is of the
    real world.

    Output goes to the transport that spoke last, or to the first one that listens. Has a `fileno()` that is
    readable when `serve()` has work.
    """

    def __init__(self, now: Callable[[], float], application: Application | None = None) -> None:
        self.application: Application = application if application is not None else NoApplication()
        self.rom: Rom | None = None
        self.transports: list[Transport] = []
        self._now = now
        self._selector = selectors.DefaultSelector()
        self._speaker: Transport | None = None
        self._inbox = self._heard = b""
        self._reset: Reset | None = None
        self._held = self._gpio0_low = False
        self._sample_at_s: float | None = None

    def open_pty(self, link: Path) -> None:
        """Offer a pty at the symbolic link `link`. Raises BenchError (exit code 2)."""
        self.transports.append(Pty(self._selector, self, link))

    def open_tcp(self, port: int) -> None:
        """Offer raw TCP on `port` of this machine, 0 for any. Raises BenchError (exit code 2)."""
        self.transports.append(Tcp(self._selector, self, port))

    def open_rfc2217(self, port: int) -> None:
        """Offer RFC 2217 on `port` of this machine, 0 for any. Raises BenchError (exit code 2)."""
        self.transports.append(Rfc2217(self._selector, self, port))

    def close(self) -> None:
        """Take all transports down."""
        for transport in self.transports:
            transport.close()
        self.transports.clear()
        self._selector.close()

    def fileno(self) -> int:
        """For `select`: readable when a transport has something."""
        return self._selector.fileno()

    def descriptors(self) -> list[int]:
        """The same where the system has one descriptor for many; else those of all transports."""
        if hasattr(self._selector, "fileno"):
            return [self._selector.fileno()]
        return [key.fd for key in self._selector.get_map().values()]

    @property
    def baud(self) -> int:
        """The speed that the client who spoke last has set, in bits a second."""
        return self._speaker.baud if self._speaker is not None else DEFAULT_BAUD

    def wait_s(self, seconds: float | None) -> float | None:
        """How long to wait for I/O at most when `seconds` (None: for ever) is what others would
        wait.
        """
        if self._sample_at_s is None:
            return seconds
        until_s = max(0.0, self._sample_at_s - self._now())
        return until_s if seconds is None else min(seconds, until_s)

    def serve(self) -> None:
        """Do what is due: never waits. What was heard is given to whoever is behind the UART.

        Raises PowerCut when a flash operation of the ROM is cut.
        """
        for key, events in self._selector.select(0):
            key.data(events)
        if self._sample_at_s is not None and self._now() >= self._sample_at_s:
            self._sampled(Reset.DOWNLOAD if self._gpio0_low else Reset.RUN)
        self.deliver_input()

    def deliver_input(self) -> None:
        """Give what was heard to whoever is behind the UART now: the ROM, or the application."""
        if not self._inbox or self._reset is not None:
            return
        data, self._inbox = self._inbox, b""
        if self.rom is not None:
            self._to_rom(self.rom, data)
        else:
            self._to_application(data)

    def drop_input(self) -> None:
        """Nothing is behind the UART: what was heard is lost."""
        self._inbox = self._heard = b""
        self._reset = None

    def take_reset(self) -> Reset | None:
        """What the circuit wants of the board since this was asked last; the last word counts."""
        wanted, self._reset = self._reset, None
        return wanted

    def send(self, data: bytes) -> None:
        """The board says something: to the transport that spoke last, or listens; else nobody hears it."""
        if self._speaker is not None:
            self._speaker.send(data)

    # What transports say (`Receiver`).

    def arrived(self, transport: Transport, data: bytes) -> None:
        """Keep what was heard, for `deliver`."""
        self._speaker = transport
        self._inbox += data

    def listens(self, transport: Transport, *, is_there: bool) -> None:
        """Output goes to a client that only listens, unless another one has spoken."""
        if is_there and self._speaker is None:
            self._speaker = transport
        elif not is_there and self._speaker is transport:
            self._speaker = None

    def hung_up(self, transport: Transport) -> None:
        """A client is gone. One without lines cannot reset the board, so that leaves download mode.
        """
        if transport is not self._speaker:
            return
        self._speaker = None
        self.deliver_input()
        if self.rom is None:
            self.application.hung_up()
        elif not transport.has_lines:
            self._reset = Reset.RUN

    def lines(self, *, dtr: bool, rts: bool) -> None:
        """The two transistors: EN is low when RTS is asserted and DTR is not, GPIO0 the other way
        round.
        """
        held, self._gpio0_low = rts and not dtr, dtr and not rts
        if held and not self._held:
            self._sample_at_s = None
            self._inbox = b""
            self._reset = Reset.HOLD
        elif self._held and not held:
            self._sample_at_s = self._now() + _SAMPLE_S
        self._held = held
        if self._sample_at_s is not None and self._gpio0_low:
            self._sampled(Reset.DOWNLOAD)

    def _sampled(self, reset: Reset) -> None:
        self._sample_at_s = None
        self._reset = reset

    def _to_rom(self, rom: Rom, data: bytes) -> None:
        # A host repeats its first frame until the ROM responds. What came while the chip started
        # is lost.
        rom.receive(data[max(0, data.rfind(SYNC_HEAD)) :])
        junk = rom.line_noise()
        if rom.left:
            self._reset = Reset.RUN
        elif junk and self._speaker is not None and not self._speaker.has_lines:
            # Somebody who wants the application, and has no line to say so.
            self._inbox = junk
            self._reset = Reset.RUN

    def _to_application(self, data: bytes) -> None:
        """Hand `data` on, up to where a flashing tool begins to speak; that is for the ROM."""
        seen = self._heard + data
        at = seen.find(SYNC_HEAD)
        if at < 0 or (self._speaker is not None and self._speaker.has_lines):
            self._heard = seen[1 - len(SYNC_HEAD) :]
        else:
            data = data[: max(0, at - len(self._heard))]
            self._inbox, self._heard = seen[at:], b""
            self._reset = Reset.DOWNLOAD
        if data:
            self.application.receive(data)
