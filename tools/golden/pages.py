"""Golden files of flash and RTC memory: maps, cells, journals, descriptors, window logs, tails."""

from __future__ import annotations

import struct
from dataclasses import asdict

from golden.common import PRODUCT, Files, stream, text_of
from slotbench.formats import journal, maptable, windowlog
from slotbench.formats.descriptor import ImageForm, SlotDescriptor
from slotbench.formats.fields import INT_MAX
from slotbench.formats.journal import Ended, JournalCell, Report, SlotState
from slotbench.formats.rtc import BootReason, ResetReason, Tail

BLANK_PAGE = b"\xff" * 256
GARBAGE_PAGE = b"2SJ2" + b"\xff" * 252
"""A cell whose write was cut after its first word."""


def cells() -> dict[str, JournalCell]:
    """Cells that tell every field from every other one."""
    distinct = JournalCell(
        sequence=0x01020304, active=1, state_a=SlotState.CONFIRMED, state_b=SlotState.READY,
        attempts=3, copies=8, report=Report.UNPROVEN, rounds=2, never_reached=True,
        counter_a=0x11121314, counter_b=0x21222324, floor=0x31323334, bad_counter=0x41424344,
        unproven_counter=0x51525354, head_seq=0x61626364, head_time=0x71727374,
        key_epoch=0x05060708, channel_tag=0xF1F2F3F4, report_counter=0x15161718,
        keys_digest=bytes(range(0x81, 0x91)),
        other_channels=((0x19202122, 0x23242526), (0x29303132, 0x33343536), (0x39404142, 0x43444546)),
    )
    opened = asdict(distinct) | {
        "sequence": 7,
        "spent": (True,) * 8, "ended": tuple(Ended)[:8], "copied": (True,) * 8,
        "bad_a": True, "bad_b": True, "confirmed": True, "reached": True,
    }
    trial = asdict(distinct) | {
        "sequence": 8,
        "spent": (True, True) + (False,) * 6, "ended": (Ended.DEEP_SLEEP,) + (None,) * 7,
        "copied": (True,) + (False,) * 7, "bad_b": True,
    }
    return {
        "first": JournalCell(sequence=1, state_a=SlotState.CONFIRMED, counter_a=1, attempts=3, copies=8),
        "distinct": distinct,
        "open_all": JournalCell(**opened),
        "open_some": JournalCell(**trial),
        "limits": JournalCell(
            sequence=0xFFFFFFFF, active=1, state_a=SlotState.BAD, state_b=SlotState.BAD,
            attempts=8, copies=8, report=Report.JOURNAL_LOST, rounds=255,
            counter_a=INT_MAX, counter_b=INT_MAX, floor=INT_MAX, bad_counter=INT_MAX,
            unproven_counter=INT_MAX, head_seq=INT_MAX, head_time=INT_MAX, key_epoch=INT_MAX,
            channel_tag=0xFFFFFFFF, report_counter=INT_MAX,
        ),
    }


def cell_files() -> Files:
    """cells/: whole ones, and one whose open words were torn."""
    files: Files = {}
    for name, cell in cells().items():
        files[f"cells/{name}.bin"] = cell.pack()
        files[f"cells/{name}.json"] = text_of({"cell": asdict(cell), "repacks": True})
    page = bytearray(cells()["distinct"].pack())
    torn = ((128, 0xFFFF0000), (164, 0xFFFFFF02), (196, 0x7FFFFFFF), (224, 0xFFFFFFFE), (232, 0),
            (236, 0x7FFFFFFF))
    for offset, word in torn:
        struct.pack_into("<I", page, offset, word)
    files["cells/open_torn.bin"] = bytes(page)
    files["cells/open_torn.json"] = text_of(
        {"cell": asdict(JournalCell.unpack(bytes(page))), "repacks": False})
    return files


def region_files() -> Files:
    """regions/: journals in every state that decides where the next cell goes."""

    def page(sequence: int) -> bytes:
        return JournalCell(sequence=sequence, attempts=3, copies=8, counter_a=sequence).pack()

    broken = bytearray(page(99))
    broken[120] ^= 1
    blank, garbage = BLANK_PAGE, GARBAGE_PAGE
    sectors = {
        "first": ([page(1)], []),
        "append": ([page(i) for i in (5, 6, 7, 8, 9)], [page(i) for i in range(1, 5)] + [garbage]),
        "compact_garbage": ([page(20), page(21), garbage], [page(4), bytes(broken)]),
        "compact_torn_behind": ([], [page(30), bytes(256), blank, bytes(broken), blank, garbage]),
        "compact_full": ([page(7), garbage], [page(i) for i in range(40, 56)]),
        "newest_before_older": ([page(60), page(61)], [page(i) for i in range(44, 60)]),
        "lost": ([garbage, bytes(broken)], [bytes(256)]),
        "blank": ([], []),
    }
    files: Files = {}
    for name, (first, second) in sectors.items():
        padded = (pages + [blank] * (16 - len(pages)) for pages in (first, second))
        region = b"".join(b"".join(pages) for pages in padded)
        newest, place = journal.newest_cell(region), journal.next_place(region)
        files[f"regions/{name}.bin"] = region
        files[f"regions/{name}.json"] = text_of({
            "pages": [str(state) for _, state, _ in journal.scan_pages(region)],
            "newest": newest and {"index": newest[0], "sequence": newest[1].sequence},
            "next": place and asdict(place),
        })
    return files


