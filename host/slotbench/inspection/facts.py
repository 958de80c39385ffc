"""What lies on a board's flash: facts read from a dump, every one of them checked. Pure: bytes in, data out.

What follows from them, the next boot, is the loader's to say: `slotbench.vboard.forecast.next_boot`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from slotbench.boards import BoardProfile, Region, SlotMap
from slotbench.boards.header import FREQS_MHZ, MODES
from slotbench.formats import SECTOR_BYTES, FormatError, blocks, descriptor, journal, windowlog
from slotbench.formats.descriptor import SlotDescriptor
from slotbench.formats.image import E9_MAGIC
from slotbench.formats.journal import JournalCell, Place
from slotbench.formats.seal import PAGE_BYTES, PageState, classify
from slotbench.formats.windowlog import EntryState

_BLANK_ENTRY = b"\xff" * blocks.ENTRY_BYTES
_PHY_BYTES = 128
_PHY_MAGIC = 0x05


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionFacts:
    """A region of the map, `key` as in the board file or "unused": how many of its sectors are not blank."""

    key: str
    start: int
    size: int
    sectors: int
    programmed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderFacts:
    """The loader's header, as the ROM and the SDK read it; None where a number means nothing.

    `problems` say what differs from the board file and what follows.
    """

    magic: int
    size_nibble: int
    flash_mode: str | None
    flash_freq_mhz: int | None
    problems: tuple[str, ...]


class PhyState(StrEnum):
    """What the SDK finds where it looks for PHY init data."""

    RIGHT = "right"
    BLANK = "blank"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class PhyFacts:
    """The PHY block at flash offset `start`, and its first byte."""

    start: int
    first_byte: int
    state: PhyState


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFacts:
    """A sealed page at flash offset `start`. `problem` is why a valid one, or garbage, is of no use."""

    start: int
    state: PageState
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellFacts(PageFacts):
    """A page of the journal: its index 0-31, and the cell when there is one."""

    index: int
    cell: JournalCell | None = None


@dataclass(frozen=True, slots=True)
class JournalFacts:
    """All 32 pages; the index of the newest cell, the one that counts; where Python writes the next one."""

    pages: tuple[CellFacts, ...]
    newest: int | None
    next: Place | None

    @property
    def cell(self) -> JournalCell | None:
        """The newest cell."""
        return self.pages[self.newest].cell if self.newest is not None else None


class ImageState(StrEnum):
    """Whether a slot holds the image its descriptor speaks of."""

    MATCHES = "matches"
    DIFFERS = "differs"
    UNKNOWN = "unknown"
    """There is no descriptor to compare with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """The block table beside a slot, against the slot: blocks named, and those that differ.

    Without a descriptor nobody knows how long the last block is; it is in `unknown` unless it is a whole one.
    """

    entries: int
    differing: tuple[int, ...]
    unknown: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotFacts:
    """One slot: its descriptor page and what it says, the image, the block table (None: blank or damaged)."""

    slot: int
    page: PageFacts
    descriptor: SlotDescriptor | None
    image: ImageState
    table: TableFacts | None
    sectors: int
    programmed: int


@dataclass(frozen=True, slots=True)
class WindowMatch:
    """The exec window against the irom of a slot's image: sectors compared, and flash offsets that differ."""

    sectors: int
    differing: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowFacts:
    """The window log's entries by what they read as, the 7 bytes of SHA-256 it names, and what is so.

    `names` is the slot whose descriptor has that digest; `matches` has an entry for each slot with a
    descriptor.
    """

    held: int
    dirty: int
    garbage: int
    blank: int
    last: int | None
    digest: bytes | None
    names: int | None
    matches: dict[int, WindowMatch]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """All of it; offsets and sizes are bytes of flash. `window` is None for a board that has none."""

    board: str
    size: int
    regions: tuple[RegionFacts, ...]
    header: HeaderFacts
    phy: PhyFacts
    journal: JournalFacts
    slots: tuple[SlotFacts, SlotFacts]
    window: WindowFacts | None


