"""Pushing a release to a board that listens (FORMATS 10): the challenge, and the pieces it asks for."""

from __future__ import annotations

import hashlib
import hmac
import json
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

__all__ = ["PORT", "SECRET_BYTES", "Greeting", "PushClient", "PushTimes", "read_secret"]

PORT: Final = 8266
SECRET_BYTES: Final = 32

_ANSWER_S: Final = 60.0
"""The board checks a signature, or reads back what it has, for seconds at a time."""
_CONNECT_S: Final = 5.0
_LOOK_S: Final = 0.5
_LINE_BYTES: Final = 4096
_BODY_BYTES: Final = 4096
_AGAIN: Final = "push again: it goes on where it was"


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """What a board says of itself. `counter` is that of the running release, `development` the lowest one it
    takes of a development release, 0 when it takes none.
    """

    device: str
    product: str
    board: str
    channel: str
    version: str
    counter: int
    slot: str
    confirmed: bool
    trial: bool
    development: int
    nonce: str

    @classmethod
    def parse(cls, text: bytes) -> Greeting:
        """The board's answer to GET /twoslot. Raises FormatError; what it does not know it passes over."""
        try:
            fields = Fields(dict(json.loads(text)))
        except (ValueError, TypeError):
            raise FormatError("answer is not a JSON object") from None
        return cls(
            device=fields.text("device", 1, 64), product=fields.name("product"), board=fields.name("board"),
            channel=fields.name("channel"), version=fields.text("version", 0, 16),
            counter=fields.integer("counter", high=2**32 - 1), slot=fields.choice("slot", ("A", "B")),
            confirmed=fields.boolean("confirmed"), trial=fields.boolean("trial"),
            development=fields.integer("development"), nonce=fields.text("nonce", 32, 32))


@dataclass(frozen=True, slots=True, kw_only=True)
class PushTimes:
    """Seconds of a push by its parts, and the bytes of image and block table that the board asked for.

    `judged`: until the board asked for the first piece; `sent`: until it had the last one in its flash;
    `verified`: until it said that all of it is right.
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
        found = json.loads(text)
    except ValueError:
        found = text
    text = str(found.get("secret")) if isinstance(found, dict) else text
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise BenchError(
            "not the secret of a board", where=where, do="give its twoslot.secret, or 64 hex digits",
            exit_code=USAGE)
    return bytes.fromhex(text)


class PushClient:
    """Speaks to the board at `host`. `secret` finds that of a board by its device id, or raises BenchError;
    `now` gives seconds, `sleep` waits some.
    """

    def __init__(
        self, host: str, port: int, secret: Callable[[str], bytes], *,
        now: Callable[[], float] = time.monotonic, sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.where = f"{host}:{port}"
        self._address = host, port
        self._secret = secret
        self._now = now
        self._sleep = sleep

    def greet(self) -> Greeting:
        """Who is there, asked by one who knows the secret: in the trial of a development release this is its
        proof of health. Raises BenchError.
        """
        first = self._greeting({})
        return self._greeting(self._sign(first, "GET", "/twoslot"))

    def push(
        self, document: bytes, image: bytes,
        progress: Callable[[int, int], object] = lambda done, total: None,
    ) -> PushTimes:
        """Have the board take a release: its document (both lines) and its image. Raises BenchError.

        `progress` gets the bytes of the image that are there, and its length.
        """
        table = blocks.table(image)
        greeting = self.greet()
        digest = hashlib.sha256(document).hexdigest()
        start = self._now()
        asked = sent = 0.0
        count = 0
        with _Exchange(self._address, self.where, _ANSWER_S) as exchange:
            exchange.ask("POST /twoslot/release", {
                "Transfer-Encoding": "chunked", "Expect": "100-continue",
                "Twoslot-Document": str(len(document)),
                **self._sign(greeting, "POST", "/twoslot/release", digest)})
            exchange.chunk(document)
            while (answer := exchange.answer())[0] == 100:
                sent = self._now()
                asked = asked or sent
                span = _span(answer[1], len(image))
                if span is not None:
                    piece = image[span[0] : span[1]] if span[1] else table
                    progress(span[0], len(image))
                    exchange.chunk(piece)
                    count += len(piece)
        self._require(answer)
        progress(len(image), len(image))
        return PushTimes(judged=asked - start, sent=sent - asked, verified=self._now() - sent, bytes=count)

    def wait(self, seconds: float) -> tuple[Greeting, float]:
        """The board once it is back, and the seconds that took. Raises BenchError when it does not come."""
        start = self._now()
        while True:
            try:
                return self.greet(), self._now() - start
            except BenchError as error:
                if self._now() - start > seconds:
                    raise BenchError(
                        f"the board did not come back within {seconds:.0f} s ({error.what})",
                        where=self.where,
                        do="a firmware that cannot be reached falls back by itself; see its serial port",
                    ) from None
            self._sleep(_LOOK_S)

    def _greeting(self, fields: Mapping[str, str]) -> Greeting:
        with _Exchange(self._address, self.where, _CONNECT_S) as exchange:
            exchange.ask("GET /twoslot", fields)
            answer = exchange.answer()
        text = self._require(answer)
        try:
            return Greeting.parse(text)
        except FormatError as error:
            raise BenchError(
                f"what answers there is no board that listens ({error})", where=self.where,
                do="check host and port") from None

    def _sign(self, there: Greeting, method: str, path: str, digest: str = "") -> dict[str, str]:
        message = "\n".join([method, path, there.nonce, *([digest] if digest else [])])
        mac = hmac.digest(self._secret(there.device), message.encode(), "sha256").hex()
        return {"Authorization": f'Twoslot nonce="{there.nonce}", mac="{mac}"'}

    def _require(self, answer: tuple[int, Mapping[str, str], bytes]) -> bytes:
        """The text of a 200. Raises BenchError with the board's reason for anything else."""
        status, _, text = answer
        if status == 200:
            return text
        said = re.match(rb"(\d+) at (\d+)\n", text)
        if said is None:
            raise BenchError(f"it answers with status {status}", where=self.where, do="check host and port")
        code, place = int(said[1]), int(said[2])
        if not code:
            what = "twoslot on the board has a defect" if place else "the board has no memory left for it"
            raise BenchError(what, where=self.where, do=_AGAIN)
        entry = explain(code)
        raise BenchError(
            f"the board refuses: {entry.meaning} (code {code}, {entry.where} {place})", where=self.where,
            do=entry.advice.rstrip("."))


