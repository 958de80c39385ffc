"""Deploying twoslot to a connected board: the files it needs, the files it has, and the steps between.

New files are first copied to a staging folder, then checked by hash and renamed into place, boot.py last. If
a deploy is interrupted, the board has the old or the new package as a whole, and the same command continues.
"""

from __future__ import annotations

import hashlib
import json
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from slotbench.errors import USAGE, BenchError
from slotbench.formats.application_record import FOLDERS
from slotbench.mpy import ABI, PACKAGE, compile_mpy
from slotbench.mpy.pack import PACK, SECOND_PACK
from slotbench.repl.board_content import BOOT, HELPERS, OWN, STAGE, BoardContent, facts_by_path
from slotbench.repl.room import require_room
from slotbench.repl.transports import CopyProgress, ReplTransport, parse_reports

__all__ = [
    "HOOK_CHECK", "add_boot_line", "install_files", "merge_settings", "pin_keys", "remove_boot_line",
    "remove_files", "require_compilable", "require_hook",
]

_HOOK_CALL: Final = re.compile(rb"(__import__\(.twoslot_boot.\)|import twoslot_boot)\s*(#.*)?")

_NAME_CHARS: Final = 16
_MOVES: Final = "moves"
"""The list in the staging folder of what is renamed: file, path, SHA-256."""
HOOK_CHECK: Final = "import twoslot; twoslot.deadline is not None"
"""A line for the prompt: whether the boot hook ran in this start."""

_PREPARE_STAGE: Final = HELPERS + """\
attempt(os.mkdir, %(stage)r)
for n in names(%(stage)r):
    if n not in %(keep)r:
        attempt(os.remove, %(stage)r + "/" + n)
"""
_INSTALL_FILES: Final = HELPERS + """\
for f in %(folders)r:
    attempt(os.mkdir, f)
with open(%(stage)r + "/" + %(moves)r) as moves:
    for line in moves:
        n, path, wanted = line[:-1].split("\\t")
        if digest(path) != wanted and digest(%(stage)r + "/" + n) == wanted:
            os.rename(%(stage)r + "/" + n, path)
        say("file", path, digest(path))
# In one piece: half of a package would hide a frozen one.
for f in %(whole)r:
    attempt(lambda f: os.rename(f, %(stage)r + "/old"), f)
for path in %(gone)r:
    attempt(os.remove, path)
for f in %(emptied)r:
    attempt(os.rmdir, f)
remove_tree(%(stage)r)
"""
_REMOVE_FILES: Final = HELPERS + """\
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
# The modules of this package may be those of before: what the hook imported at the start. Collected before
# and after the imports, the heap has pieces that are long enough.
_PIN_KEYS: Final = HELPERS + """\
import gc, sys
for n in list(sys.modules):
    if n.startswith("twoslot"):
        sys.modules.pop(n)
gc.collect()
gc.threshold(1024)  # else garbage lies between what stays, and a line of keys has no room
try:
    if "twoslot_choice.mpy" in names("/"):
        import twoslot_choice
        gc.collect()
    import twoslot
    from twoslot import errors
    gc.collect()
    from twoslot.trust import pinning
    gc.collect()
    say("pinned", pinning.pin())
except Exception as e:
    say("pinned", "error %d at %d" % e.args if len(e.args) == 2 else repr(e))
