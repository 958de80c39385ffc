# The flash map and the pages of the two slots: descriptors, block tables, the window log. It
# decides nothing.
import struct

from hashlib import sha256
from micropython import const

from twoslot import codes
from twoslot.boot.page import is_blank, is_set, is_valid, seal, set_word
from twoslot.constants import BLOCK, PAGE, SEALED
from twoslot.errors import FlashError

_MAP = const(0xFB8)  # the flash map of this board, in the loader's sector (FORMATS.md, map table)
_BODY = const("<4sBBHII32sIIII32s16s8x")
# Open words of a descriptor, by their offset.
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

    def __init__(self, flash):
        table = bytearray(72)
        flash.read(_MAP, table)
        if not is_valid(table, b"2SM1", 64):
            raise FlashError(codes.NO_FLASH_MAP, _MAP)
        (self.journal, self.log, table_a, descriptor_a, table_b, descriptor_b, image_a, image_b, self.size,
         _, _, self.fs_start, chip_bytes, _, _) = struct.unpack_from("<15I", table, 4)  # fmt: skip
        if flash.size < chip_bytes:
            raise FlashError(codes.CHIP_TOO_SMALL, flash.size)
        self.flash = flash
        self.tables = (table_a, table_b)
        self.descriptors = (descriptor_a, descriptor_b)
        self.images = (image_a, image_b)

    def read(self, slot):
        """Return the slot's descriptor, or None when there is no valid one."""
        page = bytearray(PAGE)
        self.flash.read(self.descriptors[slot], page)
        if is_valid(page, b"2SD1") and page[4] == slot:
            try:
                d = Descriptor(page)
            except UnicodeError:
                return None  # twoslot writes no such text
            if 0 < d.length <= self.size:
                return d
        return None

    def erase_descriptor(self, slot):
        """Erase the slot's descriptor unless it is blank.

        In in-place maps the block table shares its sector.
        """
        page = bytearray(PAGE)
        self.flash.read(self.descriptors[slot], page)
        if not is_blank(page):
            self.flash.erase(self.descriptors[slot] // BLOCK * BLOCK)

    def write_descriptor(self, slot, product, plan):
        """Write the slot's descriptor from a release's plan (trust/policy.py) and read it back."""
        page = bytearray(SEALED)
        struct.pack_into(
            _BODY, page, 0, b"2SD1", slot, plan["form"], 0, plan["counter"], plan["length"], plan["sha256"],
            plan["floor"], plan["fs_start"], plan["fs_version"], plan["mpy_abi"], product.encode(),
            plan["version"].encode()[:16])  # fmt: skip
        seal(page)
        self.flash.write(self.descriptors[slot], page)
        back = bytearray(SEALED)
        self.flash.read(self.descriptors[slot], back)
        if back != page:
            raise FlashError(codes.FLASH_MISMATCH, self.descriptors[slot])

    def confirm(self, slot):
        """Set the confirmed word of the slot's descriptor."""
        set_word(self.flash, self.descriptors[slot] + _CONFIRMED_WORD)

    def tidy_log(self):
        """Erase the window log when it is half full or an entry is torn.

        In-place maps have none.
        """
        if not self.log:
            return
        page = bytearray(PAGE)
        erase = False
        for at in range(0, BLOCK, PAGE):
            self.flash.read(self.log + at, page)
            for i in range(0, PAGE, 16):
                entry = page[i : i + 16]
                if is_blank(entry):
                    continue
                # Half full, or neither held nor zeroed: the loader could run out of entries.
                whole = entry[:1] == b"H" and entry[8:] == sha256(entry[:8]).digest()[:8]
                if at >= BLOCK // 2 or not (whole or entry == bytes(16)):
                    erase = True
        if erase:
            self.flash.erase(self.log)
