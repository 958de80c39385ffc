"""Pushing a release to a listening board (FORMATS): authentication, and the pieces that it requests."""

from __future__ import annotations

import hashlib
import hmac
import re
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Self

from slotbench.errors import USAGE, BenchError
from slotbench.formats import FormatError, blocks
from slotbench.formats.codes import explain
from slotbench.formats.fields import Fields
from slotbench.untrusted import load_json

__all__ = ["PORT", "SECRET_BYTES", "ListenerStatus", "PushClient", "PushTimes", "read_secret"]

PORT: Final = 8267
"""The port of a board that listens for pushes."""
_WEBREPL_PORT: Final = 8266
SECRET_BYTES: Final = 32

_RESPONSE_S: Final = 60.0
"""Seconds to wait for a response. The board needs seconds to check a signature or to read back its flash."""
_CONNECT_S: Final = 5.0
_POLL_S: Final = 0.5
_LINE_BYTES: Final = 4096
_LINES_MAX: Final = 32
_BODY_BYTES: Final = 4096
_NOTHING: Final = "nothing"
_AGAIN: Final = "push again; it continues where it stopped"

Connect = Callable[[tuple[str, int], float], socket.socket]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerStatus:
    """The status of a listening board.

    `counter` is that of the running release. `development` is the lowest counter of a development release
    that the board accepts, or 0 if it accepts none. `nonce` is its challenge, `app` the counter of the
    application that runs, 0 for none. `slot` is None on a board without the loader.
    """

    device: str
    product: str
    board: str
    channel: str
    version: str
    counter: int
    slot: str | None
    confirmed: bool
    trial: bool
    development: int
    nonce: str
    app: int = 0

    @classmethod
    def parse(cls, text: bytes) -> ListenerStatus:
        """The board's response to GET /twoslot. Raises FormatError; what it does not know it passes over."""
        try:
            found = dict(load_json(text))
        except (ValueError, TypeError):
            raise FormatError("response is not a JSON object") from None
        fields, is_stock = Fields(found), "slot" in found and found["slot"] is None
        return cls(
            device=fields.text("device", 1, 64), product=fields.name("product"), board=fields.name("board"),
            channel=fields.name("channel"), version=fields.text("version", 0, 16),
            counter=fields.integer("counter", high=2**32 - 1),
            slot=None if is_stock else fields.choice("slot", ("A", "B")),
            confirmed=fields.boolean("confirmed"), trial=fields.boolean("trial"),
            development=fields.integer("development"), nonce=fields.text("nonce", 32, 32),
            app=fields.integer("app", high=2**32 - 1) if fields.has("app") else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PushTimes:
    """The duration of each part of a push in seconds, and the bytes of image and block table that were sent.

    `judged` is the time until the board requested the first piece, `sent` until it had written the last one,
    and `verified` until it had verified the whole image.
    """

    judged: float
    sent: float
    verified: float
    bytes: int


def read_secret(data: bytes, where: str) -> bytes:
    """The secret in a board's `twoslot.secret`, or in a file with its 64 hex digits alone.

    Raises BenchError.
    """
    text = data.decode("ascii", "replace").strip()
    try:
        found: object = load_json(text)
    except ValueError:
        found = text
    text = str(found.get("secret")) if isinstance(found, dict) else text
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise BenchError(
            "not the secret of a board", where=where,
            cure="give its twoslot.secret, or a file with 64 hex digits", exit_code=USAGE)
    return bytes.fromhex(text)


class PushClient:
    """The client for the board at `host` and `port`.

    `secret` returns the secret of a board by its device id, or raises BenchError. `now` gives seconds;
    `sleep` waits for a number of seconds. `connect` makes a connection to an address within seconds.
    """

    def __init__(
        self, host: str, port: int, secret: Callable[[str], bytes], *,
        now: Callable[[], float] = time.monotonic, sleep: Callable[[float], object] = time.sleep,
        connect: Connect = socket.create_connection,
    ) -> None:
        self.where = f"{host}:{port}"
        self._address = host, port
        self._secret = secret
        self._now = now
        self._sleep = sleep
        self._connect = connect

    def read_status(self) -> ListenerStatus:
        """Read the status of the board with an authenticated request. Raises BenchError.

        The trial of a development release is confirmed once it answers such a request.
        """
        first = self._request_status({})
        return self._request_status(self._authorize(first, "GET", "/twoslot"))

    def push_release(
        self, document: bytes, image: bytes,
        progress: Callable[[int, int], object] = lambda done, total: None,
        on_step: Callable[[str], object] = lambda words: None,
    ) -> PushTimes:
        """Push a release to the board: its document (both lines) and its image. Raises BenchError.

        `progress` receives the number of image bytes that the board has, and the length of the image.
        `on_step` receives what the board begins to do, in words, where that takes seconds.
        """
        table = blocks.block_table(image)

        def piece(wants: str) -> tuple[bytes, int] | None:
            span = _requested_span(wants, len(image))
            if span is None:
                return None
            return (image[span[0] : span[1]], span[0]) if span[1] else (table, 0)

        times = self._push(document, piece, lambda done: progress(done, len(image)), on_step)
        progress(len(image), len(image))
        return times

    def push_application(
        self, document: bytes, file_list: bytes, files: Mapping[str, bytes],
        on_step: Callable[[str], object] = lambda words: None,
    ) -> PushTimes:
        """Push an application: its document (both lines), its list, and of its files (SHA-256 in hex ->
        content) what the board does not have. Raises BenchError. `on_step` as for `push_release`.
        """

        def piece(wants: str) -> tuple[bytes, int] | None:
            if wants == _NOTHING:
                return None
            if wants == "list":
                return file_list, 0
            found = files.get(wants.removeprefix("file="))
            if found is None:
                raise _unknown_request(wants)
            return found, 0

        return self._push(document, piece, lambda done: None, on_step)

    def _push(
        self, document: bytes, piece: Callable[[str], tuple[bytes, int] | None],
        progress: Callable[[int], object], on_step: Callable[[str], object],
    ) -> PushTimes:
        """Send a signed document, then the pieces that the board requests. `piece` gives each, and the bytes
        that the board has already; None when it needs no more.
        """
        greeting = self.read_status()
        digest = hashlib.sha256(document).hexdigest()
        start = self._now()
        asked = sent = 0.0
        count = 0
        with _PushConnection(self._connect, self._address, self.where, _RESPONSE_S) as connection:
            connection.send_head("POST /twoslot/release", {
                "Transfer-Encoding": "chunked", "Expect": "100-continue",
                "Twoslot-Document": str(len(document)),
                **self._authorize(greeting, "POST", "/twoslot/release", digest)})
            connection.send_chunk(document)
            on_step("the board checks the signature")
            while (response := connection.read_response())[0] == 100:
                sent = self._now()
                asked = asked or sent
                found = piece(response[1].get("twoslot-wants", ""))
                if found is None:
                    on_step("the board has all of it, and reads it back")
                else:
                    progress(found[1])
                    connection.send_chunk(found[0])
                    count += len(found[0])
        self._require_success(response)
        return PushTimes(judged=asked - start, sent=sent - asked, verified=self._now() - sent, bytes=count)

    def wait_for_board(self, seconds: float) -> tuple[ListenerStatus, float]:
        """Wait until the board is back; return its status and the seconds.

        Raises BenchError after `seconds`.
        """
        start = self._now()
        while True:
            try:
                return self.read_status(), self._now() - start
            except BenchError as error:
                if self._now() - start > seconds:
                    raise BenchError(
                        f"the board did not come back within {seconds:.0f} s ({error.what})",
                        where=self.where,
                        cure="wait; a board that nobody reaches falls back by itself (see its serial port)",
                    ) from None
            self._sleep(_POLL_S)

    def _request_status(self, fields: Mapping[str, str]) -> ListenerStatus:
        with _PushConnection(self._connect, self._address, self.where, _CONNECT_S) as connection:
            connection.send_head("GET /twoslot", fields)
            response = connection.read_response()
        text = self._require_success(response)
        try:
            return ListenerStatus.parse(text)
        except FormatError as error:
            raise BenchError(
                f"no listening board answers there ({error})", where=self.where,
                cure=_where_boards_listen(self._address)) from None

    def _authorize(self, there: ListenerStatus, method: str, path: str, digest: str = "") -> dict[str, str]:
        message = "\n".join([method, path, there.nonce, *([digest] if digest else [])])
        mac = hmac.digest(self._secret(there.device), message.encode(), "sha256").hex()
        return {"Authorization": f'Twoslot nonce="{there.nonce}", mac="{mac}"'}

    def _require_success(self, response: tuple[int, Mapping[str, str], bytes]) -> bytes:
        """The text of a response with status 200.

        For another status, raises BenchError with the board's reason.
        """
        status, _, text = response
        if status == 200:
            return text
        said = re.match(rb"(\d{1,10}) at (\d{1,10})\n", text)
        if said is None:
            raise BenchError(
                f"the response has status {status}", where=self.where,
                cure=_where_boards_listen(self._address))
        code, place = int(said[1]), int(said[2])
        if not code:
            what = "twoslot on the board has a defect" if place else "the board is out of memory"
            raise BenchError(what, where=self.where, cure=_AGAIN)
        entry = explain(code)
        raise BenchError(
            f"the board refuses: {code} {entry.word}, {entry.meaning} ({entry.where} {place})",
            where=self.where, cure=entry.advice.rstrip("."))


class _PushConnection:
    """A connection to the board for one request."""

    def __init__(self, connect: Connect, address: tuple[str, int], where: str, seconds: float) -> None:
        self._where = where
        try:
            self._sock = connect(address, _CONNECT_S)
        except socket.gaierror:
            raise BenchError(
                "no such host", where=where, cure="give the address of the board", exit_code=USAGE) from None
        except OSError as error:
            raise BenchError(
                f"no board listens there ({error.strerror or error})", where=where,
                cure=_where_boards_listen(address, "call twoslot.listen() on the board"),
                exit_code=USAGE) from None
        self._sock.settimeout(seconds)
        self._lines = self._sock.makefile("rb")
        self._in_chunk = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._sock.close()

    def send_head(self, what: str, fields: Mapping[str, str]) -> None:
        """Send the head of a request."""
        lines = [f"{what} HTTP/1.1", f"Host: {self._where}", *(f"{k}: {v}" for k, v in fields.items())]
        self.send_bytes("\r\n".join([*lines, "", ""]).encode())

    def send_chunk(self, data: bytes) -> None:
        """Send a chunk of the body.

        Its final line end is sent with the next chunk, so a refusing board has read all.
        """
        self.send_bytes((b"\r\n" if self._in_chunk else b"") + b"%x\r\n" % len(data) + data)
        self._in_chunk = True

    def send_bytes(self, data: bytes) -> None:
        """Send. Raises BenchError; a response that came instead is left to `response`."""
        try:
            self._sock.sendall(data)
        except TimeoutError:
            raise self._lost_board("the board stopped reading") from None
        except OSError:
            pass  # the response tells why, or that there is none

    def read_response(self) -> tuple[int, dict[str, str], bytes]:
        """The status, header fields (names in lower case) and text of the next response.

        Raises BenchError.
        """
        try:
            first = self._lines.readline(_LINE_BYTES)
            fields: dict[str, str] = {}
            for _ in range(_LINES_MAX):
                line = self._lines.readline(_LINE_BYTES)
                if not line.strip():
                    break
                name, _, value = line.decode("latin-1").partition(":")
                fields[name.strip().lower()] = value.strip()
            else:
                raise self._lost_board("no listening board answers there")
            found = re.match(rb"HTTP/1\.[01] (\d{3})", first)
            size = fields.get("content-length", "0")
            text = self._lines.read(min(int(size[-9:]), _BODY_BYTES)) if size.isdecimal() else b""
        except TimeoutError:
            raise self._lost_board("the board does not answer") from None
        except OSError:
            raise self._lost_board("the connection was lost") from None
        if not first:
            raise self._lost_board("the connection was lost")
        if found is None:
            raise self._lost_board("no listening board answers there")
        return int(found[1]), fields, text

    def _lost_board(self, what: str) -> BenchError:
        return BenchError(what, where=self._where, cure=_AGAIN)


def _where_boards_listen(address: tuple[str, int], cure: str = "check host and port") -> str:
    """The cure when nobody answers at an address as a listening board does."""
    host, port = address
    if port != _WEBREPL_PORT:
        return cure
    return f"{port} is WebREPL's port; a board listens on {PORT}: slotbench push {host} ..."


def _requested_span(wants: str, length: int) -> tuple[int, int] | None:
    """The piece that an interim response requests: its first byte and its end in the image.

    (0, 0) is the block table. None means that the board has everything.
    """
    if wants == _NOTHING:
        return None
    if wants == "blocks":
        return 0, 0
    found = re.fullmatch(r"bytes=(\d{1,9})-(\d{1,9})", wants)
    if found is None or not int(found[1]) <= int(found[2]) < length:
        raise _unknown_request(wants)
    return int(found[1]), int(found[2]) + 1


def _unknown_request(wants: str) -> BenchError:
    return BenchError(
        f"the board requests {wants!r}", cure="use the slotbench version of the board's twoslot")
