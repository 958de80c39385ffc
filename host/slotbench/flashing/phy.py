"""The SDK's sectors at the end of the flash it sees: RF calibration, PHY init data, parameters.

PHY init data are 128 bytes the radio is set up with, without which the SDK restarts for ever. A board keeps
what it has. One that has none gets the defaults that its own firmware carries.
"""

from __future__ import annotations

from typing import Final

from slotbench.boards import BoardProfile
from slotbench.errors import BenchError
from slotbench.formats import SECTOR_BYTES

__all__ = ["PHY_BYTES", "has_phy", "is_phy", "sdk_sectors"]

PHY_BYTES: Final = 128

_VERSION: Final = 0x05
_SECTORS_FROM_END: Final = 4
_DEFAULTS_BEGIN: Final = bytes.fromhex("05000402050505020500040505040505")
"""How the SDK's esp_init_data_default begins: version, then the gains and spurs that no board changes."""


def is_phy(block: bytes) -> bool:
    """Whether the SDK takes `block` for PHY init data: it looks at the first byte only."""
    return len(block) >= PHY_BYTES and block[0] == _VERSION


def has_phy(sdk: bytes) -> bool:
    """Whether the SDK's sectors `sdk`, all of them up to the end, have PHY init data."""
    return is_phy(sdk[len(sdk) - _SECTORS_FROM_END * SECTOR_BYTES :])


def sdk_sectors(board: BoardProfile, sdk: bytes, image: bytes, given: bytes | None = None) -> bytes:
    """The SDK's sectors that `board` is to have: `sdk`, which it has, when these are any good.

    Without PHY init data in them they begin anew: with those of `given`, else of the firmware `image`, else
    blank where MicroPython's `firmware_start` writes them itself. Raises BenchError when nobody has any.
    """
    phy = given if given is not None else None if has_phy(sdk) else _of_firmware(image)
    if phy is None and has_phy(sdk):
        return sdk
    if phy is None and board.in_place:
        raise BenchError(
            "the board has no PHY init data, and the firmware brings none",
            do="give the esp_init_data_default.bin of its SDK with --phy")
    content = bytearray(sdk if has_phy(sdk) else b"\xff" * board.sdk.size)
    at = len(content) - _SECTORS_FROM_END * SECTOR_BYTES
    content[at : at + SECTOR_BYTES] = (phy or b"").ljust(SECTOR_BYTES, b"\xff")
    return bytes(content)


def _of_firmware(image: bytes) -> bytes | None:
    """The defaults that a firmware has for boards without any."""
    at = image.find(_DEFAULTS_BEGIN)
    while at >= 0:
        if at % 4 == 0 and at + PHY_BYTES <= len(image):
            return image[at : at + PHY_BYTES]
        at = image.find(_DEFAULTS_BEGIN, at + 1)
    return None
