"""`slotbench.images.identify`: what a firmware file is, by evidence that must agree."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotbench.formats.image import build_e9
from slotbench.formats.image_ea import build_ea
from slotbench.formats.segments import pack_ram_part
from slotbench.images import Family, Filesystem, identify
from support.micropython_images import CODE_OF_GCC_12, FROZEN, ROMFS_CODE, micropython_image
from support.samples import make_firmware

NAMED = b"MicroPython v1.26.0 on 2025-08-09\0"
RAM = [(0x40100000, b"code" * 16)]


def padded(*parts: tuple[int, bytes], size: int = 60_000) -> bytes:
    """A file of `size` bytes 0x20 with these (offset, bytes)."""
    data = bytearray(b" " * size)
    for offset, part in parts:
        data[offset : offset + len(part)] = part
    return bytes(data)


def loader(text: bytes = b"", *, address: int = 0x40100000) -> bytes:
    """A boot loader: an E9 image in RAM alone, below 4 KB."""
    return pack_ram_part([(address, text.ljust(256, b"\0"))], address, flash_mode=0, size_freq=0)


def arduino(text: bytes) -> bytes:
    """eboot at 0, and at 0x1000 an E9 image with the irom as its first segment."""
    program = pack_ram_part(
        [(0x40201010, text.ljust(5000, b" ")), (0x40100000, b"code")], 0x40100000, flash_mode=0, size_freq=0)
    return padded((0, loader(address=0x4010F000)), (0x1000, program))


def test_micropython() -> None:
    found = identify(micropython_image())

    assert (found.family, found.problem) == (Family.MICROPYTHON, None)
    assert found.title == "MicroPython 1.26.0, littlefs 2.1"
    assert (found.link_address, found.user_start, found.fs_start) == (0x40209000, 0x100000, 0x100000)
    assert (found.filesystem, found.fs_version, found.mpy_abi) == (Filesystem.LITTLEFS, 0x20001, 6)
    assert (found.micropython, found.sdk) == ("1.26.0", "2.2.0-dev(9422289)")
    assert found.frozen == FROZEN and not found.has_twoslot


def test_frozen_twoslot_is_seen() -> None:
    found = identify(micropython_image(frozen=(*FROZEN, "twoslot/__init__.py", "twoslot/agent.py", "main.py")))

    assert found.has_twoslot and found.frozen[-1] == "main.py"


@pytest.mark.parametrize(("options", "title", "start"), [
    ({"code": CODE_OF_GCC_12}, "MicroPython 1.26.0, littlefs 2.1", 0x100000),
    ({"code": ROMFS_CODE, "romfs": 0x50000}, "MicroPython 1.26.0, littlefs 2.1", 0x100000),
    ({"user_start": 0x98000}, "MicroPython 1.26.0, littlefs 2.1, FLASH_1M build", 0x99000),
    ({"user_start": 0xB0000}, "MicroPython 1.26.0, littlefs 2.1, custom build for 0xb0000 bytes of firmware",
     0xB1000),
    ({"version": "1.20.0-dirty"}, "MicroPython 1.20.0-dirty, littlefs 2.0", 0x100000),
])
def test_builds_that_could_run_from_a_slot_of_some_board(options: dict[str, Any], title: str, start: int) -> None:
    found = identify(micropython_image(**options))

    assert (found.title, found.fs_start, found.problem) == (title, start, None)


@pytest.mark.parametrize(("options", "title", "problem"), [
    ({"user_start": 0x7B000, "frozen": ("_boot.py", "ntptime.py"), "drivers": ()},
     "MicroPython 1.26.0, no filesystem, FLASH_512K build", "it has no filesystem"),
    ({"version": "1.10", "user_start": 0x98000, "drivers": ("VfsFat",)},
     "MicroPython 1.10, FAT filesystem, FLASH_1M build", "it makes a FAT filesystem"),
    ({"user_start": 0xD4000, "link": 0x40245000}, "MicroPython 1.26.0, littlefs 2.1, OTA build",
     "it is linked for 0x40245000, behind another loader (yaota8266)"),
])
def test_layouts_that_cannot_run_from_a_slot(options: dict[str, Any], title: str, problem: str) -> None:
    found = identify(micropython_image(**options))

    assert found.title == title and found.layout_problem
    assert found.problem is not None and found.problem.startswith(problem)


@pytest.mark.parametrize("version", ["1.12-590-g9f911d822-dirty", "1.18", "1.19.1", "1.19.1-dirty"])
def test_a_micropython_on_which_twoslot_does_not_run_is_refused_with_the_oldest_that_does(version: str) -> None:
    found = identify(micropython_image(version))

    assert found.title == f"MicroPython {version}, littlefs 2.0" and not found.layout_problem
    assert found.problem == f"MicroPython {version} is too old: twoslot needs 1.20 or later"
    assert found.cure == "give MicroPython 1.20 or later"


@pytest.mark.parametrize(("options", "problem"), [
    ({"version": None}, "it has MicroPython's code but not its banner"),
    ({"sdk": None}, "no part of Espressif's SDK"),
    ({"frozen": ()}, "no frozen _boot.py"),
    ({"frozen": ("_boot.py", "main.py")}, "it has no frozen inisetup.py"),
    ({"calls_it": False}, "no code returns esp.flash_user_start()"),
    ({"code": b"\x21\xff\xff\x0d\xf0"}, "no code returns esp.flash_user_start()"),
    ({"link": 0x40209004}, "no code returns esp.flash_user_start()"),
    ({"user_start": 0x98010}, "no code returns esp.flash_user_start()"),
    ({"size": 0x98000 + 100, "user_start": 0x98000}, "more than its own limit, 0x98000"),
    ({"md5": False}, "it has no MD5 at its end"),
])
def test_missing_evidence_is_no_guess(options: dict[str, Any], problem: str) -> None:
    found = identify(micropython_image(**options))

    assert found.title.startswith("MicroPython") and found.fs_start in (None, 0x100000, 0x99000)
    assert found.problem is not None and problem in found.problem


def test_two_functions_that_could_say_it_are_no_evidence() -> None:
    """Both have their function object."""
    one, other = micropython_image(), micropython_image(user_start=0x98000)
    irom = bytearray(one[0x9000:-16])
    irom[0x2400:0x2700] = other[0x9400:0x9700]
    struct.pack_into("<II", irom, 0x2480, 0x40209200, 0x40209000 + 0x2408)
    struct.pack_into("<II", irom, 0x2500, 0x1FA2, 0x40209000 + 0x2480)
    found = identify(build_e9([(0x40100000, one[16:0x2010])], 0x40100000, bytes(irom)))

    assert found.problem == (
        "where its filesystem starts cannot be told: more than one function could return esp.flash_user_start()")


def test_the_word_of_the_sdk_proves_nothing() -> None:
    """0x100000 stands in every E9 application; a banner may stand in any file."""
    irom = padded((64, struct.pack("<I", 0x100000)), (128, NAMED), (400, b"2.2.0-dev(9422289)\0"), size=50_000)
    found = identify(build_e9(RAM, 0x40100000, irom))

    assert found.fs_start is None and found.problem is not None


@pytest.mark.parametrize("at", [5, 40, 0x8FFC, 0x9000, 0x9408, 0x9600, 60_000, -17, -1])
def test_a_flipped_byte_never_passes(at: int) -> None:
    data = bytearray(micropython_image())
    data[at] ^= 1

    assert identify(bytes(data)).problem is not None


@pytest.mark.parametrize("change", [
    lambda data: data[:-1], lambda data: data[:-16], lambda data: data + b"\0", lambda data: data + bytes(4096),
    lambda data: data[:0x8FFC] + b"\xff" * 4 + data[0x9000:],
])
def test_a_missing_length_word_or_md5_and_more_bytes_are_refused(change: Any) -> None:
    for data in (micropython_image(), make_firmware(100_000)):
        assert identify(change(data)).problem is not None
        assert identify(data).problem is None


def test_a_dump_is_no_firmware() -> None:
    for size in (1 << 20, 4 << 20):
        found = identify(micropython_image().ljust(size, b"\xff"))
        assert found.title.startswith("MicroPython 1.26.0")
        assert found.problem == f"{size} bytes are the dump of a whole flash, not a firmware image"


@pytest.mark.parametrize(("data", "family", "title"), [
    (arduino(b"http://ota.tasmota.com/tasmota/release/ -2_7_2(%s)\0"), Family.OTHER_FIRMWARE,
     "Tasmota (Arduino core 2.7.2)"),
    (arduino(b"cores/esp8266/main.cpp"), Family.OTHER_FIRMWARE, "an Arduino program (Arduino core)"),
    (loader(b"rBoot v1.4.2 - someone"), Family.LOADER, "rBoot 1.4.2 alone, without an application"),
    (loader(b"2nd boot version : 1.7(5d6f877)\n"), Family.LOADER,
     "Espressif's boot loader 1.7(5d6f877) alone, without an application"),
    (loader(), Family.LOADER, "a boot loader alone, without an application"),
    (padded((0, loader(b"rBoot v1.4.0 - someone")), (0x2000, build_ea(RAM, 0x40100000, b"punyforth" * 40))),
     Family.OTHER_FIRMWARE, "rBoot 1.4.0 with Punyforth (esp-open-rtos)"),
    (padded((0, loader(b"2nd boot version : 1.6\n")), (0x1000, build_ea(RAM, 0x40100000, b"Espruino 1v99 " * 40))),
     Family.OTHER_FIRMWARE, "Espressif's boot loader 1.6 with Espruino 1v99"),
    (build_e9(RAM, 0x40100000, b"NodeMCU custom build by frightanic.com\n\tbranch: 1.5.4.1-final\n" * 9),
     Family.OTHER_FIRMWARE, "NodeMCU (Lua) 1.5.4.1-final"),
    (build_e9(RAM, 0x40100000, b"Adafruit CircuitPython 3.0.0-beta.1 on 2018-06-11; ESP module\0" * 9),
     Family.OTHER_FIRMWARE, "CircuitPython 3.0.0-beta.1"),
    (build_ea(RAM, 0x40100000, b"AT version:%d\0Bin version(Wroom 02):1.7.6\0" * 20), Family.NATIVE,
     "Espressif AT firmware 1.7.6, a user image"),
    (b"\xe9\x04\x02\x20" + struct.pack("<I", 0x400805AC) + bytes(4) + struct.pack("<H", 9) + bytes(40),
     Family.OTHER_CHIP, "an ESP32-S3 image"),
    (b"\xff" * 0x1000 + b"\xe9\x04\x02\x20" + struct.pack("<I", 0x400805AC) + bytes(40), Family.OTHER_CHIP,
     "an ESP32 image"),
    (b"\x1f\x8b\x08\0" + bytes(50), Family.NO_FIRMWARE, "a gzip file"),
    (b"PK\x03\x04" + bytes(50), Family.NO_FIRMWARE, "a ZIP archive"),
    (b"\x7fELF" + bytes(50), Family.NO_FIRMWARE, "an ELF file, the output of the linker"),
    (b":020000040800F2\r\n", Family.NO_FIRMWARE, "an Intel HEX file"),
    (b"<!DOCTYPE html><html>", Family.NO_FIRMWARE, "a web page"),
    (b'{"kind":"release"}', Family.NO_FIRMWARE, "a JSON document"),
    (b"import machine\nprint(1)\n", Family.NO_FIRMWARE, "a text file"),
    ("Straße".encode()[:5], Family.NO_FIRMWARE, "a text file"),
    (b"\xff" * 4096, Family.NO_FIRMWARE, "blank flash: every byte is 0xff"),
    (b"", Family.NO_FIRMWARE, "an empty file"),
    (b"\x00\x01\x02", Family.NO_FIRMWARE, "an unknown file"),
])
def test_other_files_are_named_and_refused(data: bytes, family: Family, title: str) -> None:
    found = identify(data)

    assert (found.family, found.title) == (family, title)
    if family is not Family.NATIVE:
        assert found.problem and found.cure


@pytest.mark.parametrize("over_irom", [False, True])
def test_an_image_for_rboot_is_not_called_altered(over_irom: bool) -> None:
    """esptool2 leaves the CRC32 out; with -iromchksum its checksum goes over the irom too."""
    data = bytearray(build_ea(RAM, 0x40100000, b"esp-open-rtos  \1" * 41)[:-4])
    if over_irom:
        for byte in data[16 : 16 + 656]:
            data[-1] ^= byte
    found = identify(bytes(data))

    assert found.problem is not None and "is whole, but made for rBoot: it has no CRC32" in found.problem
    data[100] ^= 1
    if over_irom:
        assert "made for rBoot" not in str(identify(bytes(data)).problem)


@pytest.mark.parametrize("at", [0, 3, 20, 400, -5, -1])
def test_a_flipped_byte_of_a_user_image_never_passes(at: int) -> None:
    data = bytearray(build_ea(RAM, 0x40100000, b"irom" * 100))
    data[at] ^= 1

    assert identify(bytes(data)).problem is not None


@pytest.mark.parametrize(("size", "literals", "start"), [
    (641_964, (0x100000,), 0x100000), (603_232, (0x98000,), 0x99000), (603_232, (0x98000, 0x100000), None),
    (0x98000 + 16, (0x98000,), 0x99000), (0x98000 + 20, (0x98000, 0x100000), 0x100000),
    (0x98000 + 20, (0x98000,), None), (600_000, (), None),
])
def test_an_image_of_the_bench_states_its_filesystem(
    size: int, literals: tuple[int, ...], start: int | None,
) -> None:
    found = identify(make_firmware(size, literals=literals))

    assert (found.family, found.fs_start, found.micropython) == (Family.BENCH, start, "1.25.0")


@given(
    st.sampled_from([b"", b"\xe9", b"\xe9\x01\0\0\4\0\x10\x40", b"\xea\x04", b"\xff" * 4096 + b"\xe9", b"{", b":"]),
    st.binary(max_size=200))
def test_any_bytes_are_refused_with_a_reason(begin: bytes, rest: bytes) -> None:
    found = identify(begin + rest)

    assert found.problem and found.cure and found.title


@given(st.integers(0, 99_999), st.integers(1, 255))
def test_any_changed_byte_of_an_image_is_seen(at: int, change: int) -> None:
    """All but the two that flashing tools set."""
    data = bytearray(micropython_image())
    data[at] ^= change

    assert (identify(bytes(data)).problem is None) == (at in (2, 3))


def test_an_e9_image_of_nothing_known_is_refused() -> None:
    found = identify(build_e9(RAM, 0x40100000, b"x" * 5000))

    assert found.problem == "firmware of an unknown kind: nothing shows that it is MicroPython"
