"""Ways to the board's UART from outside: a pty with a symbolic link to it, raw TCP, RFC 2217.

Nothing here blocks: a `DescriptorStream` reads what there is and keeps what cannot be written yet;
`selectors` says when there is more to do.
"""

from __future__ import annotations

import logging
import os
import secrets
import selectors
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

from slotbench.errors import USAGE, BenchError
from slotbench.vboard.serial.doorkeeper import is_from_another_user, is_web_client

__all__ = ["DEFAULT_BAUD", "DescriptorStream", "Pty", "Receiver", "Tcp", "Transport", "listen_on"]

DEFAULT_BAUD: Final = 115200
_READ_BYTES: Final = 64 * 1024
_LOOPBACK: Final = "127.0.0.1"

_logger = logging.getLogger(__name__)


class Transport(Protocol):
    """One way to the UART.

    `has_lines` says whether DTR and RTS come with the bytes; where they do not, opening a
    conversation and closing the port stand in for them.
    """

    @property
    def name(self) -> str:
        """What a client calls it: the path or URL for --port."""

    @property
    def has_lines(self) -> bool:
        """Whether the client's DTR and RTS arrive."""

    @property
    def baud(self) -> int:
        """The speed that the client has set, in bits a second, as far as it is known here."""

    def send(self, data: bytes) -> None:
        """Say something to the client; nobody is there: it is lost."""

    def close(self) -> None:
        """Hang up and take the way down."""


class Receiver(Protocol):
    """Who gets what a transport hears."""

    def arrived(self, transport: Transport, data: bytes) -> None:
        """The client sent `data`."""

    def hung_up(self, transport: Transport) -> None:
        """The client closed the port."""

    def listens(self, transport: Transport, *, is_there: bool) -> None:
        """A client has opened the port, and said nothing yet; or one that said nothing is gone."""

    def lines(self, *, dtr: bool, rts: bool) -> None:
        """The client set its lines; true is asserted, electrically low."""


