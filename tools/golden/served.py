"""Golden files of what a server hands out: an image, signed documents, forgeries of them, the rollout."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import asdict, replace

from golden.common import CHANNEL, PRODUCT, VECTORS, Files, stream, text_of
from slotbench.formats import blocks, document, journal
from slotbench.formats.application import ApplicationDocument
from slotbench.formats.fields import NAME_CHARS_MAX
from slotbench.formats.file_list import FileEntry, pack_list
from slotbench.formats.head import HEAD_BYTES_MAX, NO_RELEASE, Head, rollout_place
from slotbench.formats.image import build_e9, parse_e9
from slotbench.formats.keys import Keys
from slotbench.formats.release import ImageRef, Release
from slotbench.release import store
from slotbench.release.keys import SigningKey


def firmware() -> bytes:
    """A small image: two RAM segments, irom with the filesystem's literal and a banner, an odd length."""
    irom = bytearray(stream("irom", 3 * 4096 + 1237))
    struct.pack_into("<I", irom, 64, 0x100000)
    irom[128:160] = b"v1.25.0 on 2025-04-15".ljust(32, b"\0")
    segments = [(0x40100000, stream("iram", 2048)), (0x3FFE8000, stream("dram", 333))]
    return build_e9(segments, 0x40100420, bytes(irom))


def image_files() -> Files:
    """images/: an image, its block table, and what they say."""
    image = firmware()
    table = blocks.block_table(image)
    parsed = asdict(parse_e9(image))
    parsed["segments"] = [
        {"address": segment["address"], "bytes": len(segment["data"])} for segment in parsed["segments"]]
    says = {
        # Not of the codec: what firmware() put there.
        **parsed, "fs_start": 0x100000, "micropython": "1.25.0", "sha256": hashlib.sha256(image).hexdigest(),
        "blocks": [table[i:i + 16].hex() for i in range(0, len(table), 16)],
        "blocks_sha256": blocks.table_digest(table).hex(),
    }
    return {
        "images/firmware.bin": image, "images/firmware.blocks": table,
        "images/firmware.json": text_of(says),
    }


def test_key(name: str) -> SigningKey:
    """One of the keys that everybody knows."""
    return SigningKey.load(VECTORS / "keys" / f"test-only-{name}.pem")


def payloads() -> dict[str, bytes]:
    """A release, a head and a keys document that belong together."""
    image = firmware()
    sha256, table = hashlib.sha256(image).hexdigest(), blocks.table_digest(blocks.block_table(image)).hex()
    ref = ImageRef(
        url=store.image_name(sha256), length=len(image), sha256=sha256,
        blocks=table, blocks_url=store.blocks_name(table),
    )
    release = Release(
        product=PRODUCT, boards=("generic_4m", "d1_mini"), channels=(CHANNEL, "beta"), version="1.25.0",
        counter=7, created=1_750_000_000, images={"any": ref}, fs_start=0x100000, fs_version=0x00020001,
        fs_upgrade=False, mpy_abi=6, floor=3, notes="Second line of the greenhouse; caf\u00e9 \u2713",
    ).to_payload()
    head = Head(
        product=PRODUCT, channel=CHANNEL, epoch=1, seq=12, release=document.payload_digest(release),
        counter=7,
        issued=1_750_000_100, expires=1_752_592_100, percent=40, cohorts=("early", "lab"),
    ).to_payload()
    keys = Keys(
        product=PRODUCT, epoch=1, issued=1_749_000_000,
        offline=(test_key("offline").modulus,), online=test_key("online").modulus,
    ).to_payload()
    return {"release": release, "head": head, "keys": keys}


def longest_head() -> bytes:
    """The head with as many cohorts as fit. The last name is shorter, so that no byte is left."""
    head = Head.from_payload(payloads()["head"])
    room = HEAD_BYTES_MAX - document.SIGNED_LINES_BYTES - len(head.to_payload())
    whole, rest = divmod(room, len(',""') + NAME_CHARS_MAX)
    names = [f"greenhouse-{number:02d}".ljust(NAME_CHARS_MAX, "-") for number in range(whole)]
    names.append("last".ljust(rest - len(',""'), "-"))
    return replace(head, cohorts=(*head.cohorts, *names)).to_payload()


