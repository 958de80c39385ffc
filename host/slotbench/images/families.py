"""The names of ESP8266 firmware other than MicroPython, by the texts in it."""

from __future__ import annotations

import re
from typing import Final

from slotbench.formats import FormatError, maptable
from slotbench.formats.image_ea import LINK_ADDRESSES
from slotbench.images.bench import is_bench_image
from slotbench.images.micropython import sdk_version
from slotbench.images.structure import E9Structure, has_image, read_structure

__all__ = ["CIRCUITPYTHON", "UNKNOWN", "name_application", "name_e9", "name_loader", "name_user_image"]

CIRCUITPYTHON: Final = b"Adafruit CircuitPython "
UNKNOWN: Final = "firmware of an unknown kind"

# Text in the firmware, and its name. The first match counts. A group in the text is its version.
_APPLICATIONS: Final = (
    (rb"ota\.tasmota\.com|TASMOTA_DGR|tasmota/release/", "Tasmota"),
    (rb"esphome\.io|ESPHome version|esphome/core", "ESPHome"),
    (rb"ESPurna|ESPURNA", "ESPurna"),
    (rb"WLED[ _-]?\d|WLED-AP", "WLED"),
    (CIRCUITPYTHON + rb"(\d+\.\d+\.\d+[-\w.]*) on ", "CircuitPython"),
    (rb"NodeMCU custom build by [\w.]+\s+branch: ([\w.-]+)|NodeMCU (\d[\w.-]*) ", "NodeMCU (Lua)"),
    (rb"Espruino (\dv\d+)|espruino\.com", "Espruino"),
    (rb"Server: esp-link|<title>esp-link", "esp-link"),
    (rb"AT version:", "Espressif AT firmware"),
    (rb"HAA Installer", "HAA (esp-open-rtos)"),
    (rb"[Pp]unyforth", "Punyforth (esp-open-rtos)"),
    (rb"mongoose-os|Mongoose OS", "Mongoose OS"),
    (rb"esp-open-rtos", "a program of esp-open-rtos"),
    (rb"Sming\b", "a program of Sming"),
)
_AT_VERSION: Final = re.compile(rb"Bin version\([\w ]+\):(\d[\d.]*)")
_ARDUINO_CORE: Final = re.compile(
    rb"(?<![\w.])(\d_\d_\d(?:_\d+)?)(?![\w.])|hardware.esp8266.(\d\.\d\.\d).cores")
_LOADERS: Final = (
    (re.compile(rb"rBoot v(\d+\.\d+\.\d+)"), "rBoot"),
    (re.compile(rb"2nd boot version : (\d\.\d(?:\(\w+\))?)"), "Espressif's boot loader"),
    (re.compile(rb"boot8266()"), "the loader of yaota8266"),
)
_BEHIND_LOADER: Final = (0x1000, 0x2000)


def name_e9(data: bytes) -> tuple[str, bool]:
    """The name of what an E9 image at offset 0 starts, and whether it is a boot loader alone."""
    first = read_structure(data)
    if _has_map_table(data):
        return "the flash of a board with twoslot, or its first part", False
    loader = name_loader(data, first)
    if loader is None:
        return name_application(data), False
    if not any(has_image(data, start) for start in _BEHIND_LOADER):
        return f"{loader} alone, without an application", True
    if first is not None and first.is_eboot:
        return name_application(data), False
    application = name_application(data[_BEHIND_LOADER[0]:])
    return f"{loader} with {application}", False


def name_loader(data: bytes, first: E9Structure | None) -> str | None:
    """The name of the boot loader at offset 0; None if what is there is no boot loader."""
    if first is None or first.has_irom or first.end > _BEHIND_LOADER[0]:
        return None
    if first.is_eboot:
        return "eboot, Arduino's boot loader,"
    head = data[: first.end]
    for text, name in _LOADERS:
        if match := text.search(head):
            version = match.group(1).decode()
            return f"{name} {version}".strip()
    is_alone = len(data) <= _BEHIND_LOADER[0]
    return "a boot loader" if is_alone or any(has_image(data, start) for start in _BEHIND_LOADER) else None


def name_application(data: bytes) -> str:
    """The name of an application, by the texts in it."""
    arduino = _arduino(data)
    for text, name in _APPLICATIONS:
        if match := re.search(text, data):
            version = next((group.decode() for group in match.groups() if group), "")
            if name.startswith("Espressif AT") and (at_version := _AT_VERSION.search(data)):
                version = at_version.group(1).decode()
            return f"{name} {version}".strip() + (f" ({arduino})" if arduino else "")
    if arduino is not None:
        return f"an Arduino program ({arduino})"
    if is_bench_image(data):
        return "an image of the bench, which no chip runs"
    sdk = sdk_version(data)
    return f"{UNKNOWN} (SDK {sdk})" if sdk else UNKNOWN


def name_user_image(data: bytes, irom_address: int | None) -> str:
    """The name of a user image (EA) that was linked for `irom_address`."""
    if irom_address is None:
        return f"{name_application(data)}, a user image"
    number = 1 if irom_address == LINK_ADDRESSES[0] else 2
    return f"{name_application(data)}, user{number}"


def _arduino(data: bytes) -> str | None:
    """The version of Arduino's core in words; None if it is no Arduino program."""
    first = read_structure(data)
    if first is None or not first.is_eboot:
        return None
    match = _ARDUINO_CORE.search(data)
    if match is None:
        return "Arduino core"
    version = next(group for group in match.groups() if group).decode()
    return f"Arduino core {version.replace('_', '.')}"


def _has_map_table(data: bytes) -> bool:
    try:
        maptable.unpack_table(data[maptable.OFFSET : maptable.OFFSET + maptable.TABLE_BYTES])
    except FormatError:
        return False
    return True
