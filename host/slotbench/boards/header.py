"""Bytes 2 and 3 of the header at flash offset 0: flash mode, size and frequency for the ROM and the SDK."""

from __future__ import annotations

from typing import Final

from slotbench.boards import BoardProfile
from slotbench.formats import FormatError, maptable
from slotbench.formats.image import E9_MAGIC

MODES: Final = {0: "qio", 1: "qout", 2: "dio", 3: "dout"}
"""The flash modes by byte 2 (esptool, bin_image.py)."""
FREQS_MHZ: Final = {0: 40, 1: 26, 2: 20, 15: 80}
"""The flash frequencies by the low nibble of byte 3."""

_SIZES: Final = {
    0: 0x80000, 1: 0x40000, 2: 0x100000, 3: 0x200000, 4: 0x400000, 8: 0x800000, 9: 0x1000000,
}
"""The flash sizes in bytes by the high nibble of byte 3."""
_SIZE_NIBBLES: Final = {size: nibble for nibble, size in _SIZES.items()}
_MODE_BYTES: Final = {name: number for number, name in MODES.items()}
_FREQ_NIBBLES: Final = {mhz: nibble for nibble, mhz in FREQS_MHZ.items()}


def with_header(image: bytes, board: BoardProfile, flash_bytes: int) -> bytes:
    """The E9 `image` with the flash mode and frequency of `board`, and with `flash_bytes` as its flash size.

    No checksum of the image covers these two bytes, because flashing tools set them.
    """
    size_freq = _SIZE_NIBBLES[flash_bytes] << 4 | _FREQ_NIBBLES[board.flash_freq_mhz]
    return image[:2] + bytes([_MODE_BYTES[board.flash_mode], size_freq]) + image[4:]


def loader_sector(loader: bytes, board: BoardProfile) -> bytes:
    """The loader's sector: the E9 image `loader` with the header and the map table (FORMATS) of `board`.

    Raises FormatError if `loader` is not an E9 image or does not fit below the table.
    """
    if loader[:1] != bytes([E9_MAGIC]):
        raise FormatError("the loader is not an E9 image", 0)
    if len(loader) > maptable.OFFSET:
        raise FormatError(f"the loader has {len(loader)} bytes, {maptable.OFFSET} fit", maptable.OFFSET)
    image = with_header(loader, board, board.visible_bytes)
    return image.ljust(maptable.OFFSET, b"\xff") + maptable.pack_table(board.device_map())


def flash_size(sector: bytes) -> int | None:
    """The flash size in bytes in the header of a first sector; None if its nibble is unknown."""
    return _SIZES.get(sector[3] >> 4)


def has_loader(sector: bytes) -> bool:
    """Whether the first sector of a flash holds slotboot: an E9 header and a map table."""
    try:
        maptable.unpack_table(sector[maptable.OFFSET : maptable.OFFSET + maptable.TABLE_BYTES])
    except FormatError:
        return False
    return sector[:1] == bytes([E9_MAGIC])
