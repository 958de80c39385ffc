"""Slot descriptor (FORMATS): what a slot holds. The board writes it after it has read the slot back."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from slotbench.formats import FormatError
from slotbench.formats.seal import is_set, pack_page, require_zero, unpack_page

MAGIC = b"2SD1"
PRODUCT_BYTES = 32
VERSION_BYTES = 16

CONFIRMED_OFFSET = 128
BAD_OFFSET = 132

_BODY = struct.Struct("<4sBBHII32sIIII32s16sI4x")


class ImageForm(IntEnum):
    """The layout of an image."""

    E9 = 1
    """MicroPython's image: RAM segments at 0, irom at 0x9000."""
    EA = 2
    """Espressif's user image, for native firmware."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotDescriptor:
    """One slot descriptor.

    `length` is the image length in bytes, `sha256` its 32-byte digest, `fs_start` a flash offset in bytes.
    `twoslot` is the version of the twoslot that is frozen into it (formats.twoslot_version), 0 for none.
    """

    slot: int
    counter: int
    length: int
    sha256: bytes
    fs_start: int
    product: str
    version: str
    form: ImageForm = ImageForm.E9
    floor: int = 0
    fs_version: int = 0
    mpy_abi: int = 0
    twoslot: int = 0
    confirmed: bool = False
    bad: bool = False

    def pack(self) -> bytes:
        """The 256 bytes of the page. A version longer than 16 bytes is cut.

        Raises FormatError when another field does not fit.
        """
        product = self.product.encode()
        if not product or len(product) > PRODUCT_BYTES:
            raise FormatError(f"product has {len(product)} bytes, not 1-{PRODUCT_BYTES}", 64)
        if len(self.sha256) != 32:
            raise FormatError(f"a SHA-256 has 32 bytes, not {len(self.sha256)}", 16)
        if self.slot not in (0, 1):
            raise FormatError(f"slot is {self.slot}, not 0 or 1", 4)
        try:
            body = _BODY.pack(
                MAGIC, self.slot, self.form, 0, self.counter, self.length, self.sha256,
                self.floor, self.fs_start, self.fs_version, self.mpy_abi,
                product, _truncate_text(self.version, VERSION_BYTES), self.twoslot,
            )
        except struct.error as error:
            raise FormatError(f"descriptor field out of range ({error})") from None
        flags = ((self.confirmed, CONFIRMED_OFFSET), (self.bad, BAD_OFFSET))
        return pack_page(body, {offset: 0 for flag, offset in flags if flag})

    @classmethod
    def unpack(cls, page: bytes) -> SlotDescriptor:
        """The descriptor in a 256-byte page.

        Raises FormatError when the page is not valid or a field has an impossible value.
        """
        body = unpack_page(page, MAGIC)
        require_zero(body, 6, 8)
        require_zero(body, 116, 120)
        (
            _, slot, form, _, counter, length, sha256,
            floor, fs_start, fs_version, mpy_abi, product, version, twoslot,
        ) = _BODY.unpack(body)
        if slot not in (0, 1):
            raise FormatError(f"slot is {slot}, not 0 or 1", 4)
        if form not in tuple(ImageForm):
            raise FormatError(f"image form {form} is not known", 5)
        return cls(
            slot=slot, form=ImageForm(form), counter=counter, length=length, sha256=sha256,
            floor=floor, fs_start=fs_start, fs_version=fs_version, mpy_abi=mpy_abi,
            product=_decode_text(product, 64), version=_decode_text(version, 96), twoslot=twoslot,
            confirmed=is_set(page, CONFIRMED_OFFSET), bad=is_set(page, BAD_OFFSET),
        )


def _truncate_text(text: str, size: int) -> bytes:
    """`text` in UTF-8, cut to at most `size` bytes between two characters."""
    return text.encode()[:size].decode(errors="ignore").encode()


def _decode_text(field: bytes, offset: int) -> str:
    data = field.rstrip(b"\0")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise FormatError("text is not UTF-8", offset + error.start) from None
