"""Documents for the device to check: right ones, and ones with one wrong field."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from slotbench.formats import blocks, document
from slotbench.formats.head import Head
from slotbench.formats.release import ImageRef, Release
from slotbench.release import store
from support.device.board import BOARD, CHANNEL, NOW, PRODUCT, firmware, signing_key

COUNTER = 6
"""Counter of the release that is offered."""


def release_fields(image: bytes = b"", **changes: Any) -> dict[str, Any]:
    """A release of `image` that every board of these tests may run."""
    data = image or firmware(2)
    sha256, table = hashlib.sha256(data).hexdigest(), blocks.table_digest(blocks.block_table(data)).hex()
    ref = ImageRef(
        url=store.image_name(sha256), length=len(data), sha256=sha256, blocks=table,
        blocks_url=store.blocks_name(table))
    release = Release(
        product=PRODUCT, boards=(BOARD.name, "d1_mini"), channels=("beta", CHANNEL), version="2.0.0",
        counter=COUNTER, created=NOW, images={"any": ref}, fs_start=BOARD.fs_start, fs_version=0x00020001,
        fs_upgrade=False, mpy_abi=6, floor=3, notes="")
    return _as_read({**json.loads(release.to_payload()), **changes})


def image_changes(**changes: Any) -> dict[str, Any]:
    """`images` of a release with something about its image changed."""
    return {"any": {**release_fields()["images"]["any"], **changes}}


def head_fields(line: bytes, /, **changes: Any) -> dict[str, Any]:
    """A head that offers the release with this line 1 to every board."""
    head = Head(
        product=PRODUCT, channel=CHANNEL, epoch=1, seq=12, release=document.payload_digest(line), counter=COUNTER,
        issued=NOW, expires=NOW + 30 * 86400)
    fields: dict[str, Any] = json.loads(head.to_payload())
    return {**fields, **_as_read(changes)}


def _as_read(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields as a board gets them: lists, where the bench has tuples."""
    read: dict[str, Any] = json.loads(payload(fields))
    return read


def payload(fields: Any) -> bytes:
    """Line 1 of a document."""
    return json.dumps(fields, separators=(",", ":")).encode()


def join(line: bytes, key_id: str, signature: bytes) -> bytes:
    """Both lines, however wrong they are."""
    return line + b"\n" + key_id.encode() + b" " + base64.b64encode(signature) + b"\n"


def signed(fields: Any, key: str) -> bytes:
    """A document signed by one of the test keys; `fields` is the payload's JSON, or the payload itself."""
    made = signing_key(key).sign(fields if isinstance(fields, bytes) else payload(fields))
    return join(made.payload, made.key_id, made.signature)


@dataclass(frozen=True)
class SignedOffer:
    """A release and the head that names it, as a server has them."""

    release: bytes
    head: bytes


def offer(release: dict[str, Any] | None = None, head: dict[str, Any] | None = None) -> SignedOffer:
    """Both documents, each with these changes, each signed by the right key."""
    line = payload(release_fields(**(release or {})))
    return SignedOffer(signed(line, "offline"), signed(head_fields(line, **(head or {})), "online"))