def descriptor_files() -> Files:
    """descriptors/: every field distinct, both slots, open words set, texts at their limits."""
    distinct = SlotDescriptor(
        slot=1, form=ImageForm.E9, counter=0x01020304, length=0x000A1B2C,
        sha256=stream("descriptor", 32), floor=0x11121314, fs_start=0x00100000,
        fs_version=0x00020001, mpy_abi=6, product=PRODUCT, version="1.25.0",
    )
    limits = SlotDescriptor(
        slot=0, form=ImageForm.EA, counter=INT_MAX, length=0xFB000, sha256=b"\xff" * 32,
        floor=INT_MAX, fs_start=0xFFFFF000, fs_version=0xFFFFFFFF, mpy_abi=0xFFFFFFFF,
        product="p" * 32, version="v" * 16, confirmed=True, bad=True,
    )
    confirmed = SlotDescriptor(**(asdict(distinct) | {"slot": 0, "confirmed": True}))
    bad = SlotDescriptor(**(asdict(distinct) | {"bad": True}))
    frozen = SlotDescriptor(**(asdict(distinct) | {"twoslot": 0x00010203}))
    named = {"distinct": distinct, "limits": limits, "confirmed": confirmed, "bad": bad, "frozen": frozen}
    files: Files = {}
    for name, descriptor in named.items():
        files[f"descriptors/{name}.bin"] = descriptor.pack()
        fields = {key: value for key, value in asdict(descriptor).items() if (key, value) != ("twoslot", 0)}
        files[f"descriptors/{name}.json"] = text_of(fields)
    return files


def windowlog_files() -> Files:
    """windowlogs/: every state of the log."""
    one, two = (windowlog.held_entry(stream(f"window {name}", 32)) for name in ("one", "two"))
    dirty, blank = windowlog.DIRTY_ENTRY, b"\xff" * 16
    torn = two[:9] + b"\xff" * 7
    half_dirty = bytes(8) + one[8:]
    logs = {
        "blank": [],
        "held": [one],
        "held_again": [one, dirty, two],
        "dirty": [one, dirty],
        "torn": [one, dirty, torn],
        "torn_dirty": [half_dirty],
        "wrong_kind": [b"D" + one[1:]],
        "hole": [one, blank, two],
        "below_half": [dirty] * 127 + [one],
        "half": [dirty] * 128 + [one],
        "last_but_one": [dirty] * 254 + [one],
        "full": [dirty] * 255 + [one],
    }
    files: Files = {}
    for name, entries in logs.items():
        sector = b"".join(entries).ljust(4096, b"\xff")
        held = windowlog.held_digest(sector)
        files[f"windowlogs/{name}.bin"] = sector
        files[f"windowlogs/{name}.json"] = text_of({
            "held": held and held.hex(),
            "next_free": windowlog.next_free_entry(sector),
            "needs_erase": windowlog.needs_erase(sector),
        })
    return files


def map_files() -> Files:
    """maps/: a table with every number told from the others, and ones that are none."""
    numbers = [0x01000000 * (i + 1) + 0x20304 for i in range(maptable.NUMBERS)]
    whole = maptable.pack_table(numbers)
    tables: dict[str, tuple[bytes, list[int] | None]] = {
        "distinct": (whole, numbers), "erased": (b"\xff" * maptable.TABLE_BYTES, None),
        "torn": (whole[:40] + b"\xff" * 32, None), "another_magic": (b"2SM2" + whole[4:], None),
    }
    files: Files = {}
    for name, (table, says) in tables.items():
        files[f"maps/{name}.bin"] = table
        files[f"maps/{name}.json"] = text_of(says)
    return files


def rtc_files() -> Files:
    """rtc/: valid tails, and what memory holds after power on."""
    tails = {
        "ordinary": Tail(
            slot=0, trial=False, attempts_left=0, why=BootReason.ORDINARY, counter=0x01020304,
            reset_reason=ResetReason.POWER),
        "trial": Tail(
            slot=1, trial=True, attempts_left=2, why=BootReason.TRIAL, counter=0x7F020304,
            reset_reason=ResetReason.RESTART, reached_at=0x0023EC, note=Ended.DEADLINE, schedule=0xDEADBEEF),
        "last_resort": Tail(
            slot=0, trial=False, attempts_left=8, why=BootReason.LAST_RESORT, counter=0,
            reset_reason=ResetReason.RESET_PIN, note=0xFF, timer=0xFFFFFF),
    }
    files: Files = {}
    for name, tail in tails.items():
        files[f"rtc/{name}.bin"] = tail.pack()
        files[f"rtc/{name}.json"] = text_of(asdict(tail))
    flipped = bytearray(tails["trial"].pack())
    flipped[6] ^= 1
    for name, data in (("noise", stream("rtc", 32)), ("flipped", bytes(flipped)), ("zeros", bytes(32))):
        files[f"rtc/{name}.bin"] = data
        files[f"rtc/{name}.json"] = text_of(None)
    return files
