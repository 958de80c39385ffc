"""MicroPython's WebREPL: a board's prompt and its files over the network, behind a password.

The protocol is the one of MicroPython's own `webrepl_cli.py`. Text is the prompt; binary messages are
requests for files. Nothing is encrypted.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

from slotbench.errors import USAGE, BenchError
from slotbench.images.versions import OLDEST_WORDS, is_too_old
from slotbench.repl.transports import CopyProgress
from slotbench.repl.websocket import NoWebSocket, WebSocket
from slotbench.serial_port import uninterrupted

__all__ = ["WEBREPL_PORT", "WebRepl"]

WEBREPL_PORT: Final = 8266
"""Where MicroPython's WebREPL listens."""
_REQUEST: Final = struct.Struct("<2sBBQLH64s")
"""Signature, operation, flags, offset, size, length of the name, name."""
_PUT, _VERSION = 1, 3
_DONE: Final = b"WB\0\0"
_HELD_BACK: Final = 8
"""Raw-paste mode grants two windows of 128 bytes, and what a board of this port holds is 255. What comes over
the network is there at once.
"""
_NAME_BYTES_MAX: Final = 63
_PIECE_BYTES: Final = 1024
_CTRL_A, _CTRL_B, _CTRL_C, _CTRL_D, _CTRL_E = b"\x01", b"\x02", b"\x03", b"\x04", b"\x05"
_PASSWORD: Final = b"Password: "
_PROMPT: Final = b">>> "
_RAW: Final = b"raw REPL; CTRL-B to exit\r\n>"
_CONNECT_S: Final = 10.0
_ANSWER_S: Final = 20.0
_SCRIPT_S: Final = 60.0
_INTERRUPT_S: Final = 1.0
_INTERRUPTS: Final = 10
_CLOSE_S: Final = 10.0
_STOP_S: Final = 0.3
_RETURN_S: Final = 60.0
_RETRY_S: Final = 0.5
_AGAIN: Final = "run the same command again; it continues where it stopped"
# What the stopped program left in the heap goes: its names, and modules that are files. Timers stay.
_FREE_HEAP: Final = """\
import gc, os, sys
def is_file(name):
    for folder in ("", "lib/"):
        for ending in ("", ".py", ".mpy"):
            try:
                os.stat(folder + name + ending)
                return True
            except OSError:
                pass
for n in list(sys.modules):
    if n != "webrepl" and is_file(n.split(".")[0]):
        sys.modules.pop(n)
for n in list(globals()):
    if not n.startswith("__") and n != "gc":
        globals().pop(n)
gc.collect()
"""


