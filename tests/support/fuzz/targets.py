"""What a fuzzer that follows the coverage may feed: for each target seeds, and a function of any bytes that fails when
a promise does not hold (support.fuzz.checks).

Seals and signatures stop a fuzzer at the door. So the first byte says whether the bytes get a seal, and heads and
releases are read as if their key were stolen: what is behind the door is reached too.
"""

from __future__ import annotations

import atexit
import base64
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from slotbench import boards, data_path
from slotbench.formats import FormatError, maptable, rtc, windowlog
from slotbench.formats.descriptor import ImageForm, SlotDescriptor
from slotbench.formats.journal import CELLS, JournalCell, SlotState
from slotbench.formats.seal import BODY_BYTES, OPEN_OFFSET, PAGE_BYTES, digest8
from slotbench.formats.patch import HEADER_BYTES
from slotbench.patch import make_patch
from slotbench.vboard.vm import CPythonVM
from support.device.board import BOARD, VECTORS, DeviceBoard, firmware, keys_document, signing_key
from support.device.network import CLOSE, Fail, Item, Wait, chunked, head, ok
from support.device.release import head_fields, payload, release_fields
from support.fuzz import checks as fuzz_checks
from support.fuzz import patch_checks
from support.fuzz.checks import RIGHT, Writing

__all__ = ["TARGETS", "Target"]

_SEAL = 0x80
_RECORD = 1 + PAGE_BYTES
_LENGTH = 3 * 4096 + 2


