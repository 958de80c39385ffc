"""Golden files of an in-place map: a pair of user images, their block tables, a release that has both."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import asdict

from golden.common import CHANNEL, PRODUCT, Files, stream, text_of
from golden.served import signers
from slotbench.formats import blocks
from slotbench.formats.descriptor import ImageForm
from slotbench.formats.image_ea import build_ea, parse_ea
from slotbench.formats.release import ImageRef, Release
from slotbench.release import store

LINKED = {"user1": 0x40201010, "user2": 0x40241010}
"""Of the map of 512 KB."""


def user_image(name: str) -> bytes:
    """A small image, linked for its slot: the same code, other addresses in the table at its beginning."""
    irom = bytearray(stream("user irom", 2 * 4096 + 1237))
    struct.pack_into("<64I", irom, 64, *(LINKED[name] + 32 * index for index in range(64)))
    segments = [(0x40100000, stream("user iram", 2048)), (0x3FFE8000, stream("user dram", 333))]
    return build_ea(segments, 0x40100420, bytes(irom), flash_mode=2)


def native_files() -> Files:
    """native/: what a board with an in-place map is offered."""
    files: Files = {}
    refs = {}
    for key, name in zip("ab", LINKED):
        image = user_image(name)
        table = blocks.block_table(image)
        sha256, table_sha256 = hashlib.sha256(image).hexdigest(), blocks.table_digest(table).hex()
        says = asdict(parse_ea(image))
        says["segments"] = [
            {"address": segment["address"], "bytes": len(segment["data"])} for segment in says["segments"]]
        files[f"native/{name}.bin"] = image
        files[f"native/{name}.blocks"] = table
        files[f"native/{name}.json"] = text_of(says | {"sha256": sha256, "blocks_sha256": table_sha256})
        refs[key] = ImageRef(
            url=store.image_name(sha256), length=len(image), sha256=sha256, blocks=table_sha256,
            blocks_url=store.blocks_name(table_sha256), form=ImageForm.EA)
    payload = Release(
        product=PRODUCT, boards=("native_512k",), channels=(CHANNEL,), version="2.0.0", counter=8,
        created=1_750_000_000, images=refs, fs_start=0, fs_version=0, fs_upgrade=False, mpy_abi=0, floor=0,
        notes="",
    ).to_payload()
    signed = signers()["release"].sign(payload)
    files["native/release.release"] = signed.pack()
    files["native/release.json"] = text_of({
        "fields": json.loads(payload), "digest": signed.digest, "key_id": signed.key_id,
        "signature": signed.signature.hex(),
    })
    return files
