"""The words of `slotbench inspect` about a firmware image, and about the flash of a stock board."""

from __future__ import annotations

from collections.abc import Iterator

from slotbench import boards
from slotbench.boards.images import fitting_slots
from slotbench.cli.inspect_words import filesystem_line
from slotbench.cli.json_output import plain
from slotbench.formats.image import Image
from slotbench.formats.littlefs import disk_version_words
from slotbench.formats.twoslot_version import twoslot_words
from slotbench.images import Family, Filesystem, IdentifiedImage
from slotbench.images.frozen import BOOT
from slotbench.inspection.stock import StockFacts

__all__ = [
    "firmware_fields", "firmware_lines", "fitting_boards", "hidden_files", "stock_fields", "stock_lines",
]

_LINE_CHARS = 78


def fitting_boards(data: bytes) -> dict[str, str]:
    """The slots that the image can run from, by the names of the bench's boards. Others are left out."""
    found = {name: fitting_slots(data, boards.load(name)) for name in boards.names()}
    return {name: slots for name, slots in found.items() if slots}


def firmware_lines(found: IdentifiedImage, fitting: dict[str, str]) -> Iterator[str]:
    """What an image is, a line for each fact. `fitting` is the result of `fitting_boards`."""
    for label, words in _facts(found, fitting):
        first, *rest = _wrapped(words)
        yield f"{label:11} {first}"
        yield from (f"{'':11} {line}" for line in rest)


def firmware_fields(found: IdentifiedImage, fitting: dict[str, str]) -> dict[str, object]:
    """The same facts for `--json`."""
    return {
        "kind": "image", "family": found.family.value, "title": found.title, "length": found.length,
        "problem": found.problem, "cure": found.cure or None, "micropython": found.micropython,
        "sdk": found.sdk, "link_address": found.link_address,
        "filesystem": found.filesystem.value if found.filesystem is not None else None,
        "fs_start": found.fs_start, "fs_version": found.fs_version, "mpy_abi": found.mpy_abi,
        "frozen": list(found.frozen), "has_twoslot": found.has_twoslot, "twoslot": found.twoslot,
        "hides_main": found.hides_main, "hides_hook": found.hides_hook, "fits": fitting,
    }


def stock_lines(facts: StockFacts) -> Iterator[str]:
    """What the flash of a board without twoslot holds, a line for each fact."""
    yield f"starts      {facts.firmware.title}"
    if (damage := _damage(facts.firmware)) is not None:
        yield f"firmware    {damage}"
    if facts.filesystem is not None:
        yield f"filesystem  {filesystem_line(facts.filesystem)}"
    for other in facts.unused:
        yield f"unused      {filesystem_line(other)}; this firmware does not use it"
    movable = facts.filesystem is not None and facts.filesystem.kind is Filesystem.LITTLEFS
    cure = ": `slotbench flash --from-stock` sets it up and moves its files"
    yield f"twoslot     not on it{cure if movable else ''}"


def stock_fields(facts: StockFacts) -> dict[str, object]:
    """The same facts for `--json`."""
    return {
        "kind": "stock flash", "firmware": firmware_fields(facts.firmware, {}),
        "filesystem": plain(facts.filesystem) if facts.filesystem is not None else None,
        "unused": [plain(other) for other in facts.unused],
    }


def _damage(firmware: IdentifiedImage) -> str | None:
    """The reason why the MicroPython that is started is not whole; None if it is, or is no MicroPython."""
    is_damaged = firmware.family is Family.MICROPYTHON and firmware.image is None
    return f"NOT WHOLE: {firmware.problem}" if is_damaged else None


def _facts(found: IdentifiedImage, fitting: dict[str, str]) -> Iterator[tuple[str, str]]:
    yield "kind", found.title
    yield "length", f"{found.length} bytes{_proof(found)}"
    if found.image is not None:
        parts = (f"0x{part.address:08x} ({len(part.data)} bytes)" for part in found.image.segments)
        yield "RAM", f"{', '.join(parts)}; checksum valid; entry 0x{found.image.entry:08x}"
        linked = f", linked for 0x{found.link_address:08x}" if found.link_address is not None else ""
        yield "irom", f"{found.image.irom_bytes} bytes from 0x{found.image.irom_offset:x}{linked}"
    if found.sdk is not None:
        yield "SDK", found.sdk
    if found.filesystem is not None:
        yield "filesystem", _filesystem(found)
    if found.mpy_abi is not None:
        yield ".mpy", f"version {found.mpy_abi}"
    if found.frozen:
        yield "frozen", f"{len(found.frozen)} modules: {', '.join(_grouped(found.frozen))}"
        yield "twoslot", twoslot_words(found.twoslot)
    yield from hidden_files(found)
    if found.problem is not None:
        yield "refused", f"{found.problem}; {found.cure}" if found.cure else found.problem
    else:
        names = [name if slots == "AB" else f"{name} (slot {slots})" for name, slots in fitting.items()]
        yield "fits", ", ".join(names) or "none of the boards that the bench knows"


def hidden_files(found: IdentifiedImage) -> Iterator[tuple[str, str]]:
    """What a frozen boot.py or main.py hides, a pair of words for each."""
    if found.hides_hook:
        yield "boot.py", "frozen: runs instead of the file, and does NOT run the boot hook"
    elif BOOT in found.frozen:
        yield "boot.py", "frozen: runs instead of the file, and names the boot hook"
    if found.hides_main:
        yield "main.py", "frozen: runs instead of the file on the board"


def _proof(found: IdentifiedImage) -> str:
    """What proves that every byte is there and unchanged."""
    if found.image is None:
        return ""
    return "; length word and MD5 valid" if isinstance(found.image, Image) else "; CRC32 valid"


def _filesystem(found: IdentifiedImage) -> str:
    if found.filesystem is Filesystem.NONE:
        return "none"
    name = "FAT" if found.filesystem is Filesystem.FAT else "littlefs"
    version = f" {disk_version_words(found.fs_version)}" if found.fs_version is not None else ""
    return f"{name}{version} from 0x{found.fs_start:x}" if found.fs_start is not None else f"{name}{version}"


def _grouped(names: tuple[str, ...]) -> list[str]:
    """Names of modules. A package is named once, with the number of its modules."""
    tops = [name.partition("/")[0] for name in names]
    return [f"{top}/ ({count})" if "/" in first else top for top, first, count in (
        (top, names[tops.index(top)], tops.count(top)) for top in dict.fromkeys(tops))]


def _wrapped(words: str) -> list[str]:
    """The words in lines of bounded length, broken at blanks."""
    lines = [""]
    for word in words.split(" "):
        if lines[-1] and len(lines[-1]) + len(word) >= _LINE_CHARS:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines
