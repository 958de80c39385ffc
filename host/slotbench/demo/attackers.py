"""The attacks of `slotbench demo --attacks`: who attacks, what they do, and the expected refusal.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Protocol

from slotbench.demo.lan_attacker import LanAttacker
from slotbench.formats import blocks
from slotbench.formats.document import Document, split_document
from slotbench.formats.head import Head
from slotbench.release import store
from slotbench.release.keys import SigningKey
from slotbench.release.publisher import Publisher
from slotbench.vboard.network.http_faults import PORTAL

__all__ = ["AFTER", "BEFORE", "CURED", "FAST_FORWARD", "FLOOD", "Attack", "AttackSurface"]

_SEQ_MAX = 2**31 - 1
_DAY_S = 86400
_SETTINGS, _KEYS = "/twoslot.json", ("/twoslot.keys", "/twoslot.keys2")
_CALL_TICK = "import time; any(twoslot.tick() or time.sleep(5) for _ in range(140))"
"""A program that calls tick() for twelve minutes: the board checks by itself."""


class AttackSurface(Protocol):
    """What an attack can use: `publisher` and its files. Release 3 is offered, 2 runs, 1 is older.

    `images` has the image of each release for the spare slot. `stolen` is the online key of the
    first epoch, `stranger` a key that no board pinned. `secret` is the board's, which its server
    and its developers know.
    """

    publisher: Publisher
    now: int
    images: dict[int, bytes]
    stolen: SigningKey
    stranger: SigningKey
    lan_attacker: LanAttacker
    secret: bytes

    @property
    def overheard(self) -> bytes:
        """The last request of the board that carried a MAC, as it was sent."""

    @property
    def stranger_url(self) -> str:
        """Where a stranger has a server of his own."""

    def intercept(self, **fault: Any) -> None:
        """Tamper with responses on their way to the board: the fields of a NetworkFault."""

    def replace_file(self, name: str, content: bytes) -> None:
        """Replace a file on the server, as long as the attack lasts."""

    def set_clock(self, unix_s: int) -> None:
        """Set the board's clock."""

    def published_file(self, name: str) -> bytes:
        """A file as the publisher published it."""

    def release(self, counter: int) -> bytes:
        """The document of a release."""

    def board_file(self, name: str) -> bytes:
        """A file on the board."""

    def put_board_file(self, name: str, content: bytes) -> None:
        """Put a file on the board, as long as the attack lasts."""

    def type_line(self, line: str) -> None:
        """Have a person type a line before the attack. What the board logs of it does not count."""

    def visit_push_port(self, visit: Callable[[tuple[str, int]], None]) -> None:
        """Have the board listen for a minute, and call `visit` with the address of its port
        meanwhile.
        """

    def send_to_server(self, request: bytes) -> int:
        """Send these bytes to the server; returns the status of its response."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack: `who` attacks, what they do (`begin`), the `line` that a person types at the
    board then, and the error code (FORMATS.md) that the board must refuse it with. With `tell` the
    attacker is refused, and `tell` returns the codes.
    """

    name: str
    who: str
    code: int
    begin: Callable[[AttackSurface], object]
    line: str = "twoslot.update()"
    tell: Callable[[AttackSurface], Sequence[int]] | None = None


# What attackers can make.


def _response(body: bytes, head: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), head, body)


def _challenge(nonce: bytes) -> bytes:
    """What a server says that wants to know which board asks."""
    head = b'WWW-Authenticate: Twoslot nonce="%s"\r\nContent-Length: 0' % nonce
    return b"HTTP/1.1 401 Unauthorized\r\n" + head + b"\r\n\r\n"


def _intercept(**fault: Any) -> Callable[[AttackSurface], object]:
    """An attack that is this fault and nothing else."""
    return lambda field: field.intercept(**fault)


def _head_name(field: AttackSurface) -> str:
    return store.head_name(field.publisher.product, "stable")


def _head(field: AttackSurface, **changes: Any) -> bytes:
    """The current head with changes, signed with the stolen online key."""
    head = Head.from_payload(field.published_file(_head_name(field)).partition(b"\n")[0])
    return field.stolen.sign(replace(head, **changes).to_payload()).pack()


def _serve_head(field: AttackSurface, **changes: Any) -> None:
    field.replace_file(_head_name(field), _head(field, **changes))


def _serve_release(field: AttackSurface, signed: Document) -> None:
    """Serve a release and a head for it, signed with the stolen online key."""
    field.replace_file(store.release_name(signed.digest), signed.pack())
    _serve_head(field, release=signed.digest)


def _changed(field: AttackSurface, **changes: Any) -> bytes:
    """The payload of release 3 with changes."""
    payload = json.loads(field.release(3).partition(b"\n")[0])
    return json.dumps(payload | changes, separators=(",", ":")).encode()


def _forge(field: AttackSurface) -> None:
    """A release signed by a stranger, with the id of the offline key."""
    payload = _changed(field, version="6.6.6")
    signature = field.stranger.sign(payload).signature
    _serve_release(field, Document(payload, field.publisher.offline.key_id, signature))


