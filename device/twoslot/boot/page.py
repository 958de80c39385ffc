# Sealed pages, of which journal cells and slot descriptors are made (FORMATS.md): 120 bytes of
# body, a seal, and open words, which can be set one by one later.
from hashlib import sha256

from twoslot import codes
from twoslot.errors import FlashError


def is_valid(page, magic, body=120):
    """True when a page carries this magic and the seal behind its body is right."""
    return page[:4] == magic and page[body : body + 8] == sha256(page[:body]).digest()[:8]


def seal(page):
    """Write the seal of a page's body into it."""
    page[120:128] = sha256(page[:120]).digest()[:8]


def is_set(page, offset):
    """True when an open word was set: anything but all ones counts."""
    return page[offset : offset + 4] != b"\xff\xff\xff\xff"


def is_blank(page):
    """True when nothing was written since the erase."""
    for b in page:
        if b != 0xFF:
            return False
    return True


def set_word(flash, addr):
    """Program an open word to 0 and read it back."""
    word = bytearray(4)
    flash.write(addr, word)
    flash.read(addr, word)
    if word == b"\xff\xff\xff\xff":
        raise FlashError(codes.FLASH_MISMATCH, addr)
