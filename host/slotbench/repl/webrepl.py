"""MicroPython's WebREPL: a board's prompt and its files over the network, behind a password.

The protocol is the one of MicroPython's own `webrepl_cli.py`. Text is the prompt; binary messages are
requests for files. Nothing is encrypted.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from slotbench.errors import USAGE, BenchError
from slotbench.images.versions import OLDEST_WORDS, is_too_old
from slotbench.repl.raw_prompt import AGAIN, ANSWER_S, SCRIPT_S, RawPrompt
from slotbench.repl.transports import CopyProgress
from slotbench.repl.websocket import NoWebSocket, WebSocket

__all__ = ["WEBREPL_PORT", "WebRepl"]

WEBREPL_PORT: Final = 8266
"""Where MicroPython's WebREPL listens."""
_REQUEST: Final = struct.Struct("<2sBBQLH64s")
"""Signature, operation, flags, offset, size, length of the name, name."""
_PUT, _VERSION = 1, 3
_DONE: Final = b"WB\0\0"
_NAME_BYTES_MAX: Final = 63
_PIECE_BYTES: Final = 1024
_PASSWORD: Final = b"Password: "
_CONNECT_S: Final = 10.0
_CLOSE_S: Final = 10.0
_LISTEN_S: Final = 0.1
_RETURN_S: Final = 60.0
_RETRY_S: Final = 0.5


class WebRepl(RawPrompt):
    """The WebREPL of the board at `host` and `port`: a ReplTransport, once `open` was called.

    `now` gives seconds, `sleep` waits for some.
    """

    def __init__(
        self, host: str, port: int, password: str, *, now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        super().__init__(f"{host}:{port}", now)
        self._host, self._port, self._password = host, port, password
        self._sleep = sleep
        self._socket: WebSocket | None = None
        self._binary = bytearray()

    def open(self) -> None:
        """Connect, give the password, and ask for the version of MicroPython. The program goes on meanwhile.

        Raises BenchError (exit code 2): nothing answers, no WebREPL, another client, a wrong password, a
        MicroPython that is too old.
        """
        self.close()
        self._text.clear()
        self._binary.clear()
        try:
            self._socket = WebSocket(self._host, self._port, _CONNECT_S)
        except NoWebSocket as error:
            raise self._error(
                f"what answers there is no WebREPL ({error})",
                f"check host and port; WebREPL listens on {WEBREPL_PORT}") from None
        except ConnectionResetError:
            raise self._is_busy() from None
        except OSError as error:
            reason = error.strerror or str(error) or type(error).__name__
            raise self._error(
                f"nothing answers there ({reason})",
                "check the address, and that the board is on; WebREPL is switched on at its prompt, once: "
                "import webrepl_setup") from None
        self._log_in()
        self._require_version()

    def put_files(
        self, folder: str, files: Mapping[str, bytes], progress: CopyProgress = lambda done, total: None,
    ) -> None:
        """Copy files, by name, into an existing folder. Raises BenchError."""
        done, total = 0, sum(map(len, files.values()))
        for name, data in files.items():
            path = f"{folder}/{name}".encode()
            assert len(path) <= _NAME_BYTES_MAX, path
            self._request(_PUT, path, len(data))
            self._await_done()
            for start in range(0, len(data), _PIECE_BYTES):
                self._send_binary(data[start : start + _PIECE_BYTES])
                progress(done + min(start + _PIECE_BYTES, len(data)), total)
            self._await_done()
            done += len(data)

    def restart(self) -> None:
        """Restart the program by a soft reset, which ends this connection. Raises BenchError."""
        self.soft_reset()
        end_s = self._now() + _CLOSE_S
        while self._now() < end_s:
            try:
                self._pump(_CLOSE_S)
            except TimeoutError:
                break
            except OSError:
                self.close()
                return
        self.close()
        raise self._error(
            "the board does not restart", "switch it off and on, then run the same command again")

    def open_again(self) -> None:
        """Connect to a board that restarts, as soon as it can be. Raises BenchError after a minute."""
        end_s = self._now() + _RETURN_S
        while True:
            self._sleep(_RETRY_S)
            try:
                self.open()
                return
            except BenchError as error:
                if self._now() >= end_s:
                    raise BenchError(
                        f"the board restarted, and its WebREPL does not come back ({error.what})",
                        where=self.name, exit_code=USAGE,
                        cure="all files are in place; start its WebREPL, and the same command tells whether "
                             "it is well") from None

    def listen(self) -> bytes:
        """What the board says now, after a tenth of a second at most. Raises OSError when it is lost."""
        with suppress(TimeoutError):
            self._pump(_LISTEN_S)
        heard = bytes(self._text)
        self._text.clear()
        return heard

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection."""
        return self._socket is not None

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _log_in(self) -> None:
        try:
            self._wait_for(_PASSWORD, ANSWER_S)
        except (TimeoutError, OSError) as error:
            self.close()
            if isinstance(error, TimeoutError):
                raise self._error(
                    "the board does not ask for the password",
                    "its program does not let WebREPL work; switch the board off and on, and try again"
                ) from None
            raise self._is_busy() from None
        try:
            self._send(self._password.encode() + b"\r")
            said = self._wait_for(b"\n", ANSWER_S) + self._wait_for(b"\n", ANSWER_S)
        except (TimeoutError, OSError, BenchError):
            said = b""
        if b"connected" not in said:
            self.close()
            raise self._error(
                "the board refuses the password",
                "it is PASS in webrepl_cfg.py on the board, of 4 to 9 characters")

    def _require_version(self) -> None:
        self._request(_VERSION, b"", 0)
        version = ".".join(map(str, self._await_binary(3, ANSWER_S)))
        if is_too_old(version):
            self.close()
            raise BenchError(
                f"MicroPython {version} on the board is too old: twoslot needs {OLDEST_WORDS}",
                where=self.name,
                cure=f"flash MicroPython {OLDEST_WORDS} over its serial pins: slotbench flash --port PORT "
                     "--image firmware.bin")

    def _request(self, operation: int, name: bytes, size: int) -> None:
        self._send_binary(_REQUEST.pack(b"WA", operation, 0, 0, size, len(name), name))

    def _await_done(self) -> None:
        said = self._await_binary(len(_DONE), SCRIPT_S, "a full or damaged filesystem does that too")
        if said != _DONE:
            raise self._error(f"the board did not take a file (answer {said!r})", AGAIN)

    def _await_binary(self, count: int, limit_s: float, hint: str = "") -> bytes:
        """The next bytes of binary messages. Raises BenchError."""
        end_s = self._now() + limit_s
        with self._connected(hint):
            while len(self._binary) < count:
                self._pump(max(end_s - self._now(), 0.001))
                if self._now() > end_s:
                    raise TimeoutError
        said = bytes(self._binary[:count])
        del self._binary[:count]
        return said

    def _pump(self, limit_s: float) -> None:
        if self._socket is None:
            raise ConnectionResetError("not connected")
        binary, data = self._socket.receive(limit_s)
        (self._binary if binary else self._text).extend(data)

    def _transmit(self, data: bytes) -> None:
        self._message(data, binary=False)

    def _send_binary(self, data: bytes) -> None:
        with self._connected():
            self._message(data, binary=True)

    def _message(self, data: bytes, *, binary: bool) -> None:
        if self._socket is None:
            raise ConnectionResetError("not connected")
        self._socket.send(data, binary=binary)

    def _is_busy(self) -> BenchError:
        return self._error(
            "the board hangs up: another client has its WebREPL, or one that was lost",
            "end that client, or switch the board off and on; then run the same command again")
