"""Clients that push to a board without sockets: the test decides every byte, in virtual time."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections import deque
from collections.abc import Callable
from typing import Any

from slotbench.formats import blocks
from slotbench.formats.release import DEVELOPMENT
from slotbench.prove.testbed import MAIN, NOW, PRODUCT
from slotbench.release.build import build_release
from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.firmware import Behaviour
from slotbench.vboard.network.base import TcpListener, TcpStream
from slotbench.vboard.network.wsgi import WsgiApp, WsgiNetwork
from support.device.board import signing_key
from support.testbed import TestBed

SECRET = bytes(range(32))
LISTENS = """\
import twoslot
try:
    listening  # Ctrl-C, and main.py again in the same heap
except NameError:
    listening = twoslot.listen(10, wait=False)
""" + MAIN
"""An application that takes pushed releases for ten minutes from the board's start."""


def on_a_desk(files: dict[str, bytes]) -> None:
    """A developer's board: its secret, the development key, and the mark that it is one."""
    files["/twoslot.secret"] = json.dumps({"secret": SECRET.hex()}).encode()
    modulus = base64.b64encode(signing_key("stranger").modulus).decode()
    files["/twoslot.devkey"] = json.dumps({"modulus": modulus}).encode()
    files["/twoslot.json"] = json.dumps({**json.loads(files["/twoslot.json"]), "development": True}).encode()


def on_a_wall(files: dict[str, bytes]) -> None:
    """As `on_a_desk`, without the mark."""
    on_a_desk(files)
    files["/twoslot.json"] = json.dumps({**json.loads(files["/twoslot.json"]), "development": False}).encode()


def develop(
    testbed: TestBed, number: int, does: Behaviour = Behaviour.HEALTHY, *, key: str = "stranger", version: str = "",
    created: int = NOW,
) -> tuple[bytes, bytes]:
    """Document and image of a development release, which the test bed's invariants know then."""
    version = version or f"{number}.0.0-dev"
    image = testbed.firmware(version, does)
    assert isinstance(image, bytes)
    testbed.images[DEVELOPMENT | number if key == "stranger" else number] = image
    release = build_release(
        image, product=PRODUCT, boards=[testbed.profile], version=version, counter=number, created=created,
        fs_start=testbed.profile.fs_start, fs_version=0x00020001, mpy_abi=6)
    return signing_key(key).sign(release.to_payload()).pack(), image


class Visitor:
    """A connection: `sends` is what it says at once. Its silence is virtual time; `leaves`: it hangs up then."""

    def __init__(self, sends: bytes = b"", *, leaves: bool = False) -> None:
        self.inbox = bytearray(sends)
        self.heard = bytearray()
        self.leaves = leaves
        self.closed = False

    def write(self, data: bytes) -> int:
        self.heard += data
        self.answer()
        return len(data)

    def answer(self) -> None:
        """React to what was heard."""

    def readinto(self, view: memoryview, *, patient: bool = True) -> int | None:
        count = min(len(view), len(self.inbox))
        if not count:
            return 0 if self.leaves else None
        view[:count] = self.inbox[:count]
        del self.inbox[:count]
        return count

    def readable(self) -> bool:
        return bool(self.inbox) or self.leaves

    def close(self) -> None:
        self.closed = True

    @property
    def status(self) -> int:
        """Of the last answer, 0: there was none."""
        found = [part for part in bytes(self.heard).split(b"HTTP/1.1 ") if part]
        return int(found[-1][:3]) if found else 0

    @property
    def text(self) -> str:
        """The last answer's text."""
        return bytes(self.heard).rpartition(b"\r\n\r\n")[2].decode()

    @property
    def code(self) -> tuple[int, int]:
        """The refusal: code and place."""
        code, _, where = self.text.partition(" at ")
        return int(code), int(where)


