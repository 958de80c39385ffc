"""Documents that are well made and in the wrong place: signed by somebody, fetched where another
belongs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from slotbench.formats import blocks
from slotbench.formats.document import Document as Signed
from slotbench.formats.head import Head
from slotbench.formats.release import Release
from slotbench.release import store
from slotbench.release.keys import SigningKey
from support.faulty_server.cases import Resource
from support.testbed import PRODUCT, TestBed

_STRANGER = Path(__file__).parents[2] / "vectors" / "keys" / "test-only-stranger.pem"


@dataclass(frozen=True)
class Forgery:
    """What is served instead of a document, and the code of FORMATS, error codes a board refuses it with."""

    name: str
    document: Resource
    content: bytes
    code: int


NAMES = {
    Resource.HEAD: (
        "channel", "product", "epoch", "older counter", "by the offline key", "by a stranger",
        "by a stranger under the online key's name", "a release", "the keys", "another payload",
    ),
    Resource.RELEASE: (
        "another release", "a head", "by the online key", "by a stranger", "another payload", "the keys",
    ),
    Resource.TABLE: ("of another image", "one entry less", "the image"),
    Resource.IMAGE: ("another image", "the running image", "blocks in another order"),
}
"""Of each document, so that tests have names before there is a test bed."""


class Forger:
    """Makes forgeries in a test bed that offers release 2."""

    def __init__(self, testbed: TestBed) -> None:
        self.testbed = testbed
        self.offline, self.online = testbed.publisher.offline, testbed.publisher.online
        self.stranger = SigningKey.load(_STRANGER)
        site = testbed.publisher.site
        head = site.read(store.head_name(PRODUCT, "stable"))
        assert head is not None
        self.head = Head.from_payload(head.partition(b"\n")[0])
        release = site.read(store.release_name(self.head.release))
        assert release is not None
        self.release = Release.from_payload(release.partition(b"\n")[0])
        self._head, self._release = head, release

    def make(self, document: Resource, name: str) -> Forgery:
        """The forgery of that name."""
        content, code = {
            Resource.HEAD: self._a_head, Resource.RELEASE: self._a_release,
            Resource.TABLE: self._a_table, Resource.IMAGE: self._an_image,
        }[document](name)
        return Forgery(name, document, content, code)

    def signed_head(self, **changes: object) -> bytes:
        """The head with some fields changed, signed by the online key."""
        return self.online.sign(replace(self.head, **changes).to_payload()).pack()  # type: ignore[arg-type]

    def _a_head(self, name: str) -> tuple[bytes, int]:
        payload = self.head.to_payload()
        by_stranger = self.stranger.sign(payload)
        beta = self.online.sign(replace(self.head, channel="beta").to_payload())
        return {
            "channel": (beta.pack(), 27),
            "product": (self.signed_head(product="kettle"), 25),
            "epoch": (self.signed_head(epoch=2), 42),
            "older counter": (self.signed_head(counter=1), 28),
            "by the offline key": (self.offline.sign(payload).pack(), 21),
            "by a stranger": (by_stranger.pack(), 21),
            "by a stranger under the online key's name": (
                Signed(payload, self.online.key_id, by_stranger.signature).pack(), 22),
            "a release": (self._release, 21),
            "the keys": (self.testbed.publisher.keys_path.read_bytes(), 9),
            "another payload": (Signed(payload, beta.key_id, beta.signature).pack(), 22),
        }[name]

    def _a_release(self, name: str) -> tuple[bytes, int]:
        payload = self.release.to_payload()
        other = self.offline.sign(replace(self.release, notes="another one").to_payload())
        return {
            "another release": (other.pack(), 37),
            "a head": (self._head, 21),
            "by the online key": (self.online.sign(payload).pack(), 21),
            "by a stranger": (self.stranger.sign(payload).pack(), 21),
            "another payload": (Signed(payload, other.key_id, other.signature).pack(), 22),
            "the keys": (self.testbed.publisher.keys_path.read_bytes(), 23),
        }[name]

    def _a_table(self, name: str) -> tuple[bytes, int]:
        image = self.testbed.images[2]
        return {
            "of another image": (blocks.block_table(self.testbed.firmware("9.9.9")), 13),
            "one entry less": (blocks.block_table(image)[: -blocks.ENTRY_BYTES], 13),
            "the image": (image[:4096], 13),
        }[name]

    def _an_image(self, name: str) -> tuple[bytes, int]:
        image = self.testbed.images[2]
        swapped = image[4096:8192] + image[:4096] + image[8192:]
        return {
            "another image": (self.testbed.firmware("9.9.9"), 12),
            "the running image": (self.testbed.images[1], 12),
            "blocks in another order": (swapped, 12),
        }[name]
