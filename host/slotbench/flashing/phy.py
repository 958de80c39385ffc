"""The SDK's sectors at the end of the flash that it uses: RF calibration, PHY init data, parameters.

PHY init data are 128 bytes of radio settings. Without them the SDK restarts endlessly. A board keeps its own.
A board without them gets the defaults in its firmware.
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
"""The first bytes of the SDK's esp_init_data_default: the version, then values that no board changes."""


def is_phy(block: bytes) -> bool:
    """Whether the SDK accepts `block` as PHY init data. It checks only the first byte."""
    return len(block) >= PHY_BYTES and block[0] == _VERSION


def has_phy(sdk: bytes) -> bool:
    """Whether the SDK's sectors `sdk` (up to the end of the flash) contain PHY init data."""
    return is_phy(sdk[len(sdk) - _SECTORS_FROM_END * SECTOR_BYTES :])


def sdk_sectors(board: BoardProfile, sdk: bytes, image: bytes, given: bytes | None = None) -> bytes:
    """The SDK's sectors for `board`: its own `sdk` if they contain PHY init data.

    Otherwise they are new, with the PHY init data of `given`, or else of the firmware `image`. If neither has
    any, they stay blank, and MicroPython's `firmware_start` writes them. Native firmware does not, so there
    this raises BenchError. `given` replaces the PHY init data in any case.
    """
    phy = given if given is not None else None if has_phy(sdk) else _firmware_defaults(image)
    if phy is None and has_phy(sdk):
        return sdk
    if phy is None and board.in_place:
        raise BenchError(
            "neither the board nor the firmware has PHY init data",
            cure="give the esp_init_data_default.bin of its SDK with --phy")
    content = bytearray(sdk if has_phy(sdk) else b"\xff" * board.sdk.size)
    at = len(content) - _SECTORS_FROM_END * SECTOR_BYTES
    content[at : at + SECTOR_BYTES] = (phy or b"").ljust(SECTOR_BYTES, b"\xff")
    return bytes(content)


def _firmware_defaults(image: bytes) -> bytes | None:
    """The default PHY init data in a firmware image; None if it has none."""
    at = image.find(_DEFAULTS_BEGIN)
    while at >= 0:
        if at % 4 == 0 and at + PHY_BYTES <= len(image):
            return image[at : at + PHY_BYTES]
        at = image.find(_DEFAULTS_BEGIN, at + 1)
    return None
