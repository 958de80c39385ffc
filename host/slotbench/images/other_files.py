"""Files that are no ESP8266 image: what they are, by their first bytes."""

from __future__ import annotations

import string
from typing import Final, NamedTuple


class OtherFile(NamedTuple):
    """What a file is, and what to do instead."""

    title: str
    cure: str


_GIVE_BIN: Final = "give a firmware .bin for the ESP8266"
_UNPACK: Final = "unpack it and give the .bin in it"
_DOWNLOAD: Final = "the download failed: get the file again, and look at it before"
_FIRST_BYTES: Final = (
    (b"\x1f\x8b", "a gzip file", _UNPACK),
    (b"PK\x03\x04", "a ZIP archive", _UNPACK),
    (b"\x7fELF", "an ELF file, the output of the linker", "give the .bin that makeimg.py makes of it"),
    (b"UF2\n", "a UF2 file, which is for other chips", _GIVE_BIN),
    (b"DfuSe", "a DFU file, which is for STM32 chips", _GIVE_BIN),
    (b":", "an Intel HEX file", _GIVE_BIN),
    (b"FCFB", "firmware for an NXP i.MX RT chip", _GIVE_BIN),
    (b"-----BEGIN", "a key or a certificate", _GIVE_BIN),
)
_HTML: Final = (b"<!doctype", b"<html")
_DOCUMENT: Final = b'{"'
_PRINTABLE: Final = frozenset(string.printable.encode())
_TEXT_BYTES: Final = 512


def name_other_file(data: bytes) -> OtherFile | None:
    """The kind of a file that is no firmware; None if its first bytes do not tell."""
    if not data:
        return OtherFile("an empty file", "get the file again")
    if not data.strip(b"\xff"):
        return OtherFile("blank flash: every byte is 0xff", _GIVE_BIN)
    head = data[:_TEXT_BYTES]
    is_text = _is_text(head)
    for first, title, cure in _FIRST_BYTES:
        if data.startswith(first) and (first != b":" or is_text):
            return OtherFile(title, cure)
    if head.lstrip().lower().startswith(_HTML):
        return OtherFile("a web page", _DOWNLOAD)
    if is_text and data.startswith(_DOCUMENT):
        cure = "give a firmware .bin; `slotbench release show` shows documents"
        return OtherFile("a JSON document", cure)
    if is_text:
        return OtherFile("a text file", _GIVE_BIN)
    return None


def _is_text(head: bytes) -> bool:
    """Whether bytes are UTF-8 without control characters. The last character may be cut."""
    words = head.decode(errors="replace")
    return "\ufffd" not in words[:-1] and all(byte in _PRINTABLE or byte >= 0x80 for byte in head)
