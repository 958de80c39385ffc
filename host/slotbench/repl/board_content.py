"""The content of a connected board, as far as a deploy needs it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from slotbench.errors import USAGE, BenchError
from slotbench.formats import FormatError
from slotbench.formats.application_record import FILES as RECORDS
from slotbench.formats.application_record import LIST_PART, PART, WHY
from slotbench.formats.descriptor import SlotDescriptor
from slotbench.formats.twoslot_version import NONE
from slotbench.images.versions import OLDEST_WORDS, is_too_old
from slotbench.mpy import ABI, PACKAGE
from slotbench.mpy.pack import CHOICE, MODULE, PACK, RECORD, SECOND_PACK
from slotbench.repl.package import HOOK
from slotbench.repl.transports import ReplTransport, parse_reports
from slotbench.untrusted import load_json

__all__ = ["BOOT", "HELPERS", "OWN", "STAGE", "BoardContent", "facts_by_path", "read_board"]

STAGE: Final = "twoslot.part"
"""The folder on the board that new files are copied to first."""
BOOT: Final = "boot.py"
OWN: Final = (
    HOOK, PACK, SECOND_PACK, MODULE, CHOICE, RECORD, "twoslot.json", "twoslot.keys", "twoslot.keys2",
    "twoslot.secret", "twoslot.devkey", "twoslot.wifi", "twoslot.wifi.part", *RECORDS, PART, LIST_PART, WHY,
    "twoslot.etag", "twoslot.keys.part")
"""The files of twoslot beside its package."""

_SHOWN: Final = (BOOT, "twoslot.json", "twoslot.secret")

HELPERS: Final = """\
import os
os.chdir("/")
try:
    os.umount("/twoslot")
except (AttributeError, OSError):
    pass
from binascii import hexlify
from hashlib import sha256
def digest(path):
    s, b = sha256(), bytearray(256)
    try:
        with open(path, "rb") as f:
            n = f.readinto(b)
            while n:
                s.update(memoryview(b)[:n])
                n = f.readinto(b)
    except OSError:
        return None
    return hexlify(s.digest()).decode()
def names(folder):
    try:
        return os.listdir(folder)
    except OSError:
        return []
def paths(folder):
    for n in names(folder):
        path = folder + "/" + n
        if os.stat(path)[0] & 0x4000:
            yield from paths(path)
        else:
            yield path
def attempt(call, path):
    try:
        call(path)
    except OSError:
        pass
def remove_tree(folder):
    for n in names(folder):
        remove_tree(folder + "/" + n)
        attempt(os.remove, folder + "/" + n)
    attempt(os.rmdir, folder)
def say(*what):
    print("@twoslot", what)
"""
"""What the scripts for a board begin with. An application that runs has changed the folder, and a pack
(slotbench.mpy.pack) is mounted where files may come to lie; the next start mounts it again.
"""
_READ_BOARD: Final = HELPERS + """\
import machine, sys
i = sys.implementation
say("vm", i.name, tuple(i.version)[:3], getattr(i, "_mpy", 0), sys.platform)
say("id", hexlify(machine.unique_id()).decode())
try:
    i = os.statvfs("/")
    say("room", i[0], i[3])
except (AttributeError, OSError):
    pass
for f in (%(package)r, %(stage)r):
    for path in paths(f):
        say("file", path, digest(path))
for n in %(own)r:
    if digest(n):
        say("file", n, digest(n))
for n in %(shown)r:
    if digest(n):
        with open(n, "rb") as f:
            say("text", n, f.read())
"""
# Which twoslot the running firmware has, whatever shadows it, and the descriptors of both slots (FORMATS.md,
# map table). The modules of the run that was stopped come back afterwards.
_READ_FIRMWARE: Final = HELPERS + """\
import esp, sys
path, kept = sys.path[:], {n: sys.modules[n] for n in sys.modules if n.split(".")[0] == "twoslot"}
def forget():
    for n in list(sys.modules):
        if n.split(".")[0] == "twoslot":
            sys.modules.pop(n)
forget()
sys.path[:] = [p for p in path if ".frozen" in p]
try:
    import twoslot
    say("frozen", twoslot.__version__)
except (ImportError, AttributeError):
    pass
sys.path[:] = path
forget()
sys.modules.update(kept)
table = bytearray(72)
esp.flash_read(0xFB8, table)
if table[:4] == b"2SM1":
    for i in (16, 24):
        page = bytearray(256)
        esp.flash_read(int.from_bytes(table[i:i + 4], "little"), page)
        say("slot", bytes(page))
else:
    say("no loader")
