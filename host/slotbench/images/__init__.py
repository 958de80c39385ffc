"""What a firmware file is: one function says it, from independent evidence that must agree.

Every command asks `identify`. No other code of the bench looks into an image to find out what it is.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from slotbench.formats import FormatError
from slotbench.formats.descriptor import ImageForm
from slotbench.formats.image import Image, parse_e9
from slotbench.formats.image_ea import parse_ea
from slotbench.formats.littlefs import disk_version_words
from slotbench.formats.segments import E9_MAGIC, EA_MAGIC, WINDOW_END, read_ram_part
from slotbench.images.bench import banner_version, is_bench_image, stated_filesystem
from slotbench.images.families import CIRCUITPYTHON, UNKNOWN, name_application, name_e9, name_user_image
from slotbench.images.frozen import frozen_modules, has_hook_call
from slotbench.images.identified import Family, Filesystem, IdentifiedImage
from slotbench.images.micropython import (
    LINK_ADDRESS,
    MicroPythonEvidence,
    collect_evidence,
    filesystem_place,
    sdk_version,
)
from slotbench.images.other_files import name_other_file
from slotbench.images.structure import chip_name, read_structure
from slotbench.images.versions import OLDEST_WORDS, implied_facts, is_too_old

__all__ = ["Family", "Filesystem", "IdentifiedImage", "identify", "require_usable"]

_KEPT: Final = 16
_MD5_BYTES: Final = 16
_LOADER_BYTES_MAX: Final = 0x1000
_FLASH_SIZES: Final = tuple(1 << bits for bits in range(19, 25))
_GET_MICROPYTHON: Final = (
    f"give MicroPython's default build for the ESP8266 (ESP8266_GENERIC, 2 MiB or more), {OLDEST_WORDS}")
_GET_IT_AGAIN: Final = "get the file again"
_BUILDS: Final = {0x7B000: "FLASH_512K build", 0x98000: "FLASH_1M build", 0xD4000: "OTA build"}
"""MicroPython's builds by the end of their firmware (boards/*.ld); WINDOW_END is the default build's."""


@lru_cache(maxsize=_KEPT)
def identify(data: bytes) -> IdentifiedImage:
    """Identify a file. It raises no error: what cannot be told is refused by `problem`."""
    if (chip := chip_name(data)) is not None:
        title = f"an {chip} image"
        return _refused(
            data, Family.OTHER_CHIP, title, f"{title}; twoslot runs on the ESP8266", _GET_MICROPYTHON, 0)
    if (other := name_other_file(data)) is not None:
        return _refused(
            data, Family.NO_FIRMWARE, other.title, f"{other.title}, not an ESP8266 image", other.cure, 0)
    if data[0] == EA_MAGIC:
        return _identify_user_image(data)
    if data[0] != E9_MAGIC:
        what = f"not an ESP8266 image: byte 0 is 0x{data[0]:02x}, not 0xe9 or 0xea"
        return _refused(data, Family.NO_FIRMWARE, "an unknown file", what, "give a firmware .bin", 0)
    if is_bench_image(data):
        return _identify_bench_image(data)
    first, evidence = read_structure(data), collect_evidence(data[:WINDOW_END])
    is_python = evidence.version is not None or (bool(evidence.user_starts) and bool(evidence.frozen))
    if is_python and (first is None or first.end > _LOADER_BYTES_MAX) and CIRCUITPYTHON not in data:
        return _identify_micropython(data, evidence)
    return _identify_other_firmware(data, evidence)


def require_usable(found: IdentifiedImage) -> IdentifiedImage:
    """Raise FormatError, with the offset of the mistake, if an image is refused; else return it."""
    if found.problem is not None:
        raise FormatError(found.problem, found.offset, cure=found.cure)
    return found


def _refused(
    data: bytes, family: Family, title: str, problem: str, cure: str, offset: int | None = None,
) -> IdentifiedImage:
    return IdentifiedImage(
        family=family, title=title, length=len(data), problem=problem, cure=cure, offset=offset)


def _identify_user_image(data: bytes) -> IdentifiedImage:
    """Identify an image whose first byte is 0xEA."""
    try:
        image = parse_ea(data)
    except FormatError as error:
        name = name_application(data)
        if _is_esptool2_image(data):
            return _refused(
                data, Family.OTHER_FIRMWARE, f"{name}, made for rBoot",
                f"{name} is whole, but made for rBoot: it has no CRC32, so a changed byte would pass unseen",
                "make user images of it: esptool elf2image --version 2", error.offset)
        return IdentifiedImage(
            family=Family.NATIVE, title=f"{name}, a user image", length=len(data), form=ImageForm.EA,
            problem=error.what, cure=error.cure or _GET_IT_AGAIN, offset=error.offset)
    return IdentifiedImage(
        family=Family.NATIVE, title=name_user_image(data, image.irom_address), length=len(data),
        form=ImageForm.EA, image=image, sdk=sdk_version(data), link_address=image.irom_address)


def _identify_bench_image(data: bytes) -> IdentifiedImage:
    try:
        image = _whole_image(data)
    except FormatError as error:
        return IdentifiedImage(
            family=Family.BENCH, title="an image of the bench", length=len(data), form=ImageForm.E9,
            problem=error.what, cure=error.cure or _GET_IT_AGAIN, offset=error.offset)
    version, place = banner_version(data), stated_filesystem(data)
    facts = implied_facts(version or "")
    return IdentifiedImage(
        family=Family.BENCH, title="an image of the bench, which no chip runs", length=len(data),
        form=ImageForm.E9, image=image, micropython=version, fs_start=place,
        filesystem=Filesystem.LITTLEFS, fs_version=facts.fs_version if facts else None,
        mpy_abi=facts.mpy_abi if facts else None, frozen=frozen_modules(data),
        has_hook_call=has_hook_call(data))


def _identify_other_firmware(data: bytes, evidence: MicroPythonEvidence) -> IdentifiedImage:
    name, is_loader = name_e9(data[:WINDOW_END])
    family = Family.LOADER if is_loader else Family.OTHER_FIRMWARE
    problem, cure, offset = f"{name}, not MicroPython", _GET_MICROPYTHON, None
    if read_structure(data) is None or name.startswith(UNKNOWN):
        try:
            _whole_image(data)
        except FormatError as error:
            problem, cure, offset = error.what, error.cure or _GET_IT_AGAIN, error.offset
        else:
            problem = f"{name}: nothing shows that it is MicroPython"
    return IdentifiedImage(
        family=family, title=name, length=len(data), form=ImageForm.E9, problem=problem, cure=cure,
        offset=offset, sdk=evidence.sdk)


# MicroPython.

def _identify_micropython(data: bytes, evidence: MicroPythonEvidence) -> IdentifiedImage:
    facts = implied_facts(evidence.version or "")
    starts = set(evidence.user_starts)
    user_start, link = starts.pop() if len(starts) == 1 else (None, None)
    filesystem = evidence.filesystem
    has_place = user_start is not None and filesystem is not Filesystem.NONE
    place = filesystem_place(user_start) if has_place and user_start is not None else None
    is_littlefs = filesystem is Filesystem.LITTLEFS
    problem, cure, offset, is_layout, image = None, "", None, False, None
    try:
        image = _whole_image(data)
    except FormatError as error:
        problem, cure, offset = error.what, error.cure or _GET_IT_AGAIN, error.offset
        if len(data) in _FLASH_SIZES and len(data) >= WINDOW_END:
            problem = f"{len(data)} bytes are the dump of a whole flash, not a firmware image"
            cure = "explain it with `slotbench inspect`; for a release " + _GET_MICROPYTHON
    else:
        problem = _missing_evidence(evidence, len(data), user_start)
        cure = _GET_IT_AGAIN if problem else ""
        if problem is None and (problem := _layout_problem(filesystem, user_start, link)) is not None:
            cure, is_layout = _GET_MICROPYTHON, True
        elif problem is None and evidence.version is not None and is_too_old(evidence.version):
            problem = f"MicroPython {evidence.version} is too old: twoslot needs {OLDEST_WORDS}"
            cure = f"give MicroPython {OLDEST_WORDS}"
    return IdentifiedImage(
        family=Family.MICROPYTHON, title=_title(evidence, user_start), length=len(data),
        form=ImageForm.E9, problem=problem, cure=cure, offset=offset, layout_problem=is_layout, image=image,
        micropython=evidence.version, sdk=evidence.sdk, link_address=link, user_start=user_start,
        filesystem=filesystem, fs_start=place,
        fs_version=facts.fs_version if facts and is_littlefs else None,
        mpy_abi=facts.mpy_abi if facts else None, frozen=evidence.frozen,
        has_hook_call=evidence.has_hook_call)


def _title(evidence: MicroPythonEvidence, user_start: int | None) -> str:
    facts = implied_facts(evidence.version or "")
    words = [f"MicroPython {evidence.version or 'of an unknown version'}"]
    if evidence.filesystem is Filesystem.NONE:
        words.append("no filesystem")
    elif evidence.filesystem is Filesystem.LITTLEFS and facts is not None:
        words.append(f"littlefs {disk_version_words(facts.fs_version)}")
    elif evidence.filesystem is not None:
        words.append(f"{evidence.filesystem.value} filesystem")
    if user_start in _BUILDS:
        words.append(_BUILDS[user_start])
    elif user_start not in (None, WINDOW_END):
        words.append(f"custom build for 0x{user_start:x} bytes of firmware")
    return ", ".join(words)


def _missing_evidence(evidence: MicroPythonEvidence, length: int, user_start: int | None) -> str | None:
    """The reason why the pieces of evidence do not make one MicroPython image; None if they agree."""
    if evidence.version is None:
        return "it has MicroPython's code but not its banner: which version it is cannot be told"
    if evidence.sdk is None:
        return "it has MicroPython's banner but no part of Espressif's SDK: it cannot be told what it is"
    if not evidence.frozen:
        return "it has MicroPython's banner but no frozen _boot.py: it cannot be told what it is"
    if evidence.filesystem is None:
        return "which filesystem it makes cannot be told: it has no frozen inisetup.py"
    if user_start is None:
        count = "no code returns" if not evidence.user_starts else "more than one function could return"
        return f"where its filesystem starts cannot be told: {count} esp.flash_user_start()"
    if length > user_start + _MD5_BYTES:
        return f"it has {length} bytes, more than its own limit, 0x{user_start:x}"
    return None


def _layout_problem(filesystem: Filesystem | None, user_start: int | None, link: int | None) -> str | None:
    """The reason why a whole MicroPython image cannot run from a slot of any board; None if it can."""
    if link is not None and link != LINK_ADDRESS:
        return (
            f"it is linked for 0x{link:08x}, behind another loader (yaota8266); a slot runs images that are "
            f"linked for 0x{LINK_ADDRESS:08x}")
    if filesystem is Filesystem.NONE:
        return "it has no filesystem, in which the files of twoslot would lie"
    if filesystem is Filesystem.FAT:
        return "it makes a FAT filesystem, and twoslot needs LittleFS"
    return None


# Wholeness.

def _whole_image(data: bytes) -> Image:
    """The structure of an image of which every byte is proven. Raises FormatError."""
    image = parse_e9(data)
    if image.length_word is None:
        raise FormatError(
            "it has no length word, so a missing or changed byte would pass unseen", 0x8FFC,
            cure="make the .bin with MicroPython's own makeimg.py")
    if image.md5_ok is None:
        raise FormatError(
            "it has no MD5 at its end, so a changed byte would pass unseen", image.length,
            cure="get the file again, or make it with MicroPython's own makeimg.py")
    return image


def _is_esptool2_image(data: bytes) -> bool:
    """Whether a user image is whole as esptool2 makes it for rBoot: without CRC32.

    Its checksum is that of an E9 image, or goes over the irom too (-iromchksum).
    """
    start = 16 + int.from_bytes(data[12:16], "little")
    first = read_structure(data, start)
    if first is None or first.end > len(data):
        return False
    if data[first.end :].strip(b"\xff"):
        return False
    try:
        read_ram_part(data, start, len(data))
    except FormatError:
        checksum = 0xEF
        for byte in data[16:start]:
            checksum ^= byte
        at = start + 8
        for _, size in first.segments:
            for byte in data[at + 8 : at + 8 + size]:
                checksum ^= byte
            at += 8 + size
        return data[first.end - 1] == checksum
    return True
