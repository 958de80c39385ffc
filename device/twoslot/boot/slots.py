# The flash map and the pages of the two slots: descriptors, block tables, the window log. It
# decides nothing, and changes.py writes them.
import struct

from micropython import const

from twoslot import codes
from twoslot.boot.page import is_set, is_valid, set_word
from twoslot.constants import PAGE
from twoslot.errors import FlashError

_MAP = const(0xFB8)  # the flash map of this board, in the loader's sector (FORMATS.md, map table)
DESCRIPTOR = const("<4sBBHII32sIIII32s16sI")
# Open words of a descriptor, by their offset.
_CONFIRMED_WORD = const(128)
_BAD_WORD = const(132)


class Descriptor:
    """What a slot holds: enough to judge it without any journal."""

    def __init__(self, page):
        f = struct.unpack_from(DESCRIPTOR, page, 0)
        _, self.slot, self.form, _, self.counter, self.length, self.sha256, self.floor, self.fs_start = f[:9]
        self.fs_version, self.mpy_abi, product, version, self.twoslot = f[9:]
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

    def confirm(self, slot):
        """Set the confirmed word of the slot's descriptor."""
        set_word(self.flash, self.descriptors[slot] + _CONFIRMED_WORD)
