# The flash map and what lies in the two slots: descriptors, block tables, the window log. Decides nothing.
import struct

from hashlib import sha256
from micropython import const

from twoslot.errors import FlashError
from twoslot.journal import is_blank, is_set, seal, set_word, valid

# Board file generic_4m, in the order of FORMATS.md 8.1.
_GENERIC_4M = (
    0x1000, 0x3000, 0x4000, 0x5000, 0x6000, 0x7000, 0x200000, 0x300000, 0xFB000,
    0x9000, 0xF7000, 0x100000, 0x400000, 0x200000, 0x9000,
)  # fmt: skip
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
    """Addresses by slot number (0 = A, 1 = B), and the pages outside the images."""

    def __init__(self, numbers):
        (self.journal, self.log, table_a, descriptor_a, table_b, descriptor_b, image_a, image_b, self.size,
         _, _, self.fs_start, self.chip_bytes, _, _) = numbers or _GENERIC_4M  # fmt: skip
        self.tables = (table_a, table_b)
        self.descriptors = (descriptor_a, descriptor_b)
        self.images = (image_a, image_b)

    def read(self, port, slot):
        """Return the slot's descriptor, or None when there is no valid one."""
        page = bytearray(_PAGE)
        port.read(self.descriptors[slot], page)
        if valid(page, b"2SD1") and page[4] == slot:
            d = Descriptor(page)
            if 0 < d.length <= self.size:
                return d
        return None

    def forget(self, port, slot):
        """Erase the slot's descriptor (in native maps the table shares its sector) unless it is blank."""
        page = bytearray(_PAGE)
        port.read(self.descriptors[slot], page)
        if not is_blank(page):
            port.erase(self.descriptors[slot] & ~4095)

    def describe(self, port, slot, product, plan):
        """Write the slot's descriptor from a judged release (release.Plan) and read it back."""
        page = bytearray(_SEALED)
        struct.pack_into(
            _BODY, page, 0, b"2SD1", slot, plan.form, 0, plan.counter, plan.length, plan.sha256,
            plan.floor, plan.fs_start, plan.fs_version, plan.mpy_abi, product.encode(),
            plan.version.encode()[:16])  # fmt: skip
        seal(page)
        port.write(self.descriptors[slot], page)
        back = bytearray(_SEALED)
        port.read(self.descriptors[slot], back)
        if back != page:
            raise FlashError(60, self.descriptors[slot])

    def confirm(self, port, slot):
        """Set the descriptor's confirmed word."""
        set_word(port, self.descriptors[slot] + _CONFIRMED_WORD)

    def tidy_log(self, port):
        """Erase the window log when it is half full or an entry was torn. In-place maps have none."""
        if not self.log:
            return
        page = bytearray(_PAGE)
        erase = False
        for at in range(0, 4096, _PAGE):
            port.read(self.log + at, page)
            for i in range(0, _PAGE, 16):
                entry = page[i : i + 16]
                if is_blank(entry):
                    continue
                # Half full, or neither held nor zeroed: the loader could run out of entries.
                whole = entry[:1] == b"H" and entry[8:] == sha256(entry[:8]).digest()[:8]
                if at >= 2048 or not (whole or entry == bytes(16)):
                    erase = True
        if erase:
            port.erase(self.log)