class _Exchange:
    """One request over a connection of its own."""

    def __init__(self, address: tuple[str, int], where: str, seconds: float) -> None:
        self._where = where
        try:
            self._sock = socket.create_connection(address, _CONNECT_S)
        except socket.gaierror:
            raise BenchError(
                "no such host", where=where, do="give the board's address", exit_code=USAGE) from None
        except OSError as error:
            raise BenchError(
                f"nobody listens there ({error.strerror or error})", where=where,
                do="on the board: twoslot.listen()", exit_code=USAGE) from None
        self._sock.settimeout(seconds)
        self._lines = self._sock.makefile("rb")
        self._in_chunk = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._sock.close()

    def ask(self, what: str, fields: Mapping[str, str]) -> None:
        """Send the head of a request."""
        lines = [f"{what} HTTP/1.1", f"Host: {self._where}", *(f"{k}: {v}" for k, v in fields.items())]
        self.send("\r\n".join([*lines, "", ""]).encode())

    def chunk(self, data: bytes) -> None:
        """Send a piece of the body, its end with the next one: a board that refuses has read all there is."""
        self.send((b"\r\n" if self._in_chunk else b"") + b"%x\r\n" % len(data) + data)
        self._in_chunk = True

    def send(self, data: bytes) -> None:
        """Send. Raises BenchError; an answer that came instead is left to `answer`."""
        try:
            self._sock.sendall(data)
        except TimeoutError:
            raise self._lost("the board takes no more") from None
        except OSError:
            pass  # why, the answer says, or its absence

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, fields (names in lower case) and text of the next answer. Raises BenchError."""
        try:
            first = self._lines.readline(_LINE_BYTES)
            fields: dict[str, str] = {}
            while (line := self._lines.readline(_LINE_BYTES)).strip():
                name, _, value = line.decode("latin-1").partition(":")
                fields[name.strip().lower()] = value.strip()
                if len(fields) > 32:
                    raise self._lost("what answers there is no board")
            found = re.match(rb"HTTP/1\.[01] (\d{3})", first)
            size = fields.get("content-length", "0")
            text = self._lines.read(min(int(size), _BODY_BYTES)) if size.isdecimal() else b""
        except TimeoutError:
            raise self._lost("the board does not answer") from None
        except OSError:
            raise self._lost("the connection was lost") from None
        if not first:
            raise self._lost("the connection was lost")
        if found is None:
            raise self._lost("what answers there is no board")
        return int(found[1]), fields, text

    def _lost(self, what: str) -> BenchError:
        return BenchError(what, where=self._where, do=_AGAIN)


def _span(fields: Mapping[str, str], length: int) -> tuple[int, int] | None:
    """What an interim answer asks for: first byte and end of a piece of the image; (0, 0): the block table;
    None: nothing, for the board has all of it.
    """
    wants = fields.get("twoslot-wants", "")
    if wants == "nothing":
        return None
    if wants == "blocks":
        return 0, 0
    found = re.fullmatch(r"bytes=(\d+)-(\d+)", wants)
    if found is None or not int(found[1]) <= int(found[2]) < length:
        raise BenchError(f"the board asks for {wants!r}", do="use the slotbench that its twoslot is from")
    return int(found[1]), int(found[2]) + 1
