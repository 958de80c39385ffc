"""The words of `slotbench inspect`: facts become sections of lines. No flash is read here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby

from slotbench.formats import SECTOR_BYTES
from slotbench.formats.application_record import FOLDERS, OUTSIDE, ApplicationRecord, FolderState
from slotbench.formats.descriptor import SlotDescriptor
from slotbench.formats.journal import Ended, JournalCell
from slotbench.formats.littlefs import disk_version_words
from slotbench.formats.rtc import BootReason
from slotbench.formats.seal import PageState
from slotbench.formats.twoslot_version import twoslot_words
from slotbench.images import Filesystem
from slotbench.inspection.facts import (
    CellFacts,
    HeaderFacts,
    ImageState,
    Inspection,
    JournalFacts,
    PhyFacts,
    PhyState,
    RegionFacts,
    SlotFacts,
    TableFacts,
    WindowFacts,
)
from slotbench.inspection.filesystem import FilesystemFacts
from slotbench.vboard.forecast.next_boot import Forecast

Section = tuple[str, list[str]]

WHY = {
    BootReason.ORDINARY: "the active slot is confirmed",
    BootReason.TRIAL: "the active slot is ready and has yet to prove itself",
    BootReason.FALLBACK: "the active slot cannot be started; the other one is confirmed",
    BootReason.NO_JOURNAL_CONFIRMED: "there is no journal; this is the newest slot that proved itself",
    BootReason.NO_JOURNAL_UNCONFIRMED: "there is no journal, and no slot proved itself",
    BootReason.LAST_RESORT: "no slot may be started in the regular way: the best one that verifies",
    BootReason.NO_DESCRIPTOR: "there is neither a journal nor a descriptor; this slot holds a whole image",
}
"""The rows of the boot table (device/docs/boot-table.md), in words."""

_NAMES = {
    "regions.loader": "loader", "regions.journal": "boot journal", "regions.window_log": "window log",
    "regions.identity": "board identity", "regions.exec_window": "exec window",
    "regions.filesystem": "filesystem", "regions.sdk_parameters": "RF, PHY, SDK parameters",
    "slot_a.table": "slot A: block table", "slot_a.descriptor": "slot A: descriptor",
    "slot_a.image": "slot A: image", "slot_b.table": "slot B: block table",
    "slot_b.descriptor": "slot B: descriptor", "slot_b.image": "slot B: image", "unused": "(not used)",
}
_LISTED_MAX = 8


def sections(
    facts: Inspection, forecast: Forecast | str, filesystem: FilesystemFacts | None = None,
    titles: Mapping[int, str] | None = None,
) -> Iterator[Section]:
    """Title and lines of each section, in reading order. `forecast` may be the reason why there is
    none. `titles` are the names of the firmware in the slots that hold a whole image.
    """
    yield "Map", [_region(region) for region in facts.regions]
    yield "Loader's header and PHY data", [*_header(facts.header), _phy(facts.phy)]
    yield "Boot journal", _journal(facts.journal)
    for slot in facts.slots:
        yield f"Slot {'AB'[slot.slot]}", _slot(slot, (titles or {}).get(slot.slot))
    if facts.window is not None:
        yield "Exec window", _window(facts.window)
    if filesystem is not None:
        yield "Filesystem", [filesystem_line(filesystem)]
        if filesystem.applications is not None:
            yield "Applications", application_lines(filesystem.applications)
    yield "What the loader would do next (as after a return of power)", (
        [f"Unknown: {forecast}"] if isinstance(forecast, str) else _forecast(forecast))


def _region(region: RegionFacts) -> str:
    if not region.programmed:
        content = "blank"
    elif region.sectors == 1:
        content = "programmed"
    else:
        content = f"{region.programmed} of {region.sectors} sectors programmed"
    end = region.start + region.size - 1
    return f"0x{region.start:06x}-0x{end:06x}  {_NAMES.get(region.key, region.key):24}  {content}"


def _header(header: HeaderFacts) -> list[str]:
    if header.problems:
        return [f"header: {problem}" for problem in header.problems]
    mode, freq = header.flash_mode, header.flash_freq_mhz
    return [f"header: valid (size nibble {header.size_nibble}, {mode}, {freq} MHz)"]


def _phy(phy: PhyFacts) -> str:
    words = {
        PhyState.RIGHT: f"present (first byte 0x{phy.first_byte:02x})",
        PhyState.BLANK: "blank; the firmware writes its default there at the first start",
        PhyState.WRONG: f"WRONG, first byte 0x{phy.first_byte:02x}, not 0x05: the SDK would restart for ever",
    }
    return f"PHY data at 0x{phy.start:06x}: {words[phy.state]}"


# The journal.

def _journal(facts: JournalFacts) -> list[str]:
    lines = []
    for (state, sector), run in groupby(facts.pages, key=lambda page: (page.state, page.index // 16)):
        if state is PageState.VALID:
            lines += [_cell_line(page, newest=page.index == facts.newest) for page in run]
        else:
            lines.append(_unused(list(run), state))
    cell, following = facts.cell, facts.next
    if cell is None:
        impossible = any(page.problem for page in facts.pages if page.state is PageState.VALID)
        why = "a sealed cell has impossible values" if impossible else "no cell is valid, the journal is lost"
        return [*lines, f"No cell is in force: {why}."]
    lines.append(f"The newest cell, {facts.newest}, is in force:")
    lines += [f"  {label:13}  {words}" for label, words in _cell_fields(cell)]
    if following is not None:
        erase = "" if following.erase is None else f", after erasing sector {following.erase} of the journal"
        lines.append(f"Python writes cell {following.index} next, sequence {following.sequence}{erase}.")
    return lines


def _cell_line(page: CellFacts, *, newest: bool) -> str:
    what = f"impossible: {page.problem}" if page.cell is None else f"sequence {page.cell.sequence}"
    if page.cell is not None:
        what += f", {_state(page.cell, 0)}, {_state(page.cell, 1)}, active {'AB'[page.cell.active]}"
    return f"cell {page.index:2}     valid    {what}{'   <- newest' if newest else ''}"


def _unused(run: Sequence[CellFacts], state: PageState) -> str:
    first, last = run[0].index, run[-1].index
    where = f"cell {first:2}    " if first == last else f"cell {first:2}-{last:2} "
    return f"{where} {state.value}"


def _state(cell: JournalCell, slot: int) -> str:
    state, counter = cell.states[slot].name.lower(), cell.counters[slot]
    bad = " (bad word set)" if cell.bad[slot] else ""
    return f"{'AB'[slot]} {state}{f' {counter}' if counter else ''}{bad}"


def _cell_fields(cell: JournalCell) -> Iterator[tuple[str, str]]:
    yield "sequence", str(cell.sequence)
    yield "active slot", "AB"[cell.active]
    yield "slots", f"{_state(cell, 0)}; {_state(cell, 1)}"
    reached = ", the boot hook reached" if cell.reached else ""
    yield "attempts", f"{cell.attempts} allowed, {sum(cell.spent)} spent{reached}"
    yield "ended", _ended(cell)
    yield "copies", f"{cell.copies} allowed, {sum(cell.copied)} begun"
    yield "confirm word", "set: the ready active slot proved healthy" if cell.confirmed else "not set"
    yield "floor", f"{cell.floor}" if cell.floor else "none"
    yield "bad counter", f"{cell.bad_counter}: by hand only" if cell.bad_counter else "none"
    rounds = f", {cell.rounds} rounds of trials so far" if cell.unproven_counter else ""
    never_reached = ", never reached the boot hook" if cell.never_reached else ""
    yield "unproven", f"{cell.unproven_counter or 'none'}{rounds}{never_reached}"
    about = f" (counter {cell.report_counter})" if cell.report else ""
    yield "report", f"{cell.report.name.lower().replace('_', ' ')}{about}"
    yield "head", _head(cell)


def _head(cell: JournalCell) -> str:
    if not cell.head_seq:
        return "none seen yet"
    issued = f"{datetime.fromtimestamp(cell.head_time, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return f"seq {cell.head_seq} of epoch {cell.key_epoch}, issued {issued}, channel 0x{cell.channel_tag:08x}"


def _ended(cell: JournalCell) -> str:
    known = {int(code): code.name.lower().replace("_", " ") for code in Ended}
    ends = [
        f"attempt {index + 1}: {known.get(code, f'0x{code:08x}, torn')}"
        for index, code in enumerate(cell.ended) if code is not None
    ]
    return "; ".join(ends) or "no attempt yet"


# Slots and window.

def _slot(facts: SlotFacts, title: str | None) -> list[str]:
    lines = [f"descriptor  {_page(facts)}"]
    if facts.descriptor is not None:
        lines += [f"  {label:10}  {words}" for label, words in _descriptor_fields(facts.descriptor)]
    lines.append(f"image       {_image(facts)}")
    if title is not None:
        lines.append(f"firmware    {title}")
    lines.append(f"blocks      {_table(facts.table)}")
    return lines


def _page(facts: SlotFacts) -> str:
    if facts.page.state is PageState.BLANK:
        return "blank: the slot holds nothing that could be started"
    if facts.page.problem:
        return f"{facts.page.state.value}, unusable: {facts.page.problem}"
    return "valid"


def _descriptor_fields(found: SlotDescriptor) -> Iterator[tuple[str, str]]:
    yield "product", found.product
    yield "version", f"{found.version}, counter {found.counter}"
    yield "length", f"{found.length} bytes, SHA-256 {found.sha256.hex()}"
    littlefs = f"{found.fs_version >> 16}.{found.fs_version & 0xFFFF}"
    yield "filesystem", f"from 0x{found.fs_start:06x}, littlefs {littlefs}" if found.fs_start else "none"
    yield "twoslot", twoslot_words(found.twoslot)
    yield "also", f".mpy version {found.mpy_abi}, image form {found.form.name}, floor {found.floor}"
    yield "confirmed", "yes" if found.confirmed else "no"
    yield "marked bad", "yes" if found.bad else "no"


def _image(facts: SlotFacts) -> str:
    if facts.image is ImageState.MATCHES:
        return "matches the descriptor's SHA-256"
    if facts.image is ImageState.DIFFERS:
        return "DIFFERS from the descriptor's SHA-256: the loader would not start it"
    if not facts.programmed:
        return "blank"
    return f"not described; {facts.programmed} of {facts.sectors} sectors programmed"


def _table(table: TableFacts | None) -> str:
    if table is None:
        return "no block table"
    right = table.entries - len(table.differing) - len(table.unknown)
    words = f"{right} of {table.entries} match the block table"
    if table.differing:
        words += f"; it says that {_listed('block', table.differing)} differ"
    if table.unknown:
        words += "; the last one cannot be judged without a descriptor"
    return words


def _listed(noun: str, numbers: Iterable[int]) -> str:
    shown = [str(number) for number in numbers]
    more = f" and {len(shown) - _LISTED_MAX} more" if len(shown) > _LISTED_MAX else ""
    plural = "s" if len(shown) > 1 else ""
    return f"{noun}{plural} {', '.join(shown[:_LISTED_MAX])}{more}"


def _window(facts: WindowFacts) -> list[str]:
    entries = f"{facts.held} held, {facts.dirty} dirty, {facts.garbage} garbage, {facts.blank} blank"
    lines = [f"window log  {entries}"]
    if facts.digest is None:
        lines.append("it says     unknown: the loader compares and copies before it starts anything")
    else:
        whose = "no slot's: an older release" if facts.names is None else f"slot {'AB'[facts.names]}"
        lines.append(f"it says     image {facts.digest.hex()}..., {whose}")
    for slot, match in facts.matches.items():
        name = "AB"[slot]
        if not match.differing:
            lines.append(f"it holds    the irom of slot {name}, all {match.sectors} sectors of it")
        else:
            count = f"{len(match.differing)} of {match.sectors} sectors"
            lines.append(f"against {name}   {count} differ, the first at 0x{match.differing[0]:06x}")
    named = None if facts.names is None else facts.matches.get(facts.names)
    if named is not None and named.differing:
        lines.append("THE LOG IS WRONG: it names an image that the window does not hold")
    if not facts.matches:
        lines.append("there is no descriptor to compare the window with")
    return lines


def filesystem_line(facts: FilesystemFacts) -> str:
    """What is at the place of a filesystem, in words."""
    place = f"at 0x{facts.start:06x}"
    if facts.kind is Filesystem.NONE and facts.problem is None:
        return f"{place}: blank; MicroPython makes one at its first start"
    if facts.kind is Filesystem.NONE:
        return f"{place}: {facts.problem}: MicroPython does not start with it"
    if facts.kind is Filesystem.FAT:
        return f"{place}: a FAT volume, which twoslot cannot use"
    name = f"littlefs {disk_version_words(facts.version or 0)} of {facts.size} bytes"
    if facts.problem is not None:
        return f"{place}: {name}, DAMAGED: {facts.problem}"
    return f"{place}: {name}, {facts.files} file{'' if facts.files == 1 else 's'}, all of it can be read"


def application_lines(record: ApplicationRecord) -> list[str]:
    """What the two folders of applications hold, and which one is active, in words."""
    lines = []
    for number, (name, folder) in enumerate(zip(FOLDERS, record.folders)):
        what = "empty"
        if folder.state is not FolderState.EMPTY:
            what = f"counter {folder.counter}, {folder.state.name.lower()}"
            low, high = folder.firmware_low, folder.firmware_high
            what += f", for firmware from counter {low}{f' to {high}' if high else ''}" if low or high else ""
        lines.append(f"/{name}: {what}{', active' if record.active == number else ''}")
    if record.active == OUTSIDE:
        lines.append("/main.py runs: neither of them is active")
    if record.bad_counter:
        lines.append(f"counter {record.bad_counter} and below are bad")
    return lines


# The next boot.

def _forecast(forecast: Forecast) -> list[str]:
    lines = []
    if forecast.slot is None or forecast.why is None:
        lines.append("Nothing boots: it would say so on the UART, wait 30 s, and start over.")
    else:
        named = forecast.version is not None
        described = f"{forecast.version}, counter {forecast.counter}"
        what = described if named else "an image that nothing describes"
        name = forecast.why.name.lower().replace("_", " ")
        lines.append(f"It would start slot {'AB'[forecast.slot]}: {what} ({name}).")
        lines.append(f"Why: {WHY[forecast.why]}.")
        if forecast.attempt is not None:
            lines.append(f"It would be attempt {forecast.attempt} of {forecast.attempts}.")
    for letter, hindrance in zip("AB", forecast.hindrances):
        if hindrance is not None:
            lines.append(f"Slot {letter}: {hindrance.value}.")
    lines += _work(forecast)
    return lines


def _work(forecast: Forecast) -> list[str]:
    work = []
    if forecast.copied_sectors:
        size = forecast.copied_sectors * SECTOR_BYTES // 1024
        work.append(f"copy {forecast.copied_sectors} sectors ({size} KB) into the exec window")
    if forecast.writes_window_log:
        work.append("write the window log")
    if forecast.words:
        work.append(f"set {', '.join(forecast.words)}")
    if forecast.slot is None:
        return [f"Before that it would {', '.join(work)}."] if work else []
    words = ", ".join(work) or "write nothing"
    return [f"Before the jump it would {words}; about {forecast.takes_ms / 1000:.1f} s, modelled."]