def application_list() -> bytes:
    """A file list whose order is not that of the bytes: `/` comes first."""
    sizes = {
        "main.py": 700, "lib/dht.mpy": 1100, "lib/a.mpy": 900, "lib.py": 600, "lib-old.py": 1000,
        "web/index page.html": 1900, "empty.txt": 0,
    }
    return pack_list(
        FileEntry(path, size, hashlib.sha256(path.encode()).hexdigest()) for path, size in sizes.items())


def application_payloads() -> dict[str, tuple[str, bytes]]:
    """An application, a head that names it beside the release, and one that names it alone."""
    listed = application_list()
    application = ApplicationDocument(
        product=PRODUCT, boards=("generic_4m", "esp01s_1m"), channels=(CHANNEL,), version="2.4",
        counter=11, created=1_750_000_050, list_sha256=hashlib.sha256(listed).hexdigest(),
        list_length=len(listed), files=listed.count(b"\n"), size=6200, firmware_low=7, firmware_high=9,
        mpy_abi=6, data=2, floor=4, notes="Lamp, dimmed.",
    ).to_payload()
    both = replace(
        Head.from_payload(payloads()["head"]), app=document.payload_digest(application), app_counter=11)
    alone = replace(both, release=NO_RELEASE, counter=0)
    return {
        "application": ("application", application), "both": ("head", both.to_payload()),
        "app_alone": ("head", alone.to_payload()),
        "devices": ("head", replace(both, percent=0, devices=("lamp-7", "4a7e1c01")).to_payload()),
    }


def signers() -> dict[str, SigningKey]:
    """The key that signs each kind."""
    offline = test_key("offline")
    return {"release": offline, "keys": offline, "application": offline, "head": test_key("online")}


def document_files() -> Files:
    """documents/: signed as they should be."""
    files: Files = {}
    named = {kind: (kind, payload) for kind, payload in payloads().items()}
    named["longest"] = "head", longest_head()
    with_twoslot = replace(Release.from_payload(named["release"][1]), twoslot=0x00010203)
    named.update(application_payloads())
    named["frozen"] = "release", with_twoslot.to_payload()
    for name, (kind, payload) in named.items():
        signed = signers()[kind].sign(payload)
        files[f"documents/{name}.{kind}"] = signed.pack()
        files[f"documents/{name}.json"] = text_of({
            "fields": json.loads(payload), "digest": signed.digest, "key_id": signed.key_id,
            "signature": signed.signature.hex(),
        })
    return files


def raw_signature(key: SigningKey, block: bytes) -> bytes:
    """What RSA makes of any 384-byte block, right padding or not."""
    numbers = key.private.private_numbers()
    value = pow(int.from_bytes(block, "big"), numbers.d, numbers.public_numbers.n)
    return value.to_bytes(384, "big")


def forged_blocks(payload: bytes) -> dict[str, bytes]:
    """Blocks that a careless verifier takes for right."""
    right = document.padded_block(payload)
    hashed = right[-51:]
    sha1 = bytes.fromhex("3021300906052b0e03021a05000414") + hashlib.sha1(payload).digest()
    return {
        "padding_short": b"\x00\x01" + b"\xff" * 8 + b"\x00" + hashed + bytes(384 - 11 - 51),
        "padding_zero": b"\x00\x01" + b"\xff" * 8 + bytes(384 - 10 - 51) + hashed,
        "padding_type_2": b"\x00\x02" + right[2:],
        "hash_bare": b"\x00\x01" + b"\xff" * (384 - 35) + b"\x00" + right[-32:],
        "hash_sha1": b"\x00\x01" + b"\xff" * (384 - 38) + b"\x00" + sha1,
    }


def signature_plus_modulus(key: SigningKey, release: bytes) -> bytes:
    """A right signature with n added: the same number modulo n, and still 384 bytes long."""
    n = int.from_bytes(key.modulus, "big")
    for floor in range(8):
        signed = key.sign(release.replace(b'"floor":3', b'"floor":%d' % floor))
        value = int.from_bytes(signed.signature, "big") + n
        if value < 1 << 3072:
            return document.join_document(signed.payload, signed.key_id, value.to_bytes(384, "big"))
    raise AssertionError("no signature is small enough")