def _forge_by_online(field: AttackSurface) -> None:
    _serve_release(field, field.stolen.sign(_changed(field, version="6.6.6")))


def _other_board(field: AttackSurface) -> None:
    _serve_release(field, field.publisher.offline.sign(_changed(field, boards=["toaster"])))


def _other_products_release(field: AttackSurface) -> None:
    _serve_release(field, field.publisher.offline.sign(_changed(field, product="kettle")))


def _mix(field: AttackSurface) -> None:
    _serve_head(field, release=split_document(field.release(1)).digest)


def _replay(field: AttackSurface) -> None:
    """Serve a head from the time when release 2 was new."""
    _serve_head(field, seq=1, counter=2, release=split_document(field.release(2)).digest)


def _freeze(field: AttackSurface) -> None:
    """Keep sending the current head to a board whose clock is set."""
    field.intercept(on="heads/*", raw=_response(field.published_file(_head_name(field))))
    field.set_clock(field.now + 40 * _DAY_S)


def _sign_by_stranger(field: AttackSurface) -> None:
    """Send the current head, signed by a key that no board pinned."""
    payload = field.published_file(_head_name(field)).partition(b"\n")[0]
    field.intercept(on="heads/*", raw=_response(field.stranger.sign(payload).pack()))


def _pretend(field: AttackSurface) -> None:
    """Use the id of this board with another secret."""
    field.put_board_file("/twoslot.secret", b'{"secret": "%s"}' % (b"5a" * 32))


def _say_again(field: AttackSurface) -> Sequence[int]:
    """Send the overheard request again: the server must respond with 401, which is code 46."""
    return (46,) if field.send_to_server(field.overheard) == HTTPStatus.UNAUTHORIZED else ()


def _fast_forward(field: AttackSurface) -> None:
    """Serve a head with the highest seq: all heads of the publisher are older then."""
    _serve_head(field, seq=_SEQ_MAX)


def _developed(field: AttackSurface) -> bytes:
    """A release signed by a development key."""
    return field.stranger.sign(_changed(field, version="6.6.6-dev")).pack()


def _push_developed(field: AttackSurface) -> None:
    """Push to a board that has the development key, but is not marked as a development board."""
    modulus = base64.b64encode(field.stranger.modulus).decode()
    field.put_board_file("/twoslot.devkey", json.dumps({"modulus": modulus}).encode())
    field.visit_push_port(lambda at: field.lan_attacker.push(at, _developed(field), field.secret))


def _push_again(field: AttackSurface) -> None:
    field.visit_push_port(field.lan_attacker.push_again)


def _push_without_secret(field: AttackSurface) -> None:
    """Push a genuine release without knowing the board's secret."""
    field.visit_push_port(lambda at: field.lan_attacker.push(at, field.release(3), bytes(32)))


def _publish_elsewhere(field: AttackSurface) -> None:
    """Publish a release whose image is at a stranger's host, which wants to know who asks."""
    images = json.loads(field.release(3).partition(b"\n")[0])["images"]
    moved = {
        slot: {**image, **{name: field.stranger_url + image[name] for name in ("url", "blocks_url")}}
        for slot, image in images.items()}
    field.intercept(on="blocks/*", raw=_challenge(b"5a" * 16))
    _serve_release(field, field.publisher.offline.sign(_changed(field, images=moved)))


def _change_channel(field: AttackSurface) -> None:
    """Replay an old head to a board that was in another channel meanwhile."""
    settings = field.board_file(_SETTINGS)
    field.put_board_file(_SETTINGS, json.dumps({**json.loads(settings), "channel": "beta"}).encode())
    field.replace_file(
        store.head_name(field.publisher.product, "beta"), _head(field, channel="beta", seq=1, paused=True))
    field.type_line("twoslot.check()")
    field.put_board_file(_SETTINGS, settings)
    _replay(field)


def _freeze_by_304(field: AttackSurface) -> None:
    """Be a cache that nobody updates, when a board checks by itself: its head has not changed."""
    field.type_line(_CALL_TICK)
    field.set_clock(field.now + 40 * _DAY_S)


def _put_older_keys_back(field: AttackSurface) -> None:
    """Put key files of the first epoch on the board, whose online key was stolen."""
    keys = field.published_file(store.keys_name(field.publisher.product, 1))
    for name in _KEYS:
        field.put_board_file(name, keys)
    _serve_head(field, epoch=1)


def _put_unsigned_keys(field: AttackSurface) -> None:
    """Write one unsigned line on the board: keys of the last epoch there is, all of them a stranger's."""
    modulus = base64.b64encode(field.stranger.modulus).decode()
    keys = json.loads(field.board_file(_KEYS[0]).partition(b"\n")[0])
    field.put_board_file(_KEYS[1], json.dumps(
        keys | {"epoch": _SEQ_MAX, "offline": [modulus], "online": modulus}).encode())
    head = Head.from_payload(field.published_file(_head_name(field)).partition(b"\n")[0])
    signed = field.stranger.sign(replace(head, epoch=_SEQ_MAX, seq=_SEQ_MAX).to_payload())
    field.replace_file(_head_name(field), signed.pack())


