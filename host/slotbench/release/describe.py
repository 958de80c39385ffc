"""Descriptions of files in words: firmware images, and release, head and keys documents."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from slotbench.formats import FormatError, document
from slotbench.formats import head as head_format
from slotbench.formats import keys as keys_format
from slotbench.formats import release as release_format
from slotbench.formats.fields import kind_of
from slotbench.formats.head import Head
from slotbench.formats.image import Image, parse_e9
from slotbench.formats.image_ea import LINK_ADDRESSES, UserImage, parse_ea
from slotbench.formats.keys import Keys, Role
from slotbench.formats.release import Preflight, Release
from slotbench.formats.segments import E9_MAGIC, EA_MAGIC, WINDOW_END
from slotbench.release import documents
from slotbench.release.files import read_bytes

PREFLIGHT_WORDS: Mapping[Preflight | None, str] = {
    None: "no preflight: built before there was one",
    Preflight.PASSED: "passed on the emulated chip",
    Preflight.FAILED: "FAILED on the emulated chip: not to be signed",
    Preflight.NO_COMPILER: "no preflight: there is no C compiler",
    Preflight.NO_NETWORK: "no preflight: there is no libslirp",
    Preflight.SKIPPED: "no preflight: switched off",
    Preflight.NATIVE: "no preflight: not a map for MicroPython",
    Preflight.BENCH: "no preflight: a bench image, which no chip runs",
}
"""What people are told of a release's preflight."""

_Lines = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Description:
    """The description of a file: a title, (label, words) lines for people, and fields for machines."""

    title: str
    lines: _Lines
    fields: Mapping[str, object]


def describe_file(path: Path, keys: Keys | None = None) -> Description:
    """Describe the file at `path`. With `keys` its signature is checked too.

    Raises FormatError if the file is damaged or of another kind, BenchError if the signature is wrong.
    """
    data = read_bytes(path, 2 * WINDOW_END)
    with documents.naming_file(path):
        if data[:1] == bytes([E9_MAGIC]):
            return _describe_stock_image(parse_e9(data))
        if data[:1] == bytes([EA_MAGIC]):
            return _describe_user_image(parse_ea(data))
        if data[:1] == b"{":
            return _describe_document(data, keys, str(path))
        raise FormatError("neither an ESP8266 image nor a document of twoslot", 0)


def _describe_stock_image(image: Image) -> Description:
    if image.fs_start is None:
        start = "not shown by the image; give --fs-start when you build a release"
    else:
        start = f"0x{image.fs_start:x} (inferred from the layouts of MicroPython's builds)"
    lines = (
        *_common_lines(image),
        ("length word", "none" if image.length_word is None else str(image.length_word)),
        ("MD5 trailer", "valid" if image.md5_ok else "none"),
        ("MicroPython", image.micropython or "no version found"),
        ("filesystem start", start),
    )
    return Description("ESP8266 firmware image", lines, _image_fields(image))


def _describe_user_image(image: UserImage) -> Description:
    if image.irom_address is None:
        linked = "not shown by the image; only its author knows the slot"
    else:
        number = 1 if image.irom_address == LINK_ADDRESSES[0] else 2
        linked = f"0x{image.irom_address:08x}, user{number}.bin (inferred from pointers into it)"
    lines = (*_common_lines(image), ("irom linked for", linked), ("CRC32 trailer", "valid"))
    return Description("ESP8266 user image (EA), linked for one slot", lines, _image_fields(image))


def _common_lines(image: Image | UserImage) -> _Lines:
    segments = ", ".join(f"0x{s.address:08x} ({len(s.data)} bytes)" for s in image.segments)
    return (
        ("length", f"{image.length} bytes"),
        ("entry", f"0x{image.entry:08x}"),
        ("RAM segments", f"{segments}; checksum valid"),
        ("irom", f"{image.irom_bytes} bytes from 0x{image.irom_offset:x}"),
    )


def _image_fields(image: Image | UserImage) -> dict[str, object]:
    """The fields of an image for `--json`."""
    fields = {key: value for key, value in asdict(image).items() if key != "segments"}
    segments = [{"address": s.address, "bytes": len(s.data)} for s in image.segments]
    return {"kind": "image", **fields, "segments": segments}


def _describe_document(data: bytes, keys: Keys | None, where: str) -> Description:
    payload = document.read_payload(data)
    kind = kind_of(payload)
    if kind not in _KINDS:
        raise FormatError(f"{kind} is not a kind of twoslot document", field="kind")
    role, words = _KINDS[kind]
    lines = words(payload)
    signed = document.split_document(data) if document.is_signed(data) else None
    key_id = signed.key_id if signed else None
    state, signature = None, "none yet"
    if signed and keys:
        documents.check_signature(signed, keys, role, where)
        state, signature = "valid", f"valid, by the {role} key ({key_id})"
    elif signed:
        state, signature = "not checked", f"not checked; give --keys to check it ({key_id})"
    digest = document.payload_digest(payload)
    lines += (("digest", digest), ("signature", signature))
    fields = json.loads(payload) | {"digest": digest, "key_id": key_id, "signature": state}
    return Description(f"{kind} document", lines, fields)


def _release_lines(payload: bytes) -> _Lines:
    release = Release.from_payload(payload)
    images = tuple(
        (f"image {key}", f"{image.length} bytes, SHA-256 {image.sha256}, at {image.url}")
        for key, image in release.images.items()
    )
    major, minor = release.fs_version >> 16, release.fs_version & 0xFFFF
    upgrade = ", upgrade intended" if release.fs_upgrade else ""
    littlefs = f"from 0x{release.fs_start:x}, littlefs {major}.{minor}{upgrade}"
    return (
        ("product", release.product),
        ("version", f"{release.version}, counter {release.counter}"),
        ("created", _format_time(release.created)),
        ("boards", ", ".join(release.boards)),
        ("channels", ", ".join(release.channels)),
        *images,
        ("filesystem", littlefs if release.fs_start else "none"),
        (".mpy version", str(release.mpy_abi) if release.mpy_abi else "none"),
        ("floor", f"{release.floor} once confirmed" if release.floor else "none"),
        ("notes", release.notes or "none"),
        ("preflight", PREFLIGHT_WORDS[release.preflight]),
    )


def _head_lines(payload: bytes) -> _Lines:
    head = Head.from_payload(payload)
    return (
        ("product", head.product),
        ("channel", head.channel),
        ("release", f"counter {head.counter}, digest {head.release}"),
        ("seq", f"{head.seq} of key epoch {head.epoch}"),
        ("issued", _format_time(head.issued)),
        ("expires", _format_time(head.expires)),
        ("rollout", head.audience()),
        *([("interval", f"boards poll every {head.interval_s} s")] if head.interval_s else []),
    )


def _keys_lines(payload: bytes) -> _Lines:
    keys = Keys.from_payload(payload)
    return (
        ("product", keys.product),
        ("epoch", f"{keys.epoch}, issued {_format_time(keys.issued)}"),
        *(("offline key", document.key_id(modulus)) for modulus in keys.offline),
        ("online key", document.key_id(keys.online)),
    )


_KINDS: dict[str, tuple[Role, Callable[[bytes], _Lines]]] = {
    release_format.KIND: (Role.OFFLINE, _release_lines),
    head_format.KIND: (Role.ONLINE, _head_lines),
    keys_format.KIND: (Role.OFFLINE, _keys_lines),
}


def _format_time(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