def tampered() -> dict[str, tuple[str, bytes, tuple[int, ...]]]:
    """Name -> kind it is offered as, bytes, error codes that fit."""
    made = payloads()
    release, head = made["release"], made["head"]
    offline, online, stranger = (test_key(name) for name in ("offline", "online", "stranger"))
    good = offline.sign(release)
    whole = good.pack()
    flipped = bytearray(whole)
    flipped[whole.index(b'"counter":7') + 10] ^= 1
    signature = bytearray(good.signature)
    signature[200] ^= 0x10
    line_2 = whole.index(b"\n") + 1
    cases: dict[str, tuple[str, bytes, tuple[int, ...]]] = {
        "payload_flipped": ("release", bytes(flipped), (22,)),
        "signature_flipped": (
            "release", document.join_document(release, good.key_id, bytes(signature)), (22,)),
        "signature_zero": ("release", document.join_document(release, good.key_id, bytes(384)), (22,)),
        "signature_modulus": (
            "release", document.join_document(release, good.key_id, offline.modulus), (22,)),
        "signature_of_head": (
            "release", document.join_document(release, good.key_id, offline.sign(head).signature), (22,)),
        "release_by_online": ("release", online.sign(release).pack(), (21,)),
        "release_by_stranger": ("release", stranger.sign(release).pack(), (21,)),
        "release_by_stranger_renamed": (
            "release", document.join_document(release, good.key_id, stranger.sign(release).signature), (22,)),
        "head_by_offline": ("head", offline.sign(head).pack(), (21,)),
        "keys_by_online": ("keys", online.sign(made["keys"]).pack(), (21,)),
        "release_as_head": ("head", online.sign(release).pack(), (23,)),
        "head_as_release": ("release", offline.sign(head).pack(), (23,)),
        "format_2": (
            "release", offline.sign(release.replace(b'"format":1', b'"format":2')).pack(), (24,)),
        "unsigned": ("release", release + b"\n", (20,)),
        "truncated": ("release", whole[:-100], (20,)),
        "no_last_newline": ("release", whole[:-1], (20,)),
        "signature_short": ("release", whole[:-5] + b"\n", (20,)),
        "signature_long": ("release", whole[:-1] + b"AAAA\n", (20,)),
        "key_id_upper": ("release", whole[:line_2] + whole[line_2:line_2 + 16].upper() + whole[line_2 + 16:],
                         (20, 21)),
        "empty": ("release", b"", (20,)),
        "not_json": ("release", offline.sign(b'{"kind":"release",').pack(), (20,)),
        "too_long": ("release", release[:-1] + b" " * 3000 + whole[line_2 - 2:], (9, 20)),
        "application_by_online": (
            "application", online.sign(application_payloads()["application"][1]).pack(), (21,)),
        "release_as_application": ("application", good.pack(), (23,)),
        "application_as_release": (
            "release", offline.sign(application_payloads()["application"][1]).pack(), (23,)),
        "head_too_long": ("head", online.sign(longest_head()[:-1] + b" }").pack(), (9, 20)),
        "signature_plus_modulus": ("release", signature_plus_modulus(offline, release), (22,)),
    }
    for name, block in forged_blocks(release).items():
        forged = document.join_document(release, good.key_id, raw_signature(offline, block))
        cases[name] = ("release", forged, (22,))
    return cases


def tampered_files() -> Files:
    """tampered/: what must be refused."""
    files: Files = {}
    for name, (kind, data, codes) in tampered().items():
        files[f"tampered/{name}.bin"] = data
        files[f"tampered/{name}.json"] = text_of({"offered_as": kind, "codes": codes})
    return files


def rollout_files() -> Files:
    """rollout.json: who comes when, and the tag that ties head_seq to a channel."""
    digest = document.payload_digest(payloads()["release"])
    app = document.payload_digest(application_payloads()["application"][1])
    ids = [f"{number:06x}" for number in (0, 1, 0xBADA55, 0xFFFFFF)] + ["greenhouse-north", "caf\u00e9"]
    return {"rollout.json": text_of({
        "release": digest,
        "places": {device_id: rollout_place(digest, device_id) for device_id in ids},
        "channel_tags": {
            f"{product}/{channel}": journal.channel_tag(product, channel)
            for product, channel in ((PRODUCT, CHANNEL), (PRODUCT, "beta"), ("a", "b"))
        },
    }), "rollout_app.json": text_of({
        "release": digest, "app": app,
        "places": {device_id: rollout_place(digest, device_id, app) for device_id in ids},
    })}
