"""Files and folders of a LittleFS2, read from its blocks alone (littlefs SPEC.md): what a cut left is read
as the board's own driver reads it, and nothing is written.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from slotbench.formats import SECTOR_BYTES, FormatError

__all__ = ["LittlefsTree", "read_tree"]

_WORD: Final = struct.Struct("<I")
_PAIR: Final = struct.Struct("<II")
_MOVE: Final = struct.Struct("<III")
_NO_TAG: Final = 0xFFFFFFFF
_GONE: Final = 0x3FF
_INVALID: Final = 1 << 31
_FOLDER, _SUPERBLOCK = 0x002, 0x0FF
_FOLDER_AT, _INLINE, _BLOCKS = 0x200, 0x201, 0x202
_CREATE, _DELETE = 0x401, 0x4FF
_SOFT_TAIL, _HARD_TAIL = 0x600, 0x601
_MOVE_STATE: Final = 0x7FF
_CHECKSUM: Final = 0x500
_NAMES, _PLACES = 0x000, 0x200


@dataclass(frozen=True, slots=True)
class LittlefsTree:
    """`files` are absolute paths and contents, folder by folder in the order of the filesystem. `metadata`
    are the numbers of the blocks that say what is where: as long as these stay, every file does.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    metadata: set[int] = field(default_factory=set)


@dataclass(slots=True)
class _Entry:
    kind: int = 0
    name: bytes = b""
    structure: int = 0
    place: bytes = b""


@dataclass(frozen=True, slots=True)
class _Log:
    """One metadata block, up to its last whole commit."""

    revision: int
    entries: tuple[_Entry, ...]
    tail: tuple[int, int] | None
    goes_on: bool
    move: bytes


def read_tree(blocks: Sequence[bytes]) -> LittlefsTree:
    """The tree in these blocks of 4096 bytes. Raises FormatError when they are no LittleFS2, or damaged."""
    tree = LittlefsTree()
    try:
        _read_folder(blocks, (0, 1), "", tree, _pending_move(blocks))
    except (IndexError, struct.error, RecursionError) as error:
        raise FormatError(f"LittleFS: it points to nowhere ({error})") from None
    return tree


def _read_folder(
    blocks: Sequence[bytes], pair: tuple[int, int], path: str, tree: LittlefsTree, move: tuple[int, ...],
) -> None:
    folders = []
    while True:
        if tree.metadata.issuperset(pair):
            raise FormatError(f"LittleFS: blocks {pair[0]} and {pair[1]} are in it twice")
        tree.metadata.update(pair)
        log = _newest(blocks, pair)
        for number, entry in enumerate(log.entries):
            if entry.kind == _SUPERBLOCK or not entry.name or (*sorted(pair), number) == move:
                continue
            name = f"{path}/{entry.name.decode('utf-8', 'surrogateescape')}"
            if entry.kind == _FOLDER:
                tree.folders.add(name)
                folders.append((name, _PAIR.unpack(entry.place)))
            else:
                tree.files[name] = _content(blocks, entry)
        if log.tail is None or not log.goes_on:
            break
        pair = log.tail
    for name, place in folders:
        _read_folder(blocks, place, name, tree, move)


def _pending_move(blocks: Sequence[bytes]) -> tuple[int, ...]:
    """Blocks and number of an entry that a rename has left in two places: the old one does not count."""
    state, pair, seen = [0, 0, 0], (0, 1), set()
    while True:
        if pair in seen:
            raise FormatError("LittleFS: its list of folders has no end")
        seen.add(pair)
        log = _newest(blocks, pair)
        if len(log.move) == _MOVE.size:
            state = [was ^ more for was, more in zip(state, _MOVE.unpack(log.move))]
        if log.tail is None:
            break
        pair = log.tail
    return (*sorted(state[1:]), state[0] >> 10 & 0x3FF) if state[0] >> 28 & 7 else ()


def _newest(blocks: Sequence[bytes], pair: tuple[int, int]) -> _Log:
    found = [log for log in (_read_log(bytes(blocks[block])) for block in pair) if log is not None]
    if not found:
        raise FormatError(f"LittleFS: neither block {pair[0]} nor block {pair[1]} has a whole commit")
    if len(found) == 2 and (found[1].revision - found[0].revision) & 0xFFFFFFFF < 1 << 31:
        return found[1]
    return found[0]


@lru_cache(maxsize=256)
def _read_log(block: bytes) -> _Log | None:
    """What a metadata block says; None when it has no whole commit."""
    entries: list[_Entry] = []
    tail, goes_on, move = None, False, b""
    is_whole = False
    for tag, data in _tags(block):
        kind, number = tag >> 20 & 0x7FF, tag >> 10 & 0x3FF
        if kind & 0x780 == _CHECKSUM:
            is_whole = True
        elif kind == _CREATE:
            entries.insert(number, _Entry())
        elif kind == _DELETE:
            del entries[number]
        elif kind & 0x700 == _NAMES:
            _entry(entries, number).kind, entries[number].name = kind, data
        elif kind & 0x700 == _PLACES:
            _entry(entries, number).structure, entries[number].place = kind, data
        elif kind in (_SOFT_TAIL, _HARD_TAIL):
            tail, goes_on = _PAIR.unpack(data), kind == _HARD_TAIL
            tail = None if _NO_TAG in tail else tail
        elif kind == _MOVE_STATE:
            move = b"" if tag & 0x3FF == _GONE else data
    return _Log(_WORD.unpack_from(block)[0], tuple(entries), tail, goes_on, move) if is_whole else None


def _entry(entries: list[_Entry], number: int) -> _Entry:
    while len(entries) <= number:
        entries.append(_Entry())
    return entries[number]


def _tags(block: bytes) -> Iterator[tuple[int, bytes]]:
    """Tags and data of a metadata block, while its commits are whole."""
    at, last, begun = _WORD.size, _NO_TAG, 0
    found: list[tuple[int, bytes]] = []
    while at + _WORD.size <= SECTOR_BYTES:
        tag = int.from_bytes(block[at : at + 4], "big") ^ last
        size = tag & 0x3FF
        end = at + 4 + (0 if size == _GONE else size)
        if tag & _INVALID or end > SECTOR_BYTES:
            return
        data = block[at + 4 : end]
        found.append((tag, data))
        last = tag
        if tag >> 20 & 0x780 == _CHECKSUM:
            if zlib.crc32(block[begun : at + 4]) ^ _NO_TAG != _WORD.unpack_from(block, at + 4)[0]:
                return
            yield from found
            found.clear()
            begun = end
            last ^= (tag >> 20 & 1) << 31
        at = end


def _content(blocks: Sequence[bytes], entry: _Entry) -> bytes:
    if entry.structure != _BLOCKS:
        return entry.place
    block, size = _PAIR.unpack(entry.place)
    if not size:
        return b""
    pieces = []
    index, end = _last_block(size - 1)
    while True:
        pointers = 4 * ((index & -index).bit_length()) if index else 0
        pieces.append(bytes(blocks[block])[pointers:end])
        if not index:
            break
        (block,) = _WORD.unpack_from(blocks[block])
        index, end = index - 1, SECTOR_BYTES
    return b"".join(reversed(pieces))


def _last_block(position: int) -> tuple[int, int]:
    """The number in its file of the block with this byte, and the end of the bytes up to it in the block."""
    room = SECTOR_BYTES - 8
    index = position // room
    if index:
        index = (position - 4 * ((index - 1).bit_count() + 2)) // room
    return index, position - room * index - 4 * index.bit_count() + 1
