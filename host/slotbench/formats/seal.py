"""Sealed pages (FORMATS): a flash page of 256 bytes with body, seal and open words."""

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
    """The state of a page."""

    VALID = "valid"
    BLANK = "blank"
    GARBAGE = "garbage"


def digest8(data: bytes) -> bytes:
    """The first 8 bytes of the SHA-256 of `data`. They seal pages, log entries and the RTC tail."""
    return hashlib.sha256(data).digest()[:SEAL_BYTES]


def classify_page(page: bytes, magic: bytes) -> PageState:
    """Whether the 256 bytes of `page` are a valid page with this `magic`, erased flash, or garbage."""
    if page == _BLANK_PAGE:
        return PageState.BLANK
    is_sealed = digest8(page[:BODY_BYTES]) == page[BODY_BYTES:OPEN_OFFSET]
    if len(page) == PAGE_BYTES and page[:4] == magic and is_sealed:
        return PageState.VALID
    return PageState.GARBAGE


def pack_page(body: bytes, open_words: Mapping[int, int]) -> bytes:
    """The 256 bytes of a page: `body` (120 bytes, magic first), its seal, the open words by page offset.

    A writer programs only the first 128 bytes. Open words that are not given read as erased.
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
    """The 120-byte body of a valid page with this `magic`. Raises FormatError with the reason if invalid."""
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
    """Whether the open word at `offset` is set. Every value except 0xFFFFFFFF counts, also a torn one."""
    return open_word(page, offset) != BLANK


def require_zero(body: bytes, start: int, end: int) -> None:
    """Raise FormatError when a reserved byte of [start, end) is not 0."""
    for offset in range(start, end):
        if body[offset]:
            raise FormatError("reserved byte is not 0", offset)
