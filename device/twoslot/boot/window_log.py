# The log of the loader's exec window (FORMATS.md).
from hashlib import sha256

from twoslot.boot.page import is_blank
from twoslot.constants import BLOCK, PAGE


def tidy(slots):
    """Erase the window log when it is half full or an entry is torn.

    In-place maps have none.
    """
    if not slots.log:
        return
    page = bytearray(PAGE)
    erase = False
    for at in range(0, BLOCK, PAGE):
        slots.flash.read(slots.log + at, page)
        for i in range(0, PAGE, 16):
            entry = page[i : i + 16]
            if is_blank(entry):
                continue
            # Half full, or neither held nor zeroed: the loader could run out of entries.
            whole = entry[:1] == b"H" and entry[8:] == sha256(entry[:8]).digest()[:8]
            if at >= BLOCK // 2 or not (whole or entry == bytes(16)):
                erase = True
    if erase:
        slots.flash.erase(slots.log)
