"""Descriptions of documents in words: release, head and keys. Of a firmware image, what it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from slotbench.formats import FormatError, document
from slotbench.formats import application as application_format
from slotbench.formats import head as head_format
from slotbench.formats import keys as keys_format
from slotbench.formats import release as release_format
from slotbench.formats.application import ApplicationDocument
from slotbench.formats.fields import date_words, kind_of
from slotbench.formats.head import Head
from slotbench.formats.keys import Keys, Role
from slotbench.formats.release import Preflight, Release
from slotbench.formats.twoslot_version import twoslot_words, version_text
from slotbench.images import Family, identify
from slotbench.release import documents
from slotbench.release.files import read_bytes
from slotbench.shell_words import quoted

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

_FILE_BYTES_MAX = 16 * 1024 * 1024
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
    data = read_bytes(path, _FILE_BYTES_MAX)
    with documents.naming_file(path):
        if data[:1] == b"{":
            return _describe_document(data, keys, str(path))
        return _describe_image(data, path)


def _describe_image(data: bytes, path: Path) -> Description:
    """What an image is. `slotbench inspect` has the details."""
    found = identify(data)
    if found.family is Family.NO_FIRMWARE:
        raise FormatError(f"{found.title}, neither an ESP8266 image nor a document of twoslot", 0)
    refused = (("refused", found.problem),) if found.problem is not None else ()
    lines = (("length", f"{found.length} bytes"), *refused, ("details", f"slotbench inspect {quoted(path)}"))
    fields = {"kind": "image", "title": found.title, "length": found.length, "problem": found.problem}
    return Description(found.title, lines, fields)


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
        ("created", date_words(release.created)),
        ("boards", ", ".join(release.boards)),
        ("channels", ", ".join(release.channels)),
        *images,
        ("filesystem", littlefs if release.fs_start else "none"),
        (".mpy version", str(release.mpy_abi) if release.mpy_abi else "none"),
        ("twoslot", "not said" if release.twoslot is None else twoslot_words(release.twoslot)),
        ("floor", f"{release.floor} once confirmed" if release.floor else "none"),
        ("notes", release.notes or "none"),
        ("preflight", PREFLIGHT_WORDS[release.preflight]),
    )


def _application_lines(payload: bytes) -> _Lines:
    made = ApplicationDocument.from_payload(payload)
    needs = "any firmware" if not made.firmware_low else f"a firmware from counter {made.firmware_low}"
    if made.firmware_high:
        needs += f" to {made.firmware_high}"
    return (
        ("product", made.product),
        ("version", f"{made.version}, counter {made.counter}"),
        ("created", date_words(made.created)),
        ("boards", ", ".join(made.boards)),
        ("channels", ", ".join(made.channels)),
        ("files", f"{made.files}, {made.size} bytes, in lists/{made.list_sha256}.list"),
        ("needs", needs),
        (".mpy version", str(made.mpy_abi) if made.mpy_abi else "any: it has no .mpy"),
        *([("twoslot", f"{version_text(made.twoslot)}, without the loader")] if made.twoslot else ()),
        ("data", f"layout {made.data}" if made.data else "none"),
        ("floor", f"{made.floor} once confirmed" if made.floor else "none"),
        ("notes", made.notes or "none"),
        ("preflight", PREFLIGHT_WORDS[made.preflight]),
    )


def _head_lines(payload: bytes) -> _Lines:
    head = Head.from_payload(payload)
    return (
        ("product", head.product),
        ("channel", head.channel),
        ("release", f"counter {head.counter}, digest {head.release}" if head.counter else "none"),
        *([("application", f"counter {head.app_counter}, digest {head.app}")] if head.app else []),
        ("seq", f"{head.seq} of key epoch {head.epoch}"),
        ("issued", date_words(head.issued)),
        ("expires", date_words(head.expires)),
        ("rollout", head.audience()),
        *([("interval", f"boards poll every {head.interval_s} s")] if head.interval_s else []),
    )


def _keys_lines(payload: bytes) -> _Lines:
    keys = Keys.from_payload(payload)
    return (
        ("product", keys.product),
        ("epoch", f"{keys.epoch}, issued {date_words(keys.issued)}"),
        *(("offline key", document.key_id(modulus)) for modulus in keys.offline),
        ("online key", document.key_id(keys.online)),
    )


_KINDS: dict[str, tuple[Role, Callable[[bytes], _Lines]]] = {
    release_format.KIND: (Role.OFFLINE, _release_lines),
    application_format.KIND: (Role.OFFLINE, _application_lines),
    head_format.KIND: (Role.ONLINE, _head_lines),
    keys_format.KIND: (Role.OFFLINE, _keys_lines),
}
