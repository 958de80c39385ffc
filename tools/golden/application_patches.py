"""Golden patches of applications: two programs, what leads from one to the other, and what must be refused.

Their deflate streams are stored blocks: how a compressor compresses is not part of the format.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from golden.common import stream, text_of
from golden.patches import packed_numbers, stored
from slotbench.formats.application_patch import MAGIC, apply_application_patch, pack_header
from slotbench.formats.file_list import FileEntry, pack_list
from slotbench.patch.application import operations

_CODE = stream("lamp", 700)
OLD = {"lamp.mpy": _CODE, "lib/fade.mpy": stream("fade", 400), "main.py": b"import lamp\nlamp.on()\n",
       "off.txt": b"off"}
NEW = {
    "empty.txt": b"", "lamp.mpy": _CODE[:100] + b"brighter" + _CODE[104:650] + _CODE[:40],
    "lib/dim.mpy": stream("dim", 90), "lib/fade.mpy": OLD["lib/fade.mpy"], "main.py": b"import lamp, dim\n"}


def patch_files() -> dict[str, bytes]:
    """application_patches/: the files before, the new list, and patches with what they make."""
    listed = list_of(NEW)
    files = {"application_patches/new.list": listed}
    files |= {f"application_patches/old/{path}": data for path, data in OLD.items()}
    for name, data in _right():
        old = {} if name == "from_nothing" else OLD
        made = apply_application_patch(old, listed, data)
        files[f"application_patches/{name}.files"] = data
        files[f"application_patches/{name}.json"] = text_of(
            {path: hashlib.sha256(content).hexdigest() for path, content in made.items()})
    for name, data in _hostile():
        files[f"application_patches/{name}.files"] = data
        files[f"application_patches/{name}.json"] = text_of(None)
    return files


def list_of(files: Mapping[str, bytes]) -> bytes:
    """The file list of a program."""
    return pack_list(
        FileEntry(path, len(data), hashlib.sha256(data).hexdigest()) for path, data in files.items())


def _right() -> Iterator[tuple[str, bytes]]:
    yield "changed", packed(operations(OLD, NEW))
    yield "from_nothing", packed(operations({}, NEW))
    yield "nothing_changed", packed(operations(NEW, NEW))
    yield "largest_window", pack_header(12) + stored(operations(OLD, NEW))
    yield "longest_copy_to_the_end", packed(packed_numbers(0, 0, 0, 1, 400 << 1, 0, 0))
    yield "moved_behind_the_end", packed(packed_numbers(0, 0, 0, 0, 1, 1, 17, 2 * 999, NEW["main.py"]))


def _hostile() -> Iterator[tuple[str, bytes]]:
    some = stored(bytes(5))
    yield "another_magic", b"2SA0\x0a" + some
    yield "window_too_large", MAGIC + b"\x0d" + some
    yield "window_too_small", MAGIC + b"\x08" + some
    yield "nothing", b""
    yield "nothing_behind_the_header", pack_header(10)
    yield "no_deflate_stream", pack_header(10) + b"\xff\xff\xff"
    yield "endless_empty_blocks", pack_header(10) + b"\0\0\0\xff\xff" * 2000
    lamp = len(NEW["lamp.mpy"])
    for name, numbers in (
        ("long_number", (b"\x80\x80\x80\x80\0",)),
        ("empty_operation", (0, 1, 0, 0)),
        ("empty_operations", (0, 1, bytes(60_000))),
        ("move_alone", (0, 1, 1, 0, 8)),
        ("literals_behind_the_end", (0, 1, 0, lamp + 1, bytes(lamp + 1))),
        ("copy_behind_the_end", (0, 1, 300 << 1, 0, 300 << 1 | 1, 0, 2 * 300 - 1, bytes(9))),
        ("copy_behind_the_old_file", (0, 1, 11 << 1 | 1, 0, 2 * 690, bytes(9))),
        ("copy_before_the_old_file", (0, 1, 11 << 1 | 1, 0, 1, bytes(9))),
        ("before_the_old_file", (0, 1, 1, 5, 1, bytes(9))),
        ("copy_of_a_new_file", (0, 0, 1, 9 << 1, 81, bytes(81))),
        ("cut", (0, 1, 100 << 1, 8, b"brigh")),
    ):
        yield name, packed(packed_numbers(*numbers))


def packed(numbers: bytes) -> bytes:
    """A patch with these numbers and bytes."""
    return pack_header(10) + stored(numbers)