"""


def merge_settings(found: Mapping[str, Any], given: Mapping[str, str | bool | None], port: str) -> bytes:
    """The content of twoslot.json: `given` values, else those of the board.

    Raises BenchError if one is missing.
    """
    settings = {**found, **{key: value for key, value in given.items() if value is not None}, "mpy_abi": ABI}
    settings.setdefault("channel", "stable")
    if missing := [f"--{key}" for key in ("product", "board", "server") if key not in settings]:
        raise BenchError(
            "the board has no settings yet", where=port, cure=f"give {', '.join(missing)}",
            exit_code=USAGE)
    return json.dumps(settings).encode()


def add_boot_line(boot: bytes | None, line: str) -> bytes:
    """boot.py with `line`, which runs the boot hook, as its first line. Other lines stay, but not a byte
    order mark, with which MicroPython reads nothing of the file.
    """
    rest = (remove_boot_line((boot or b"").removeprefix(BOM_UTF8)) or b"").removeprefix(BOM_UTF8)
    return line.encode() + b"\n" + rest


def require_compilable(boot: bytes, port: str) -> None:
    """Raise BenchError if MicroPython cannot compile this boot.py: nothing of it would run."""
    try:
        compile_mpy(BOOT, boot)
    except BenchError as error:
        if error.exit_code == USAGE:
            raise
        raise BenchError(
            f"MicroPython cannot compile {error.where}, so nothing of it would run ({error.what})",
            where=port,
            cure="correct it (mpremote edit :boot.py), then run the same command again") from None


def require_hook(said: str, port: str) -> None:
    """Raise BenchError unless the board says that boot.py ran the boot hook. `said` is what HOOK_CHECK
    printed.
    """
    if said.strip().splitlines()[-1:] != ["True"]:
        raise BenchError(
            "boot.py did not run the boot hook when the board was restarted, so nothing can be installed",
            where=port,
            cure="press reset with mpremote repl open to see why; a frozen boot.py has to run it itself")


def remove_boot_line(boot: bytes | None) -> bytes | None:
    """boot.py without the lines that run the boot hook; None if nothing is left."""
    kept = [
        line for line in (boot or b"").splitlines(keepends=True) if not _HOOK_CALL.fullmatch(line.rstrip())]
    return b"".join(kept) or None


def install_files(
    transport: ReplTransport, found: BoardContent, files: Mapping[str, bytes], port: str,
    on_step: Callable[[str], object] = lambda words: None,
    progress: CopyProgress = lambda done, total: None, *, keeps_package: bool = False,
) -> int:
    """Install `files` (content by path, with boot.py) on the board; return the number of files written.

    `on_step` receives each step in words, `progress` the bytes that were copied.

    Other modules in the package folder are deleted, and the folders that this empties: the whole folder where
    `files` has none of them. `keeps_package` leaves it alone. Raises BenchError if the board is lost or a
    file does not hold what was written.
    """
    wanted = {path: _digest(data) for path, data in files.items()}
    now = {**found.hashes, BOOT: _digest(found.boot) if found.boot is not None else ""}
    new = [path for path in files if now.get(path) != wanted[path]]
    inside = f"{PACKAGE}/"
    stale = [path for path in found.hashes if path.startswith(inside) and path not in files]
    if keeps_package:
        stale = []
    whole = [PACKAGE] if stale and not any(path.startswith(inside) for path in files) else []
    # Without the second pack the first one runs, whatever the record says.
    second = [SECOND_PACK] if PACK in files and SECOND_PACK in found.hashes else []
    if not new and not stale and not second and not found.interrupted:
        return 0
    names = {_file_name(path): path for path in new}
    staged = [name for name, path in names.items() if found.staged.get(name) == wanted[path]]
    transport.run_script(_PREPARE_STAGE % {"stage": STAGE, "keep": staged})
    missing = {name: files[path] for name, path in names.items() if name not in staged}
    total = sum(map(len, missing.values()))
    there = {folder for path in found.hashes for folder in _folders([path])}
    require_room(
        found.block_bytes, found.free_blocks, map(len, missing.values()),
        len([folder for folder in _folders(new) if folder not in there]), port)
    on_step(f"copying {len(missing)} of {len(files)} files, {total} bytes; {len(staged)} are already staged")
    # boot.py last: then everything it runs is in place. A file, not a list: that would fill the board's heap.
    ordered = sorted(new, key=lambda path: path == BOOT)
    moves = "".join(f"{_file_name(path)}\t{path}\t{wanted[path]}\n" for path in ordered)
    transport.put_files(f"/{STAGE}", {**missing, _MOVES: moves.encode()}, progress)
    on_step("checking hashes and renaming into place")
    emptied = sorted(set(_folders(stale)) - set(_folders(files)), key=len, reverse=True)
    said = transport.run_script(_INSTALL_FILES % {
        "stage": STAGE, "moves": _MOVES, "folders": _folders(new), "whole": whole,
        "gone": second if whole else stale + second, "emptied": [] if whole else emptied})
    _require_hashes(facts_by_path(parse_reports(said), "file"), wanted, new, port)
    return len(new)


def pin_keys(transport: ReplTransport) -> bool | str:
    """Make the boot journal mean the keys in the board's files. It must be done after `install_files`.

    True if it meant others, or none; False if it meant these. Else the board's exception, as text: a board
    whose loader never ran has no journal, and in a trial the keys stay as they are.
    """
    said = parse_reports(transport.run_script(_PIN_KEYS))
    return next((fact[1] for fact in said if fact[0] == "pinned"), "no answer")


def remove_files(transport: ReplTransport, found: BoardContent, port: str) -> None:
    """Delete all files that `install_files` writes, and the line in boot.py. Raises BenchError."""
    rest = remove_boot_line(found.boot)
    boot = _digest(rest) if rest is not None else None
    if rest is not None and rest != found.boot:
        transport.run_script(_PREPARE_STAGE % {"stage": STAGE, "keep": []})
        transport.put_files(f"/{STAGE}", {BOOT: rest})
    said = parse_reports(transport.run_script(
        _REMOVE_FILES % {"stage": STAGE, "package": PACKAGE, "own": OWN, "boot": boot}))
    if ("boot", boot) not in said:
        raise BenchError("boot.py was not restored", where=port, cure="run the same command again")


def _require_hashes(
    after: Mapping[str, str], wanted: Mapping[str, str], paths: Iterable[str], port: str,
) -> None:
    wrong = [path for path in paths if after.get(path) != wanted[path]]
    if wrong:
        raise BenchError(
            f"{len(wrong)} files do not hold what was written, the first is {wrong[0]}", where=port,
            cure="run the same command again; it continues where it stopped")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _file_name(path: str) -> str:
    """The name of a file in the staging folder, which has no folders of its own."""
    if path.startswith(FOLDERS):
        return hashlib.sha256(path.encode()).hexdigest()[:_NAME_CHARS]  # any name may be there
    return path.replace("/", "-")


def _folders(paths: Iterable[str]) -> list[str]:
    """The folders of these files, each after its parent folder."""
    return sorted({folder.as_posix() for path in paths for folder in PurePosixPath(path).parents} - {"."})