class PushingVisitor(Visitor):
    """One who sends what the board asks for, but for the bytes in `damage` (offset -> byte), and leaves after
    so many pieces.
    """

    def __init__(self, head: bytes, document: bytes, image: bytes, *, pieces: int = 1000) -> None:
        super().__init__(head + b"%x\r\n" % len(document) + document)
        self.image = image
        self.pieces = pieces
        self.asked: list[str] = []

    def answer(self) -> None:
        *heads, rest = bytes(self.heard).split(b"\r\n\r\n")
        for head in heads[len(self.asked):]:
            if not head.startswith(b"HTTP/1.1 100 "):
                return
            wants = head.rpartition(b"Twoslot-Wants: ")[2].decode()
            self.asked.append(wants)
            if wants == "nothing":
                continue
            if len(self.asked) > self.pieces:
                self.leaves = True
                return
            self.inbox += b"\r\n%x\r\n" % len(self.piece(wants)) + self.piece(wants)

    def piece(self, wants: str) -> bytes:
        """The bytes that are asked for."""
        if wants == "blocks":
            return blocks.block_table(self.image)
        first, _, last = wants.removeprefix("bytes=").partition("-")
        return self.image[int(first) : int(last) + 1]


class PushNetwork(WsgiNetwork):
    """A network with a server in it, and `visitors` who come to the board's port one after another."""

    def __init__(self, app: WsgiApp) -> None:
        super().__init__(app)
        self.visitors: deque[Any] = deque()
        self.open = 0

    def listen(self, port: int) -> TcpListener:
        assert port == 8267
        return _Porch(self)


class _Porch:
    def __init__(self, street: PushNetwork) -> None:
        self.street = street
        street.open += 1

    def accept(self) -> TcpStream | None:
        return self.street.visitors.popleft() if self.street.visitors else None

    def close(self) -> None:
        self.street.open -= 1


def desk(testbed: TestBed, **options: Any) -> VirtualBoard:
    """A board of the test bed that is on and listens, and its network."""
    board = testbed.board(PushNetwork(testbed.app), **options)
    board.power_on()
    board.run(5000)
    return board


def street(board: VirtualBoard) -> PushNetwork:
    assert isinstance(board.network, PushNetwork)
    return board.network


LEAVE_MS = 1000
"""Longer than a board takes from its answer to its restart: stopped in between, by Ctrl-C, it would not."""


def visit(board: VirtualBoard, *visitors: Visitor, seconds: int = 300, more_ms: int = 0) -> Visitor:
    """Let these come, one after another, and run until the last one was sent away, and so long; that one."""
    street(board).visitors.extend(visitors)
    away: list[float] = []

    def enough() -> bool:
        if visitors[-1].closed and not away:
            away.append(board.clock.ms)
        return bool(away) and board.clock.ms - away[0] >= more_ms

    board.run(seconds * 1000, until=enough)
    return visitors[-1]


def authorization(method: str, path: str, nonce: str, document: bytes | None = None, secret: bytes = SECRET) -> str:
    """The field by which a request proves that its sender knows the secret."""
    digest = [hashlib.sha256(document).hexdigest()] if document is not None else []
    mac = hmac.digest(secret, "\n".join([method, path, nonce, *digest]).encode(), "sha256").hex()
    return f'Authorization: Twoslot nonce="{nonce}", mac="{mac}"\r\n'


def greet(board: VirtualBoard, *, known: bool = False, secret: bytes = SECRET) -> dict[str, Any]:
    """What the board says of itself; `known`: asked by one who knows the secret."""
    field = authorization("GET", "/twoslot", greet(board)["nonce"], secret=secret) if known else ""
    visitor = visit(board, Visitor(f"GET /twoslot HTTP/1.1\r\n{field}\r\n".encode()))
    assert visitor.status == 200, bytes(visitor.heard)
    found: dict[str, Any] = json.loads(visitor.text)
    return found


def head(document: bytes, nonce: str, *, length: int | None = None, secret: bytes = SECRET) -> bytes:
    """The head of a POST that brings a release."""
    field = authorization("POST", "/twoslot/release", nonce, document, secret)
    length = len(document) if length is None else length
    return (
        f"POST /twoslot/release HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTwoslot-Document: {length}\r\n{field}\r\n"
    ).encode()


def pusher(board: VirtualBoard, release: tuple[bytes, bytes], **options: Any) -> PushingVisitor:
    """One who pushes a release, with a challenge just asked for."""
    return PushingVisitor(head(release[0], greet(board)["nonce"]), *release, **options)


def push(board: VirtualBoard, release: tuple[bytes, bytes], **options: Any) -> PushingVisitor:
    """Push a release and come back when it was answered, and the board had time to restart."""
    visitor = pusher(board, release, **options)
    visit(board, visitor, more_ms=LEAVE_MS)
    return visitor


Edit = Callable[[dict[str, bytes]], None]