def inspect(board: BoardProfile, data: bytes) -> Inspection:
    """The facts in `data`, all bytes of the flash of `board`."""
    a, b = (_slot(slot, place, data) for slot, place in enumerate(board.slots))
    return Inspection(
        board=board.name,
        size=len(data),
        regions=_regions(board, data),
        header=_header(board, data),
        phy=_phy(board, data),
        journal=_journal(board, data),
        slots=(a, b),
        window=_window(board, data, (a, b)) if board.window else None,
    )


def _cut(data: bytes, region: Region) -> bytes:
    return data[region.start:region.end]


def _sectors(region: Region) -> range:
    """Where the sectors of a region begin; a region may be a part of one."""
    return range(region.start, region.end, SECTOR_BYTES)


def _programmed(data: bytes, region: Region) -> int:
    parts = (data[start:min(start + SECTOR_BYTES, region.end)] for start in _sectors(region))
    return sum(part.count(0xFF) < len(part) for part in parts)


def _regions(board: BoardProfile, data: bytes) -> tuple[RegionFacts, ...]:
    """The map in the order of its offsets, with what lies between its regions."""
    named = sorted(board.regions().items(), key=lambda item: item[1].start)
    found: list[RegionFacts] = []
    at = 0
    for key, region in (*named, ("", Region(board.chip_bytes, 0))):
        if region.start > at:
            found.append(_region("unused", Region(at, region.start - at), data))
        if region.size:
            found.append(_region(key, region, data))
        at = region.end
    return tuple(found)


def _region(key: str, region: Region, data: bytes) -> RegionFacts:
    return RegionFacts(
        key=key, start=region.start, size=region.size, sectors=len(_sectors(region)),
        programmed=_programmed(data, region))


def _header(board: BoardProfile, data: bytes) -> HeaderFacts:
    magic, _, mode, size_freq = data[board.loader.start:board.loader.start + 4]
    nibble, freq = size_freq >> 4, size_freq & 15
    problems = []
    if magic != E9_MAGIC:
        problems.append(f"byte 0 is 0x{magic:02x}, not 0x{E9_MAGIC:02x}: the ROM starts nothing")
    else:
        if nibble != board.size_nibble:
            elsewhere = "the SDK looks for its parameters elsewhere"
            problems.append(f"size nibble is {nibble}, not {board.size_nibble}: {elsewhere}")
        if MODES.get(mode) != board.flash_mode:
            problems.append(f"flash mode is {MODES.get(mode, mode)}, not {board.flash_mode}")
        if FREQS_MHZ.get(freq) != board.flash_freq_mhz:
            found = f"{FREQS_MHZ[freq]} MHz" if freq in FREQS_MHZ else f"0x{freq:x}"
            problems.append(f"flash frequency is {found}, not {board.flash_freq_mhz} MHz")
    return HeaderFacts(
        magic=magic, size_nibble=nibble, flash_mode=MODES.get(mode), flash_freq_mhz=FREQS_MHZ.get(freq),
        problems=tuple(problems))


def _phy(board: BoardProfile, data: bytes) -> PhyFacts:
    start = board.visible_bytes - 4 * SECTOR_BYTES
    block = data[start:start + _PHY_BYTES]
    if block[0] == _PHY_MAGIC:
        state = PhyState.RIGHT
    else:
        state = PhyState.BLANK if block == b"\xff" * _PHY_BYTES else PhyState.WRONG
    return PhyFacts(start, block[0], state)


def _journal(board: BoardProfile, data: bytes) -> JournalFacts:
    region = _cut(data, board.journal)
    pages = tuple(_cell(index, board.journal.start, region) for index in range(journal.CELLS))
    if any(page.state is PageState.VALID and page.cell is None for page in pages):
        # What counts cannot be said: no writer leaves such a cell, and no reader is bound to skip it.
        return JournalFacts(pages, None, None)
    newest = journal.newest(region)
    return JournalFacts(pages, newest[0] if newest is not None else None, journal.next_place(region))


def _cell(index: int, start: int, region: bytes) -> CellFacts:
    page = region[index * PAGE_BYTES:(index + 1) * PAGE_BYTES]
    state, offset = classify(page, journal.MAGIC), start + index * PAGE_BYTES
    try:
        return CellFacts(index=index, start=offset, state=state, cell=JournalCell.unpack(page))
    except FormatError as error:
        problem = "" if state is PageState.BLANK else str(error)
        return CellFacts(index=index, start=offset, state=state, problem=problem)