class WebRepl:
    """The WebREPL of the board at `host` and `port`: a ReplTransport, once `open` was called.

    `now` gives seconds, `sleep` waits for some.
    """

    def __init__(
        self, host: str, port: int, password: str, *, now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.name = f"{host}:{port}"
        self._host, self._port, self._password = host, port, password
        self._now, self._sleep = now, sleep
        self._socket: WebSocket | None = None
        self._text = bytearray()
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

    def stop_program(self, *, frees_heap: bool = True) -> None:
        """Interrupt the program, come to the raw prompt, and free its heap. Raises BenchError."""
        for _ in range(_INTERRUPTS):
            self._text.clear()
            self._send(b"\r" + _CTRL_C + _CTRL_C + _CTRL_B)
            with self._connected(), suppress(TimeoutError):
                self._wait_for(_PROMPT, _INTERRUPT_S)
                break
        else:
            raise self._error(
                "the board's program does not stop at Ctrl-C",
                "switch the board off and on, and run this command at once; where its main.py catches every "
                "exception, let it catch `Exception`")
        self._send(b"\r" + _CTRL_A)
        self._await(_RAW, "its prompt")
        if frees_heap:
            self.run_script(_FREE_HEAP)

    def run_script(self, script: str) -> str:
        """Run MicroPython source on the board; return what it printed. Raises BenchError."""
        self._paste(script.encode())
        output = self._await(_CTRL_D, "the end of a script", _SCRIPT_S)
        trouble = self._await(_CTRL_D, "the end of a script")
        self._await(b">", "its prompt")
        if trouble:
            last = trouble.decode("utf-8", "replace").strip().splitlines()[-1]
            cure = "see what the board prints at its prompt"
            if "MemoryError" in last:
                cure = (
                    "its program leaves too little memory: rename main.py on the board, let boot.py start "
                    "WebREPL, restart it, and run the same command again")
            raise BenchError(f"a script failed on the board: {last}", where=self.name, cure=cure)
        return output.decode("utf-8", "replace")

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
                self._send(data[start : start + _PIECE_BYTES], binary=True)
                progress(done + min(start + _PIECE_BYTES, len(data)), total)
            self._await_done()
            done += len(data)

    def restart(self) -> None:
        """Restart the program by a soft reset, which ends this connection. Raises BenchError."""
        self._text.clear()
        self._send(b"\r" + _CTRL_B)
        self._await(_PROMPT, "its prompt")
        self._send(_CTRL_D)
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

    def start_program(self) -> None:
        """Start the program again after a command that failed or was interrupted. Raises nothing."""
        if self._socket is None:
            return
        with uninterrupted(), suppress(BenchError, OSError):
            self._text.clear()
            self._send(b"\r" + _CTRL_C + _CTRL_C + _CTRL_B)
            with suppress(TimeoutError):
                self._wait_for(_PROMPT, _STOP_S)
            self._send(_CTRL_D)
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _log_in(self) -> None:
        try:
            self._wait_for(_PASSWORD, _ANSWER_S)
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
            said = self._wait_for(b"\n", _ANSWER_S) + self._wait_for(b"\n", _ANSWER_S)
        except (TimeoutError, OSError, BenchError):
            said = b""
        if b"connected" not in said:
            self.close()
            raise self._error(
                "the board refuses the password",
                "it is PASS in webrepl_cfg.py on the board, of 4 to 9 characters")

    def _require_version(self) -> None:
        self._request(_VERSION, b"", 0)
        version = ".".join(map(str, self._await_binary(3, _ANSWER_S)))
        if is_too_old(version):
            self.close()
            raise BenchError(
                f"MicroPython {version} on the board is too old: twoslot needs {OLDEST_WORDS}",
                where=self.name,
                cure=f"flash MicroPython {OLDEST_WORDS} over its serial pins: slotbench flash --port PORT "
                     "--image firmware.bin")

    def _paste(self, source: bytes) -> None:
        """Send source in raw-paste mode: the board says how much it can take."""
        self._text.clear()
        self._send(_CTRL_E + b"A" + _CTRL_A)
        answer = self._take(4)
        if answer[:2] != b"R\x01":
            raise self._error("the board has no raw-paste mode", f"flash MicroPython {OLDEST_WORDS}")
        window = int.from_bytes(answer[2:], "little")
        room = window - _HELD_BACK
        while source:
            while not room:
                sign = self._take(1)
                if sign != _CTRL_A:
                    raise self._error("the board took only a part of a script", _AGAIN)
                room += window
            while self._text[:1] == _CTRL_A:
                del self._text[:1]
                room += window
            self._send(source[:room])
            source, room = source[room:], room - len(source[:room])
        self._send(_CTRL_D)
        while (sign := self._take(1)) == _CTRL_A:
            pass
        if sign != _CTRL_D:
            raise self._error("the board took only a part of a script", _AGAIN)

    def _request(self, operation: int, name: bytes, size: int) -> None:
        self._send(_REQUEST.pack(b"WA", operation, 0, 0, size, len(name), name), binary=True)

    def _await_done(self) -> None:
        said = self._await_binary(len(_DONE), _SCRIPT_S, "a full or damaged filesystem does that too")
        if said != _DONE:
            raise self._error(f"the board did not take a file (answer {said!r})", _AGAIN)

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

    def _await(self, ending: bytes, what: str, limit_s: float = _ANSWER_S) -> bytes:
        """What the board says before `ending`, which goes too. Raises BenchError."""
        with self._connected():
            try:
                return self._wait_for(ending, limit_s)
            except TimeoutError:
                raise self._error(
                    f"the board is silent for {limit_s:.0f} s; {what} did not come", _AGAIN) from None

    def _wait_for(self, ending: bytes, limit_s: float) -> bytes:
        """The same. Raises TimeoutError after `limit_s` seconds, OSError."""
        end_s = self._now() + limit_s
        while (at := self._text.find(ending)) < 0:
            left_s = end_s - self._now()
            if left_s <= 0:
                raise TimeoutError
            self._pump(left_s)
        said = bytes(self._text[:at])
        del self._text[: at + len(ending)]
        return said

    def _take(self, count: int) -> bytes:
        while len(self._text) < count:
            with self._connected():
                self._pump(_ANSWER_S)
        said = bytes(self._text[:count])
        del self._text[:count]
        return said

    def _pump(self, limit_s: float) -> None:
        if self._socket is None:
            raise ConnectionResetError("not connected")
        binary, data = self._socket.receive(limit_s)
        (self._binary if binary else self._text).extend(data)

    def _send(self, data: bytes, *, binary: bool = False) -> None:
        with self._connected():
            if self._socket is None:
                raise ConnectionResetError("not connected")
            self._socket.send(data, binary=binary)

    @contextmanager
    def _connected(self, hint: str = "") -> Iterator[None]:
        """A connection that ends meanwhile, or is silent, is an error with a cure."""
        try:
            yield
        except TimeoutError:
            raise self._error("the board does not answer", _AGAIN) from None
        except OSError as error:
            self.close()
            words = f"lost the board ({error})" + (f"; {hint}" if hint else "")
            raise self._error(words, f"its program stands still until then: {_AGAIN}") from None

    def _is_busy(self) -> BenchError:
        return self._error(
            "the board hangs up: another client has its WebREPL, or one that was lost",
            "end that client, or switch the board off and on; then run the same command again")

    def _error(self, what: str, cure: str) -> BenchError:
        return BenchError(what, where=self.name, cure=cure, exit_code=USAGE)