class Fuzzed:
    """One board whose flash, RTC memory and files are set anew for each input."""

    @cached_property
    def device(self) -> DeviceBoard:
        return DeviceBoard()

    @cached_property
    def vm(self) -> CPythonVM:
        return self.device.start()

    def believe(self) -> CPythonVM:
        """Take every signature for a right one from now on."""
        rsa = self.vm.import_("twoslot.trust.rsa")
        rsa.begin, rsa.step, rsa.is_signature = lambda n, s: [n, s], lambda sums, ms: True, lambda sums, digest: True
        return self.vm

    @cached_property
    def folder(self) -> Path:
        folder = tempfile.mkdtemp(prefix="slotbench-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)


@dataclass(frozen=True)
class Target:
    """`run` takes any bytes, up to `longest`."""

    name: str
    run: Callable[[Fuzzed, bytes], object]
    seeds: Sequence[bytes]
    longest: int = 4096


def _page(data: bytes, seal: int) -> bytes:
    page = data[:PAGE_BYTES].ljust(PAGE_BYTES, b"\xff")
    return page[:BODY_BYTES] + digest8(page[:BODY_BYTES]) + page[OPEN_OFFSET:] if seal & _SEAL else page


def _region(data: bytes) -> bytes:
    """Pages, each behind a byte that says where it is and whether it is sealed."""
    pages = [b"\xff" * PAGE_BYTES] * CELLS
    for at in range(0, len(data), _RECORD):
        pages[data[at] % CELLS] = _page(data[at + 1 : at + _RECORD], data[at])
    return b"".join(pages)


def _journal(on: Fuzzed, data: bytes) -> None:
    region = _region(data)
    for check in (fuzz_checks.newest_cell, fuzz_checks.next_cell):
        try:
            check(on.device, on.vm, region)
        except FormatError:
            pass  # sealed, and wrong: the bench says so, the device had to read on


def _descriptor(on: Fuzzed, data: bytes) -> None:
    how = data[0] if data else 0
    fuzz_checks.descriptor(on.device, on.vm, _page(data[1:], how), how & 1)


def _sealed(data: bytes, seal_at: int, size: int) -> bytes:
    """As `_page`, for what has its seal elsewhere."""
    how, body = (data[0] if data else 0), data[1 : 1 + size].ljust(size, b"\xff")
    return body[:seal_at] + digest8(body[:seal_at]) + body[seal_at + 8 :] if how & _SEAL else body


def _windowlog(on: Fuzzed, data: bytes) -> None:
    """So many entries that were used up, then the bytes."""
    used = windowlog.DIRTY_ENTRY * (data[0] if data else 0) + data[1:]
    fuzz_checks.window_log(on.device, on.vm, used[:4096].ljust(4096, b"\xff"))


def _document(on: Fuzzed, data: bytes) -> None:
    kind = "release" if data[:1] > b"\x7f" else "head"
    fuzz_checks.document_text(on.vm, data[1:], kind)


def _believed(line: bytes, key: str) -> bytes:
    """A document with this line 1; its board accepts every signature."""
    return line + b"\n" + signing_key(key).key_id.encode() + b" " + base64.b64encode(bytes(384)) + b"\n"


def _head(on: Fuzzed, data: bytes) -> None:
    text = _believed(data.replace(b"\n", b" "), "online")
    fuzz_checks.head_of_the_online_key(on.believe(), text, signed=True)


def _release(on: Fuzzed, data: bytes) -> None:
    line = data.replace(b"\n", b" ")
    try:
        fields = json.loads(line)
        counter = fields.get("counter") if isinstance(fields, dict) else None
    except (ValueError, RecursionError):
        counter = None
    named = head_fields(line, counter=counter if fuzz_checks.is_counter(counter) else 6)
    fuzz_checks.release_of_the_offline_key(
        on.device, on.believe(), _believed(line, "offline"), _believed(payload(named), "online"), signed=True)


def _blocks(on: Fuzzed, data: bytes) -> None:
    """A table, a block, or a whole slot that holds something."""
    writing = Writing(on.device, on.vm, _LENGTH)
    how, rest = (data[0] if data else 0), data[1:]
    if how < 0x55:
        writing.any_table(_over(writing.table, rest))
        return
    writing.put_table(writing.table)
    if how < 0xAA:
        writing.scan.check_block(writing.slot, 0)
        writing.any_block(how % 3, _over(writing.image[how % 3 * 4096 :][:4096], rest))
    else:
        writing.any_slot(_over(writing.image, rest))


def _over(right: bytes, data: bytes) -> bytes:
    """The right bytes, with others from some place on: two bytes say where."""
    at = int.from_bytes(data[:2], "little") % len(right)
    return (right[:at] + data[2:] + right[at + len(data[2:]) :])[: len(right)]


def _answer(on: Fuzzed, data: bytes) -> None:
    """How it is asked for and arrives are three bytes; then the answer."""
    how, size, pause = (*data[:3], 0, 0, 0)[:3]
    answer = data[3:]
    step = size or max(1, len(answer))
    items: list[Item] = []
    for at in range(0, len(answer), step):
        items += [answer[at : at + step], *([Wait(16 * pause)] if pause else [])]
    items += ([CLOSE], [Fail()], [], [])[how >> 2 & 3]
    if how & 1:
        fuzz_checks.answer_as_blocks(items, answer)
    else:
        fuzz_checks.answer_as_document(items, '"tag"' if how & 2 else None)


def _patch(on: Fuzzed, data: bytes) -> None:
    """The numbers and bytes of a patch; behind a byte from 0x80 on, a right patch with others from some place on."""
    if data[:1] > b"\x7f":
        patch_checks.any_patch(on.device, on.vm, _over(_PATCH, data[1:]))
    else:
        patch_checks.any_patch(on.device, on.vm, patch_checks.packed(data[1:]))


def _image(on: Fuzzed, data: bytes) -> None:
    """The start of an image of each kind, or all of it."""
    form, rest = (ImageForm.EA if data[:1] > b"\x7f" else ImageForm.E9), data[1:]
    fuzz_checks.image(rest, form)
    fuzz_checks.image(rest + _IMAGE[len(rest) :], form)


def _board(on: Fuzzed, data: bytes) -> None:
    fuzz_checks.board_file(on.folder / "mine.toml", data)


_IMAGE = firmware(1)
_PATCH = make_patch(patch_checks.OLD, patch_checks.NEW)
_NUMBERS = (VECTORS / "patches" / "predicted.patch").read_bytes()[HEADER_BYTES + 5 :]  # behind a stored block's head
_CELL = JournalCell(
    sequence=3, active=1, state_a=SlotState.CONFIRMED, state_b=SlotState.READY, attempts=3, copies=8,
    counter_a=5, counter_b=6, floor=2).pack()
_DESCRIBED = SlotDescriptor(
    slot=1, counter=6, length=70_000, sha256=bytes(32), fs_start=BOARD.fs_start, product="lamp", version="2.0.0").pack()
_TAIL = rtc.Tail(slot=1, trial=True, attempts_left=2, why=rtc.BootReason.TRIAL, counter=6, reset_reason=4).pack()

TARGETS = {target.name: target for target in (
    Target("journal", _journal, [b"\x80" + _CELL, b"\x8f" + _CELL + b"\x10" + _CELL], 6 * _RECORD),
    Target("descriptor", _descriptor, [b"\x81" + _DESCRIBED, b"\x01" + _DESCRIBED], _RECORD),
    Target("map", lambda on, data: fuzz_checks.map_table(
        on.device, on.vm, _sealed(data, maptable.TABLE_BYTES - 8, maptable.TABLE_BYTES)),
        [b"\x80" + maptable.pack_table(BOARD.device_map())], 1 + maptable.TABLE_BYTES),
    Target("tail", lambda on, data: fuzz_checks.rtc_tail(
        on.device, on.vm, _sealed(data, 16, rtc.TAIL_BYTES)), [b"\x80" + _TAIL, b"\0" + _TAIL], 1 + rtc.TAIL_BYTES),
    Target("windowlog", _windowlog, [b"\x7f" + windowlog.held_entry(bytes(7)), b"\xff"]),
    Target("document", _document, [b"\0" + RIGHT["head"], b"\xff" + RIGHT["release"]]),
    Target("head", _head, [payload(head_fields(payload(release_fields())))], 2048),
    Target("release", _release, [payload(release_fields())], 3072),
    Target("keys", lambda on, data: fuzz_checks.keys_file(on.device, on.vm, data), [keys_document()]),
    Target("blocks", _blocks, [b"\0\0\0", b"\x60\x10\0abc", b"\xb0\0\x10abc"]),
    Target("answer", _answer, [
        b"\0\0\0" + ok(b"{}\n"), b"\x01\x40\0" + head("Content-Range: bytes 0-9/10", status="206 Partial Content"),
        b"\0\x05\x01" + head("Transfer-Encoding: chunked") + chunked(b"one ", b"two"),
        b"\x02\0\0" + head(status="304 Not Modified")]),
    Target("image", _image, [b"\0" + _IMAGE[:64], b"\xff\xea\x04\0\0" + bytes(60)], 1024),
    Target("patch", _patch, [
        b"\0" + _NUMBERS, b"\0\0\0\0" + bytes([len(patch_checks.NEW) & 0x7F | 0x80, len(patch_checks.NEW) >> 7]),
        b"\xff\x20\0\xff"]),
    Target("board", _board, [
        data_path("boards", f"{name}.toml").read_bytes() for name in boards.names()], 8192),
)}
"""By name."""
