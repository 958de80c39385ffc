"""twoslot on a connected board: what belongs there, what is there, and the steps between.

Files are put into a folder beside, compared by hash, and renamed into place with boot.py last: broken off
anywhere the board has the old or the new, whole, and the same again goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from slotbench import data_path
from slotbench.errors import USAGE, BenchError
from slotbench.mpy import ABI, compile_package, sources
from slotbench.repl.transports import ReplTransport, reported

__all__ = ["Found", "boot_with", "boot_without", "carry_out", "look", "package", "settings_of", "undo"]

_STAGE: Final = "twoslot.part"
_PACKAGE: Final = "twoslot"
_BOOT: Final = "boot.py"
_HOOK: Final = "twoslot_boot.py"
_OWN: Final = (_HOOK, "twoslot.json", "twoslot.keys", "twoslot.keys2", "twoslot.secret", "twoslot.devkey")
_SHOWN: Final = (_BOOT, "twoslot.json", "twoslot.secret")
_MARK: Final = "# twoslot"
_VERSION_MIN: Final = (1, 22)
"""The oldest MicroPython that loads this .mpy format and was seen to run twoslot (1.22.1, emulated)."""

_SCRIPT: Final = """\
import os
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
_LOOK: Final = _SCRIPT + """\
import machine, sys
i = sys.implementation
say("vm", i.name, tuple(i.version)[:3], getattr(i, "_mpy", 0), sys.platform)
say("id", hexlify(machine.unique_id()).decode())
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
_STAGE_READY: Final = _SCRIPT + """\
attempt(os.mkdir, %(stage)r)
for n in names(%(stage)r):
    if n not in %(keep)r:
        attempt(os.remove, %(stage)r + "/" + n)
"""
_INSTALL: Final = _SCRIPT + """\
for f in %(folders)r:
    attempt(os.mkdir, f)
for n, path, wanted in %(moves)r:
    if digest(path) != wanted and digest(%(stage)r + "/" + n) == wanted:
        os.rename(%(stage)r + "/" + n, path)
    say("file", path, digest(path))
for path in %(gone)r:
    attempt(os.remove, path)
for f in %(emptied)r:
    attempt(os.rmdir, f)
remove_tree(%(stage)r)
"""
_REMOVE: Final = _SCRIPT + """\
n = %(stage)r + "/boot.py"
if digest(n) and digest(n) == %(boot)r:
    os.rename(n, "boot.py")
elif %(boot)r is None:
    attempt(os.remove, "boot.py")
remove_tree(%(stage)r)
remove_tree(%(package)r)
for n in %(own)r:
    attempt(os.remove, n)
say("boot", digest("boot.py"))
"""


@dataclass(frozen=True, slots=True)
class Found:
    """What is on the board: hashes by path (no leading slash), staged ones by name; three files' content, and
    the chip's id in hex.
    """

    version: tuple[int, ...]
    mpy_abi: int
    hashes: Mapping[str, str]
    staged: Mapping[str, str]
    boot: bytes | None
    settings: Mapping[str, Any]
    chip_id: str = ""
    identity: bytes | None = None

    @property
    def device_id(self) -> str:
        """What it calls itself: its setting, or the chip's id."""
        return str(self.settings.get("device_id") or self.chip_id)

    @property
    def interrupted(self) -> bool:
        """Whether a deploy was broken off."""
        return bool(self.staged)


def look(client: ReplTransport, port: str) -> Found:
    """Look at a board, change nothing. Raises BenchError: not a board for twoslot, or lost."""
    script = _LOOK % {"package": _PACKAGE, "stage": _STAGE, "own": _OWN, "shown": _SHOWN}
    facts = reported(client.run(script))
    vm = next((fact for fact in facts if fact[0] == "vm"), None)
    if vm is None:
        raise BenchError(
            "what answers there does not run MicroPython", where=port,
            do="flash it first: slotbench flash", exit_code=USAGE)
    _, name, version, mpy, platform = vm
    if name != "micropython" or platform != "esp8266":
        raise BenchError(
            f"{name} on {platform}, not MicroPython on an ESP8266", where=port, do="is it the right --port?")
    shown, oldest = (".".join(map(str, numbers)) for numbers in (version, _VERSION_MIN))
    if mpy & 0xFF != ABI or version[:2] < _VERSION_MIN:
        why = f"loads .mpy format {mpy & 0xFF}, twoslot is of format {ABI}" if mpy & 0xFF != ABI else (
            f"is too old, twoslot needs {oldest} or later")
        raise BenchError(
            f"its MicroPython {shown} {why}", where=port,
            do=f"flash MicroPython {oldest} or later: slotbench flash")
    hashes = _facts(facts, "file")
    texts = _facts(facts, "text")
    try:
        settings = json.loads(texts.get("twoslot.json", b"{}"))
    except ValueError:
        settings = {}
    prefix = f"{_STAGE}/"
    return Found(
        version=version, mpy_abi=mpy & 0xFF, boot=texts.get(_BOOT),
        hashes={path: digest for path, digest in hashes.items() if not path.startswith(prefix)},
        staged={path.removeprefix(prefix): d for path, d in hashes.items() if path.startswith(prefix)},
        settings=settings if isinstance(settings, dict) else {},
        chip_id=next((str(fact[1]) for fact in facts if fact[0] == "id"), ""),
        identity=texts.get("twoslot.secret"))