def _slot(slot: int, place: SlotMap, data: bytes) -> SlotFacts:
    start = place.descriptor.start
    page = data[start:start + PAGE_BYTES]
    state, problem, found = classify(page, descriptor.MAGIC), "", None
    try:
        found = SlotDescriptor.unpack(page)
        problem = _misfit(found, slot, place)
    except FormatError as error:
        problem = "" if state is PageState.BLANK else str(error)
    usable = found if not problem else None
    image = _cut(data, place.image)
    return SlotFacts(
        slot=slot,
        page=PageFacts(start=start, state=state, problem=problem),
        descriptor=usable,
        image=_image_state(image, usable),
        table=_table(_cut(data, place.table), image, usable.length if usable is not None else None),
        sectors=len(_sectors(place.image)),
        programmed=_programmed(data, place.image),
    )


def _misfit(found: SlotDescriptor, slot: int, place: SlotMap) -> str:
    """Why loader and board ignore a descriptor whose seal is right."""
    if found.slot != slot:
        return f"it was written for slot {'AB'[found.slot]}"
    if not 0 < found.length <= place.image.size:
        return f"it speaks of {found.length} bytes, the slot has {place.image.size}"
    return ""


def _image_state(image: bytes, found: SlotDescriptor | None) -> ImageState:
    if found is None:
        return ImageState.UNKNOWN
    right = hashlib.sha256(image[:found.length]).digest() == found.sha256
    return ImageState.MATCHES if right else ImageState.DIFFERS


def _table(sector: bytes, image: bytes, length: int | None) -> TableFacts | None:
    """Blocks of `image` against the table; None when the sector does not hold entries and nothing else."""
    entries = [sector[at:at + blocks.ENTRY_BYTES] for at in range(0, len(sector), blocks.ENTRY_BYTES)]
    count = next((index for index, entry in enumerate(entries) if entry == _BLANK_ENTRY), len(entries))
    if not count or any(entry != _BLANK_ENTRY for entry in entries[count:]):
        return None
    if length is not None and count != blocks.count(length) or count > blocks.BLOCKS_MAX:
        return None
    now = blocks.table(image[:length if length is not None else count * blocks.BLOCK_BYTES])
    differing = [
        index for index, entry in enumerate(entries[:count])
        if now[index * blocks.ENTRY_BYTES:(index + 1) * blocks.ENTRY_BYTES] != entry
    ]
    unknown = [index for index in differing if length is None and index == count - 1]
    return TableFacts(
        entries=count, differing=tuple(index for index in differing if index not in unknown),
        unknown=tuple(unknown))


def _window(board: BoardProfile, data: bytes, slots: tuple[SlotFacts, SlotFacts]) -> WindowFacts:
    log = _cut(data, board.window_log)
    states = [windowlog.classify(entry) for entry in windowlog.entries(log)]
    digest = windowlog.held(log)
    described = {facts.slot: facts.descriptor for facts in slots if facts.descriptor is not None}
    named = [
        slot for slot, found in described.items()
        if digest is not None and found.sha256.startswith(digest)
    ]
    return WindowFacts(
        held=states.count(EntryState.HELD), dirty=states.count(EntryState.DIRTY),
        garbage=states.count(EntryState.GARBAGE), blank=states.count(EntryState.BLANK),
        last=windowlog.last_used(log), digest=digest, names=named[0] if named else None,
        matches={slot: _match(board, data, slot, found.length) for slot, found in described.items()})


def _match(board: BoardProfile, data: bytes, slot: int, length: int) -> WindowMatch:
    """The window is right when it is what the loader leaves: the irom, padded with 0xFF to whole sectors."""
    image = board.slots[slot].image.start
    offsets = range(board.irom_offset, length, SECTOR_BYTES)
    differing = []
    for offset in offsets:
        wanted = data[image + offset:image + min(offset + SECTOR_BYTES, length)].ljust(SECTOR_BYTES, b"\xff")
        at = board.window.start + offset - board.irom_offset
        if data[at:at + SECTOR_BYTES] != wanted:
            differing.append(at)
    return WindowMatch(len(offsets), tuple(differing))