"""


@dataclass(frozen=True, slots=True)
class BoardContent:
    """The content of a board, as far as a deploy needs it.

    `hashes` are SHA-256 in hex by path (no leading slash), `staged` those in the staging folder by name.
    `boot`, `settings` and `identity` are the content of boot.py, twoslot.json and twoslot.secret. `chip_id`
    is in hex. `frozen` is the version of the twoslot in the firmware that runs, None for none; `slots` that
    of the firmware in each slot that has one, as a number (formats.twoslot_version). Without a loader the
    board is a stock board, and could install nothing. `block_bytes` and `free_blocks` are those of its
    filesystem, None where it does not say.
    """

    version: tuple[int, ...]
    mpy_abi: int
    hashes: Mapping[str, str]
    staged: Mapping[str, str]
    boot: bytes | None
    settings: Mapping[str, Any]
    chip_id: str = ""
    identity: bytes | None = None
    frozen: str | None = None
    slots: tuple[int, ...] = ()
    has_loader: bool = True
    block_bytes: int | None = None
    free_blocks: int | None = None

    @property
    def has_package(self) -> bool:
        """Whether twoslot is there as files, or as one."""
        return PACK in self.hashes or any(path.startswith(f"{PACKAGE}/") for path in self.hashes)

    @property
    def has_applications(self) -> bool:
        """Whether it starts a program from /app_a or /app_b by its record."""
        return any(name in self.hashes for name in RECORDS)

    @property
    def every_slot_has_twoslot(self) -> bool:
        """Whether each firmware that the board could start has twoslot frozen: no files are needed then."""
        return self.frozen is not None and bool(self.slots) and NONE not in self.slots

    @property
    def device_id(self) -> str:
        """The device id: the board's setting, or else the chip id."""
        return str(self.settings.get("device_id") or self.chip_id)

    @property
    def interrupted(self) -> bool:
        """Whether a deploy was interrupted."""
        return bool(self.staged)


def read_board(transport: ReplTransport, port: str, flash_command: str = "") -> BoardContent:
    """Read a board without changing it. `flash_command` puts a firmware on it, for cures.

    Raises BenchError if it is lost or not a board for twoslot.
    """
    command = flash_command or f"slotbench flash --port {port}"
    flash = f"flash MicroPython {OLDEST_WORDS}: {command} --image firmware.bin"
    script = _READ_BOARD % {"package": PACKAGE, "stage": STAGE, "own": OWN, "shown": _SHOWN}
    try:
        facts = parse_reports(transport.run_script(script))
        version, mpy = _require_micropython(facts, port, flash)
        found = _read_facts(facts + parse_reports(transport.run_script(_READ_FIRMWARE)), version, mpy)
        if found.frozen is None and found.mpy_abi != ABI:
            raise BenchError(
                f"MicroPython on the board loads .mpy format {found.mpy_abi}, twoslot has format {ABI}",
                where=port, cure=flash)
        return found
    except (ValueError, TypeError, IndexError, AttributeError):
        raise BenchError(
            "the board's answer cannot be read", where=port,
            cure="see what it prints with `mpremote connect PORT repl`; a program in boot.py may print too",
            exit_code=USAGE) from None


def _require_micropython(
    facts: Sequence[tuple[Any, ...]], port: str, flash: str,
) -> tuple[tuple[int, ...], int]:
    """The version of MicroPython and `sys.implementation._mpy`. `flash` is the cure for an old one.

    Raises BenchError, and what a wrong shape leads to.
    """
    vm = next((fact for fact in facts if fact[0] == "vm"), None)
    if vm is None:
        raise BenchError(
            "the board does not run MicroPython", where=port,
            cure="flash it first with `slotbench flash`", exit_code=USAGE)
    _, name, version, mpy, platform = vm
    if name != "micropython" or platform != "esp8266":
        raise BenchError(
            f"the board runs {name} on {platform}, not MicroPython on an ESP8266", where=port,
            cure="check --port")
    shown = ".".join(map(str, version))
    if is_too_old(shown):
        raise BenchError(
            f"MicroPython {shown} on the board is too old: twoslot needs {OLDEST_WORDS}", where=port,
            cure=flash)
    return version, mpy


def _read_facts(facts: Sequence[tuple[Any, ...]], version: tuple[int, ...], mpy: int) -> BoardContent:
    """The content of the board that reported these. Raises what a wrong shape leads to."""
    hashes = facts_by_path(facts, "file")
    texts = facts_by_path(facts, "text")
    try:
        settings = load_json(texts.get("twoslot.json", b"{}"))
    except ValueError:
        settings = {}
    prefix = f"{STAGE}/"
    return BoardContent(
        version=version, mpy_abi=mpy & 0xFF, boot=texts.get(BOOT),
        hashes={path: digest for path, digest in hashes.items() if not path.startswith(prefix)},
        staged={path.removeprefix(prefix): d for path, d in hashes.items() if path.startswith(prefix)},
        settings=settings if isinstance(settings, dict) else {},
        chip_id=next((str(fact[1]) for fact in facts if fact[0] == "id"), ""),
        identity=texts.get("twoslot.secret"),
        frozen=next((str(fact[1]) for fact in facts if fact[0] == "frozen"), None),
        slots=tuple(number for fact in facts if fact[0] == "slot" for number in _twoslot_of(fact[1])),
        has_loader=("no loader",) not in facts,
        block_bytes=next((int(fact[1]) for fact in facts if fact[0] == "room"), None),
        free_blocks=next((int(fact[2]) for fact in facts if fact[0] == "room"), None))


def _twoslot_of(page: bytes) -> tuple[int, ...]:
    """The version of the twoslot in the firmware that a descriptor describes; nothing without a valid one."""
    try:
        return (SlotDescriptor.unpack(page).twoslot,)
    except FormatError:
        return ()


def facts_by_path(reports: Iterable[tuple[Any, ...]], kind: str) -> dict[str, Any]:
    """The facts of one kind that a script reported, by path."""
    return {fact[1]: fact[2] for fact in reports if fact[0] == kind}
