"""What a file is, in words: a firmware image, or a release, head or keys document."""

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
    Preflight.SKIPPED: "no preflight: not wanted",
    Preflight.NATIVE: "no preflight: not a map for MicroPython",
    Preflight.BENCH: "no preflight: a bench image, which no chip runs",
}
"""What people are told of a release's preflight."""

_Lines = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Description:
    """A file described: `title`, (label, words) `lines` for people, `fields` for machines."""

    title: str
    lines: _Lines
    fields: Mapping[str, object]


def describe(path: Path, keys: Keys | None = None) -> Description:
    """What the file at `path` is. With `keys` its signature is checked as well.

    Raises FormatError when it is none of these or damaged, BenchError when the signature is wrong.
    """
    data = read_bytes(path, 2 * WINDOW_END)
    with documents.naming(path):
        if data[:1] == bytes([E9_MAGIC]):
            return _image(parse_e9(data))
        if data[:1] == bytes([EA_MAGIC]):
            return _user_image(parse_ea(data))
        if data[:1] == b"{":
            return _document(data, keys, str(path))
        raise FormatError("neither an ESP8266 image nor a document of twoslot", 0)


def _image(image: Image) -> Description:
    if image.fs_start is None:
        start = "not told by the image; give --fs-start when you build a release"
    else:
        start = f"0x{image.fs_start:x} (inferred from the layouts of MicroPython's builds)"
    lines = (
        *_common(image),
        ("length word", "none" if image.length_word is None else str(image.length_word)),
        ("MD5 trailer", "right" if image.md5_ok else "none"),
        ("MicroPython", image.micropython or "no version found"),
        ("filesystem start", start),
    )
    return Description("ESP8266 firmware image", lines, _fields(image))


def _user_image(image: UserImage) -> Description:
    if image.irom_address is None:
        linked = "not told by the image; you have to know which slot it is for"
    else:
        number = 1 if image.irom_address == LINK_ADDRESSES[0] else 2
        linked = f"0x{image.irom_address:08x}, user{number}.bin (inferred from pointers into it)"
    lines = (*_common(image), ("irom linked for", linked), ("CRC32 trailer", "right"))
    return Description("ESP8266 user image (EA), linked for one slot", lines, _fields(image))


def _common(image: Image | UserImage) -> _Lines:
    segments = ", ".join(f"0x{s.address:08x} ({len(s.data)} bytes)" for s in image.segments)
    return (
        ("length", f"{image.length} bytes"),
        ("entry", f"0x{image.entry:08x}"),
        ("RAM segments", f"{segments}; checksum right"),
        ("irom", f"{image.irom_bytes} bytes from 0x{image.irom_offset:x}"),
    )


def _fields(image: Image | UserImage) -> dict[str, object]:
    """What `--json` prints of an image."""
    fields = {key: value for key, value in asdict(image).items() if key != "segments"}
    segments = [{"address": s.address, "bytes": len(s.data)} for s in image.segments]
    return {"kind": "image", **fields, "segments": segments}


def _document(data: bytes, keys: Keys | None, where: str) -> Description:
    payload = document.split_unsigned(data)
    kind = kind_of(payload)
    if kind not in _KINDS:
        raise FormatError(f"a {kind} is no document of twoslot", field="kind")
    role, words = _KINDS[kind]
    lines = words(payload)
    signed = document.split(data) if document.is_signed(data) else None
    key_id = signed.key_id if signed else None
    state, signature = None, "none yet"
    if signed and keys:
        documents.check_signature(signed, keys, role, where)
        state, signature = "right", f"right, by the {role} key ({key_id})"
    elif signed:
        state, signature = "not checked", f"there, not checked: give --keys ({key_id})"
    digest = document.digest(payload)
    lines += (("digest", digest), ("signature", signature))
    fields = json.loads(payload) | {"digest": digest, "key_id": key_id, "signature": state}
    return Description(f"{kind} document", lines, fields)


def _release(payload: bytes) -> _Lines:
    release = Release.from_payload(payload)
    images = tuple(
        (f"image {key}", f"{image.length} bytes, SHA-256 {image.sha256}, at {image.url}")
        for key, image in release.images.items()
    )
    major, minor = release.fs_version >> 16, release.fs_version & 0xFFFF
    upgrade = ", upgrade meant" if release.fs_upgrade else ""
    littlefs = f"from 0x{release.fs_start:x}, littlefs {major}.{minor}{upgrade}"
    return (
        ("product", release.product),
        ("version", f"{release.version}, counter {release.counter}"),
        ("created", _time(release.created)),
        ("boards", ", ".join(release.boards)),
        ("channels", ", ".join(release.channels)),
        *images,
        ("filesystem", littlefs if release.fs_start else "none"),
        (".mpy version", str(release.mpy_abi) if release.mpy_abi else "none"),
        ("floor", f"{release.floor} once confirmed" if release.floor else "none"),
        ("notes", release.notes or "none"),
        ("preflight", PREFLIGHT_WORDS[release.preflight]),
    )


def _head(payload: bytes) -> _Lines:
    head = Head.from_payload(payload)
    return (
        ("product", head.product),
        ("channel", head.channel),
        ("release", f"counter {head.counter}, digest {head.release}"),
        ("seq", f"{head.seq} of key epoch {head.epoch}"),
        ("issued", _time(head.issued)),
        ("expires", _time(head.expires)),
        ("rollout", head.audience()),
        *([("interval", f"{head.interval_s} s between two looks")] if head.interval_s else []),
    )


def _keys(payload: bytes) -> _Lines:
    keys = Keys.from_payload(payload)
    return (
        ("product", keys.product),
        ("epoch", f"{keys.epoch}, issued {_time(keys.issued)}"),
        *(("offline key", document.key_id(modulus)) for modulus in keys.offline),
        ("online key", document.key_id(keys.online)),
    )


_KINDS: dict[str, tuple[Role, Callable[[bytes], _Lines]]] = {
    release_format.KIND: (Role.OFFLINE, _release),
    head_format.KIND: (Role.ONLINE, _head),
    keys_format.KIND: (Role.OFFLINE, _keys),
}


def _time(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