def _roll_back(field: AttackSurface) -> None:
    _serve_head(field, counter=1, release=split_document(field.release(1)).digest)


BEFORE: Sequence[Attack] = (
    Attack("captive portal", "hostile Wi-Fi", 20, _intercept(raw=_response(PORTAL))),
    Attack("redirect", "hostile Wi-Fi", 8, _intercept(
        raw=b"HTTP/1.1 302 Found\r\nLocation: https://evil.example/\r\nContent-Length: 0\r\n\r\n")),
    Attack("endless data: the head", "in the network path", 9, _intercept(
        on="heads/*", raw=b"HTTP/1.1 200 OK\r\n\r\n", endless=b"x" * 97)),
    Attack("endless data: HTTP headers", "in the network path", 9, _intercept(
        on="heads/*", raw=b"HTTP/1.1 200 OK\r\n", endless=b"X-More: and more\r\n")),
    Attack("mix-and-match: an older block table", "in the network path", 13, lambda field: field.intercept(
        on="blocks/*", raw=_response(blocks.block_table(field.images[1])))),
    Attack("slow retrieval: 10 bytes a second", "in the network path", 11, _intercept(
        on="images/*", raw=_response(bytes(1 << 20)), drip=(10, 1000))),
    Attack("altered image", "in the network path", 12, _intercept(on="images/*", corrupt_byte=2000)),
    Attack("truncated image", "in the network path", 5, _intercept(on="images/*", truncate_at=3000)),
    Attack("mix-and-match: an older image", "in the network path", 12, lambda field: field.intercept(
        on="images/*", raw=_response(field.images[1]))),
    Attack("forged release", "server, stolen online key", 22, _forge),
    Attack("release signed by the online key", "server, stolen online key", 21, _forge_by_online),
    Attack("head signed by a stranger", "in the network path", 21, _sign_by_stranger),
    Attack("mix-and-match: head and release", "server, stolen online key", 37, _mix),
    Attack("another product's head", "server, mixed up", 25, lambda f: _serve_head(f, product="kettle")),
    Attack("another product's release", "server, mixed up", 25, _other_products_release),
    Attack("another board's release", "server, mixed up", 26, _other_board),
    Attack("another channel's head", "server, mixed up", 27, lambda f: _serve_head(f, channel="beta")),
    Attack("rollback: an older release", "server, stolen online key", 28, _roll_back),
    Attack("replay: an old head", "in the network path", 35, _replay),
    Attack(
        "a board's request, sent again", "in the network path", 46, lambda f: None, "twoslot.check()",
        _say_again),
    Attack("another board under this one's name", "a thief's board", 46, _pretend),
    Attack("a challenge with a header of its own", "hostile Wi-Fi", 6, _intercept(
        on="heads/*", raw=_challenge(b"5a\rX-Smuggled: yes"))),
    Attack("an image at a host that wants the MAC", "stranger's server", 46, _publish_elsewhere),
    Attack("replay: after a stay in another channel", "in the network path", 35, _change_channel),
    Attack("push of a development release", "a developer's machine", 21, _push_developed, "twoslot.status()"),
    Attack("that push, sent again", "neighbour on the LAN", 53, _push_again, "twoslot.status()"),
    Attack("push without the secret", "neighbour on the LAN", 54, _push_without_secret, "twoslot.status()"),
    Attack("freeze: today's head, for ever", "in the network path", 34, _freeze),
)
"""While release 3 is offered and release 2 runs."""

FAST_FORWARD = Attack("fast-forward: the last seq there is", "server, stolen online key", 28, _fast_forward)
"""The offered release runs already (28), but the board remembers the seq of the head."""

AFTER: Sequence[Attack] = (
    Attack("rollback below the floor, by hand", "at the REPL", 65, lambda f: None, "twoslot.rollback()"),
    Attack("freeze: nothing new (304), for ever", "in the network path", 34, _freeze_by_304, _CALL_TICK),
)
"""When it runs."""

FLOOD = Attack("a flood of hints to check", "MQTT broker", 28, lambda f: None)
"""Each check that a hint causes ends at the head: nothing is newer (28). There must be few."""

CURED: Sequence[Attack] = (
    Attack(
        "the stolen key, in a new key epoch", "server, stolen online key", 21,
        lambda f: _serve_head(f, seq=9)),
    Attack(
        "the stolen key, as of the old epoch", "server, stolen online key", 21,
        lambda f: _serve_head(f, epoch=1)),
    Attack("older key files, put back", "a hole in the application", 21, _put_older_keys_back),
    Attack("an unsigned line in twoslot.keys2", "a hole in the application", 21, _put_unsigned_keys),
)
"""After the publisher has made a new key epoch, while release 4 runs."""
