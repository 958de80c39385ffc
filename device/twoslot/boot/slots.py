# The flash map and what lies in the two slots: descriptors, block tables, the window log. Decides nothing.
import struct

from hashlib import sha256
from micropython import const

from twoslot.errors import FlashError
from twoslot.boot.journal import is_blank, is_set, seal, set_word, valid

_MAP = const(0xFB8)  # in the loader's sector: the flash map this board was set up with (FORMATS.md 1.1)
_BODY = "<4sBBHII32sIIII32s16s8x"
_SEALED = const(128)
_PAGE = const(256)
_CONFIRMED_WORD = const(128)
_BAD_WORD = const(132)


class Descriptor:
    """What a slot holds: enough to judge it without any journal."""

    def __init__(self, page):
        (_, self.slot, self.form, _, self.counter, self.length, self.sha256, self.floor, self.fs_start,
         self.fs_version, self.mpy_abi, product, version) = struct.unpack_from(_BODY, page, 0)  # fmt: skip
        self.product = product.rstrip(b"\0").decode()
        self.version = version.rstrip(b"\0").decode()
        self.confirmed = is_set(page, _CONFIRMED_WORD)
        self.bad = is_set(page, _BAD_WORD)


class Slots:
    """The flash map, by slot number (0 = A, 1 = B), and the pages outside the images."""

    def __init__(self, port):
        table = bytearray(72)
        port.read(_MAP, table)
        if not valid(table, b"2SM1", 64):
            raise FlashError(73, _MAP)
        (self.journal, self.log, table_a, descriptor_a, table_b, descriptor_b, image_a, image_b, self.size,
         _, _, self.fs_start, chip_bytes, _, _) = struct.unpack_from("<15I", table, 4)  # fmt: skip
        if port.size < chip_bytes:
            raise FlashError(66, port.size)
        self.port = port
        self.tables = (table_a, table_b)
        self.descriptors = (descriptor_a, descriptor_b)
        self.images = (image_a, image_b)

    def read(self, slot):
        """Return the slot's descriptor, or None when there is no valid one."""
        page = bytearray(_PAGE)
        self.port.read(self.descriptors[slot], page)
        if valid(page, b"2SD1") and page[4] == slot:
            try:
                d = Descriptor(page)
            except UnicodeError:
                return None  # sealed by who writes no such text
            if 0 < d.length <= self.size:
                return d
        return None

    def forget(self, slot):
        """Erase the slot's descriptor (in native maps the table shares its sector) unless it is blank."""
        page = bytearray(_PAGE)
        self.port.read(self.descriptors[slot], page)
        if not is_blank(page):
            self.port.erase(self.descriptors[slot] & ~4095)

    def describe(self, slot, product, plan):
        """Write the slot's descriptor from a judged release (judge.plan) and read it back."""
        page = bytearray(_SEALED)
        struct.pack_into(
            _BODY, page, 0, b"2SD1", slot, plan["form"], 0, plan["counter"], plan["length"], plan["sha256"],
            plan["floor"], plan["fs_start"], plan["fs_version"], plan["mpy_abi"], product.encode(),
            plan["version"].encode()[:16])  # fmt: skip
        seal(page)
        self.port.write(self.descriptors[slot], page)
        back = bytearray(_SEALED)
        self.port.read(self.descriptors[slot], back)
        if back != page:
            raise FlashError(60, self.descriptors[slot])

    def confirm(self, slot):
        """Set the descriptor's confirmed word."""
        set_word(self.port, self.descriptors[slot] + _CONFIRMED_WORD)

    def tidy_log(self):
        """Erase the window log when it is half full or an entry was torn. In-place maps have none."""
        if not self.log:
            return
        page = bytearray(_PAGE)
        erase = False
        for at in range(0, 4096, _PAGE):
            self.port.read(self.log + at, page)
            for i in range(0, _PAGE, 16):
                entry = page[i : i + 16]
                if is_blank(entry):
                    continue
                # Half full, or neither held nor zeroed: the loader could run out of entries.
                whole = entry[:1] == b"H" and entry[8:] == sha256(entry[:8]).digest()[:8]
                if at >= 2048 or not (whole or entry == bytes(16)):
                    erase = True
        if erase:
            self.port.erase(self.log)