class _TerminalChannel:
    """An open file descriptor, with the part of a socket's interface that a stream needs."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd

    def fileno(self) -> int:
        return self._fd

    def recv(self, size: int) -> bytes:
        return os.read(self._fd, size)

    def send(self, data: bytes | bytearray) -> int:
        return os.write(self._fd, data)

    def close(self) -> None:
        os.close(self._fd)


class DescriptorStream:
    """A connection, or a descriptor of another kind, in both directions, closed with it.

    `on_data` gets what was read; `on_end` is called when the other end is gone.
    """

    def __init__(
        self, selector: selectors.BaseSelector, channel: socket.socket | _TerminalChannel,
        on_data: Callable[[bytes], object], on_end: Callable[[], object],
    ) -> None:
        self._selector = selector
        self._channel = channel
        self._on_data = on_data
        self._on_end = on_end
        self._unsent = bytearray()
        selector.register(channel, selectors.EVENT_READ, self._ready)

    def send(self, data: bytes) -> None:
        """Write `data`, at once as far as it goes, the rest when it can be."""
        self._unsent += data
        self._flush()

    def drop_output(self) -> None:
        """Drop what was not written yet."""
        self._unsent.clear()
        self._watch()

    def close(self) -> None:
        """Close the descriptor."""
        self._selector.unregister(self._channel)
        self._channel.close()

    def _ready(self, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._flush()
        if events & selectors.EVENT_READ:
            try:
                data = self._channel.recv(_READ_BYTES)
            except BlockingIOError:
                return
            except OSError:
                # EIO: the last client closed the pty; ECONNRESET: it closed the socket without
                # reading all.
                data = b""
            if data:
                self._on_data(data)
            else:
                self._on_end()

    def _flush(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: self._channel.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            # Gone; reading says so.
            self._unsent.clear()
        self._watch()

    def _watch(self) -> None:
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
        if self._selector.get_key(self._channel).events != events:
            self._selector.modify(self._channel, events, self._ready)


class Pty:
    """A pseudo-terminal, raw, that clients open by the symbolic link `link`.

    Between two clients its other end is held open here: else the kernel would report a hangup
    without end. A client that opens the port and drops what lies there, as pyserial does, is seen by that:
    in packet mode the kernel reports it, in a byte before the data of each read.
    """

    has_lines: Final = False
    baud = DEFAULT_BAUD

    def __init__(self, selector: selectors.BaseSelector, receiver: Receiver, link: Path) -> None:
        self._terminals = _terminal_module(link)
        master, self._held = os.openpty()
        tty = import_module("tty")
        tty.setraw(self._held)
        import_module("fcntl").ioctl(master, self._terminals.TIOCPKT, struct.pack("i", 1))
        os.fchmod(self._held, 0o600)
        self._device = os.ttyname(self._held)
        self._link = link
        self._receiver = receiver
        self._master = _TerminalChannel(master)
        self._stream = DescriptorStream(selector, self._master, self._arrived, self._hung_up)
        try:
            _point(link, self._device)
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> str:
        """The link."""
        return str(self._link)

    def send(self, data: bytes) -> None:
        """Write to whoever has spoken; without a client it would wait for the next one."""
        if self._held < 0:
            self._stream.send(data)

    def close(self) -> None:
        """Take pty and link down."""
        self._stream.close()
        self._let_go()
        with suppress(OSError):
            if os.readlink(self._link) == self._device:
                self._link.unlink()

    def _arrived(self, packet: bytes) -> None:
        event, data = packet[0], packet[1:]
        if data:
            self._let_go()
            self._receiver.arrived(self, data)
        elif event & self._terminals.TIOCPKT_FLUSHREAD and self._held >= 0:
            self._let_go()
            self._receiver.listens(self, is_there=True)

    def _hung_up(self) -> None:
        self._stream.drop_output()
        self._held = os.open(self._device, os.O_RDWR | os.O_NOCTTY)
        # What the last client did not read is not for the next one. The kernel reports that here too.
        self._terminals.tcflush(self._held, self._terminals.TCIFLUSH)
        with suppress(OSError):
            self._master.recv(1)
        self._receiver.hung_up(self)

    def _let_go(self) -> None:
        if self._held >= 0:
            os.close(self._held)
            self._held = -1


class Tcp:
    """A TCP port on this machine, one client at a time: `socket://` of pyserial.

    A client that begins like a web page, and one of another user, is hung up on before it is heard.
    """

    has_lines: Final = False
    baud = DEFAULT_BAUD

    def __init__(self, selector: selectors.BaseSelector, receiver: Receiver, port: int) -> None:
        self._listener = listen_on(port)
        self._selector = selector
        self._receiver = receiver
        self._stream: DescriptorStream | None = None
        self._opening, self._admitted = b"", False
        selector.register(self._listener, selectors.EVENT_READ, self._accept)

    @property
    def name(self) -> str:
        """The URL for --port."""
        return f"socket://{_LOOPBACK}:{self._listener.getsockname()[1]}"

    def send(self, data: bytes) -> None:
        """Write to the client."""
        if self._stream is not None:
            self._stream.send(data)

    def close(self) -> None:
        """Hang up, and listen no more."""
        self._drop()
        self._selector.unregister(self._listener)
        self._listener.close()

    def _accept(self, events: int) -> None:
        connection = self._listener.accept()[0]
        if self._stream is not None:
            connection.close()
            return
        try:
            is_stranger = is_from_another_user(connection)
        except OSError:
            is_stranger = True  # it is gone already
        if is_stranger:
            _logger.warning("%s: hung up on another user", self.name)
            connection.close()
            return
        self._opening, self._admitted = b"", False
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        self._stream = DescriptorStream(self._selector, connection, self._heard, self._ended)
        self._receiver.listens(self, is_there=True)

    def _heard(self, data: bytes) -> None:
        """Pass `data` on once it is clear that the client is no web page."""
        if not self._admitted:
            self._opening += data
            is_refused = self._is_refused(self._opening)
            if is_refused is None:
                return
            if is_refused:
                _logger.warning("%s: hung up on what is no serial client; a web page?", self.name)
                self._drop()
                self._receiver.listens(self, is_there=False)
                return
            data, self._admitted = self._opening, True
        self._arrived(data)

    def _is_refused(self, opening: bytes) -> bool | None:
        """Whether to hang up on who begins like this; None: more of it is needed."""
        return is_web_client(opening)

    def _arrived(self, data: bytes) -> None:
        self._receiver.arrived(self, data)

    def _ended(self) -> None:
        """The client closed the connection."""
        if self._admitted:
            self._hung_up()
        else:
            self._drop()
            self._receiver.listens(self, is_there=False)

    def _hung_up(self) -> None:
        self._drop()
        self._receiver.hung_up(self)

    def _drop(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def listen_on(port: int) -> socket.socket:
    """A socket that listens on TCP `port` of this machine, 0 for any. Raises BenchError (exit code
    2).
    """
    try:
        return socket.create_server((_LOOPBACK, port))
    except OSError as error:
        raise BenchError(
            f"cannot listen ({error.strerror})", where=f"{_LOOPBACK}:{port}", cure="choose another port",
            exit_code=USAGE) from None


def _terminal_module(link: Path) -> Any:
    """The module `termios`. Raises BenchError (exit code 2) where there are no pseudo-terminals."""
    try:
        return import_module("termios")
    except ImportError:
        raise BenchError(
            "this system has no pseudo-terminals", where=f"--pty {link}",
            cure="use --tcp PORT, and give your tool --port socket://127.0.0.1:PORT; esptool needs --rfc2217 "
                 "PORT and --port rfc2217://127.0.0.1:PORT", exit_code=USAGE) from None


def _point(link: Path, device: str) -> None:
    """Make the symbolic link, in place of an older one. Raises BenchError (exit code 2)."""
    if not link.is_symlink() and link.exists():
        raise BenchError(
            "the path exists and is no symbolic link", where=str(link),
            cure="choose another name for the pty",
            exit_code=USAGE)
    fresh = link.with_name(f".{link.name}.{secrets.token_hex(4)}.tmp")
    try:
        fresh.symlink_to(device)
        os.replace(fresh, link)
    except OSError as error:
        raise BenchError(
            f"cannot make the link ({error.strerror})", where=str(link),
            cure="choose a folder that can be written", exit_code=USAGE) from None
    finally:
        fresh.unlink(missing_ok=True)
