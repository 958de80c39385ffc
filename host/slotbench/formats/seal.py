"""Sealed pages (FORMATS 2): one 256-byte flash page of body, seal and open words."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from enum import StrEnum

from slotbench.formats import BLANK, FormatError

PAGE_BYTES = 256
BODY_BYTES = 120
SEAL_BYTES = 8
OPEN_OFFSET = BODY_BYTES + SEAL_BYTES

_BLANK_PAGE = b"\xff" * PAGE_BYTES


class PageState(StrEnum):
    """What a page reads as."""

    VALID = "valid"
    BLANK = "blank"
    GARBAGE = "garbage"


def digest8(data: bytes) -> bytes:
    """The first 8 bytes of SHA-256 over `data`: the seal of pages, log entries and the RTC tail."""
    return hashlib.sha256(data).digest()[:SEAL_BYTES]


def classify_page(page: bytes, magic: bytes) -> PageState:
    """Whether the 256 bytes of `page` are a page of kind `magic`, erased flash, or neither."""
    if page == _BLANK_PAGE:
        return PageState.BLANK
    is_sealed = digest8(page[:BODY_BYTES]) == page[BODY_BYTES:OPEN_OFFSET]
    if len(page) == PAGE_BYTES and page[:4] == magic and is_sealed:
        return PageState.VALID
    return PageState.GARBAGE


def pack_page(body: bytes, open_words: Mapping[int, int]) -> bytes:
    """256 bytes: `body` (120, magic first), its seal, and the open words named by page offset.

    What a writer programs are the first 128 bytes; words that are not named read as erased.
    """
    if len(body) != BODY_BYTES:
        raise ValueError(f"a sealed body has {BODY_BYTES} bytes, not {len(body)}")
    page = bytearray(body + digest8(body) + b"\xff" * (PAGE_BYTES - OPEN_OFFSET))
    for offset, word in open_words.items():
        if offset < OPEN_OFFSET or offset % 4:
            raise ValueError(f"no open word at offset {offset}")
        struct.pack_into("<I", page, offset, word)
    return bytes(page)


def unpack_page(page: bytes, magic: bytes) -> bytes:
    """The 120-byte body of a valid page of kind `magic`.

    Raises FormatError that says why it is not one.
    """
    if len(page) != PAGE_BYTES:
        raise FormatError(f"a page has {PAGE_BYTES} bytes, not {len(page)}", min(len(page), PAGE_BYTES))
    match classify_page(page, magic):
        case PageState.VALID:
            return page[:BODY_BYTES]
        case PageState.BLANK:
            raise FormatError("page is blank", 0)
        case _ if page[:4] != magic:
            raise FormatError(f"magic is {page[:4]!r}, not {magic!r}", 0)
        case _:
            raise FormatError("seal does not match the body", BODY_BYTES)


def open_word(page: bytes, offset: int) -> int:
    """The open word at `offset` of a page."""
    word: int = struct.unpack_from("<I", page, offset)[0]
    return word


def is_set(page: bytes, offset: int) -> bool:
    """Whether the open word at `offset` was set.

    Anything but 0xFFFFFFFF counts, a torn write included.
    """
    return open_word(page, offset) != BLANK


def require_zero(body: bytes, start: int, end: int) -> None:
    """Raise FormatError when a reserved byte of [start, end) is not 0."""
    for offset in range(start, end):
        if body[offset]:
            raise FormatError("reserved byte is not 0", offset)