def package() -> dict[str, bytes]:
    """Path -> content of what is the same for all boards: the package as .mpy, in its folders, and the hook.

    Raises BenchError without mpy-cross.
    """
    compiled = compile_package(sources())
    files = {f"{_PACKAGE}/{name.removesuffix('.py')}.mpy": data for name, data in compiled.items()}
    return {**files, _HOOK: data_path("device", _HOOK).read_bytes()}


def settings_of(found: Mapping[str, Any], given: Mapping[str, str | bool | None], port: str) -> bytes:
    """twoslot.json: what is `given`, else what the board had. Raises BenchError: something is missing."""
    settings = {**found, **{key: value for key, value in given.items() if value is not None}, "mpy_abi": ABI}
    settings.setdefault("channel", "stable")
    if missing := [f"--{key}" for key in ("product", "board", "server") if key not in settings]:
        raise BenchError(
            "the board's settings are not known yet", where=port, do=f"give {', '.join(missing)}",
            exit_code=USAGE)
    return json.dumps(settings).encode()


def boot_with(boot: bytes | None, line: str) -> bytes:
    """A boot.py that begins with `line`, which is marked as ours; all else as it was."""
    return line.encode() + b"\n" + (boot_without(boot) or b"")


def boot_without(boot: bytes | None) -> bytes | None:
    """A boot.py without lines of ours; None when nothing is left of it."""
    kept = [line for line in (boot or b"").splitlines(keepends=True) if not _is_ours(line)]
    return b"".join(kept) or None


def carry_out(
    client: ReplTransport, found: Found, files: Mapping[str, bytes], port: str,
    on_step: Callable[[str], object] = lambda words: None,
) -> int:
    """Make `files` (path -> content, with boot.py) those of the board; how many were written.

    Modules of another version of ours go, and the folders that they leave empty. Raises BenchError: lost, or
    a file is not what was written.
    """
    wanted = {path: _digest(data) for path, data in files.items()}
    now = {**found.hashes, _BOOT: _digest(found.boot) if found.boot is not None else ""}
    new = [path for path in files if now.get(path) != wanted[path]]
    stale = [path for path in found.hashes if path.startswith(f"{_PACKAGE}/") and path not in files]
    if not new and not stale and not found.interrupted:
        return 0
    names = {_name(path): path for path in new}
    there = [name for name, path in names.items() if found.staged.get(name) == wanted[path]]
    client.run(_STAGE_READY % {"stage": _STAGE, "keep": there})
    missing = {name: files[path] for name, path in names.items() if name not in there}
    total = sum(map(len, missing.values()))
    on_step(f"{len(missing)} of {len(files)} files to put, {total} bytes; {len(there)} were there already")
    client.put(_STAGE, missing)
    on_step("comparing, and renaming into place")
    # boot.py last: what it runs is whole by then.
    moves = [(_name(path), path, wanted[path]) for path in sorted(new, key=lambda path: path == _BOOT)]
    emptied = sorted(set(_folders(stale)) - set(_folders(files)), key=len, reverse=True)
    said = client.run(_INSTALL % {
        "stage": _STAGE, "folders": _folders(new), "moves": moves, "gone": stale, "emptied": emptied})
    _require(_facts(reported(said), "file"), wanted, new, port)
    return len(new)


def undo(client: ReplTransport, found: Found, port: str) -> None:
    """Take away all that `carry_out` put there, and our line from boot.py. Raises BenchError."""
    rest = boot_without(found.boot)
    boot = _digest(rest) if rest is not None else None
    if rest is not None and rest != found.boot:
        client.run(_STAGE_READY % {"stage": _STAGE, "keep": []})
        client.put(_STAGE, {_BOOT: rest})
    said = reported(client.run(_REMOVE % {"stage": _STAGE, "package": _PACKAGE, "own": _OWN, "boot": boot}))
    if ("boot", boot) not in said:
        raise BenchError("boot.py is not what it should be", where=port, do="run the same command again")


def _require(after: Mapping[str, str], wanted: Mapping[str, str], paths: Iterable[str], port: str) -> None:
    wrong = [path for path in paths if after.get(path) != wanted[path]]
    if wrong:
        raise BenchError(
            f"{len(wrong)} files are not what was written, {wrong[0]} first", where=port,
            do="run the same command again: it goes on where it was")


def _facts(reports: Iterable[tuple[Any, ...]], kind: str) -> dict[str, Any]:
    """What a script said about paths."""
    return {fact[1]: fact[2] for fact in reports if fact[0] == kind}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _name(path: str) -> str:
    """What a file is called while it is staged: the folder for that has no folders."""
    return path.replace("/", "-")


def _folders(paths: Iterable[str]) -> list[str]:
    """The folders of these files, each after the one that it is in."""
    return sorted({folder.as_posix() for path in paths for folder in PurePosixPath(path).parents} - {"."})


def _is_ours(line: bytes) -> bool:
    return line.rstrip().endswith(_MARK.encode())
