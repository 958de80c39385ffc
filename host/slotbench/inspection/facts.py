"""Facts about a board's flash, read from a dump and checked. Pure functions: bytes in, data out.

`slotbench.vboard.forecast.next_boot` derives the loader's next decision from them.
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
from slotbench.formats.seal import PAGE_BYTES, PageState, classify_page
from slotbench.formats.windowlog import EntryState

_BLANK_ENTRY = b"\xff" * blocks.ENTRY_BYTES
_PHY_BYTES = 128
_PHY_MAGIC = 0x05


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionFacts:
    """A region of the map and its number of programmed sectors.

    `key` is that of the board file, or "unused".
    """

    key: str
    start: int
    size: int
    sectors: int
    programmed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderFacts:
    """The loader's header, as the ROM and the SDK read it; None for an unknown number.

    `problems` are the differences from the board file, with their consequences.
    """

    magic: int
    size_nibble: int
    flash_mode: str | None
    flash_freq_mhz: int | None
    problems: tuple[str, ...]


class PhyState(StrEnum):
    """The state of the PHY init data for the SDK."""

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
    """A sealed page at flash offset `start`.

    `problem` is the reason why a page that is not blank is unusable.
    """

    start: int
    state: PageState
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellFacts(PageFacts):
    """A page of the journal: its index 0-31, and its cell if it is usable."""

    index: int
    cell: JournalCell | None = None


@dataclass(frozen=True, slots=True)
class JournalFacts:
    """All 32 pages, the index of the newest cell, and the place where Python writes the next cell."""

    pages: tuple[CellFacts, ...]
    newest: int | None
    next: Place | None

    @property
    def cell(self) -> JournalCell | None:
        """The newest cell; None if the journal is lost."""
        return self.pages[self.newest].cell if self.newest is not None else None


class ImageState(StrEnum):
    """Whether a slot holds the image in its descriptor."""

    MATCHES = "matches"
    DIFFERS = "differs"
    UNKNOWN = "unknown"
    """There is no usable descriptor to compare with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """The block table of a slot, compared with its image: the number of entries, and the blocks that differ.

    Without a descriptor the length of the last block is not known. If that block does not match as a whole
    block, it is in `unknown`.
    """

    entries: int
    differing: tuple[int, ...]
    unknown: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotFacts:
    """One slot: its descriptor page, descriptor, image and block table (None if blank or damaged)."""

    slot: int
    page: PageFacts
    descriptor: SlotDescriptor | None
    image: ImageState
    table: TableFacts | None
    sectors: int
    programmed: int


@dataclass(frozen=True, slots=True)
class WindowMatch:
    """The exec window, compared with the irom of a slot's image: sectors, and flash offsets that differ."""

    sectors: int
    differing: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowFacts:
    """The window log and the exec window.

    `held`, `dirty`, `garbage` and `blank` count the entries of the log by state. `last` is the index of the
    last used entry. `digest` is the start of a SHA-256 (7 bytes) that the log names, and `names` the slot
    whose descriptor has it. `matches` compares the window with each slot that has a descriptor.
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
    """All facts about a flash. Offsets and sizes are in bytes. `window` is None for a board without one."""

    board: str
    size: int
    regions: tuple[RegionFacts, ...]
    header: HeaderFacts
    phy: PhyFacts
    journal: JournalFacts
    slots: tuple[SlotFacts, SlotFacts]
    window: WindowFacts | None


def inspect_flash(board: BoardProfile, data: bytes) -> Inspection:
    """The facts in `data`, which are all bytes of the flash of `board`."""
    a, b = (_inspect_slot(slot, place, data) for slot, place in enumerate(board.slots))
    return Inspection(
        board=board.name,
        size=len(data),
        regions=_inspect_regions(board, data),
        header=_inspect_header(board, data),
        phy=_inspect_phy(board, data),
        journal=_inspect_journal(board, data),
        slots=(a, b),
        window=_inspect_window(board, data, (a, b)) if board.window else None,
    )


def _region_bytes(data: bytes, region: Region) -> bytes:
    return data[region.start:region.end]


def _sector_starts(region: Region) -> range:
    """The offsets of the sectors of a region. A region may be a part of a sector."""
    return range(region.start, region.end, SECTOR_BYTES)


def _count_programmed(data: bytes, region: Region) -> int:
    parts = (data[start:min(start + SECTOR_BYTES, region.end)] for start in _sector_starts(region))
    return sum(part.count(0xFF) < len(part) for part in parts)


def _inspect_regions(board: BoardProfile, data: bytes) -> tuple[RegionFacts, ...]:
    """The regions of the map in the order of their offsets, and the unused space between them."""
    named = sorted(board.regions().items(), key=lambda item: item[1].start)
    found: list[RegionFacts] = []
    at = 0
    for key, region in (*named, ("", Region(board.chip_bytes, 0))):
        if region.start > at:
            found.append(_inspect_region("unused", Region(at, region.start - at), data))
        if region.size:
            found.append(_inspect_region(key, region, data))
        at = region.end
    return tuple(found)


def _inspect_region(key: str, region: Region, data: bytes) -> RegionFacts:
    return RegionFacts(
        key=key, start=region.start, size=region.size, sectors=len(_sector_starts(region)),
        programmed=_count_programmed(data, region))


def _inspect_header(board: BoardProfile, data: bytes) -> HeaderFacts:
    magic, _, mode, size_freq = data[board.loader.start:board.loader.start + 4]
    nibble, freq = size_freq >> 4, size_freq & 15
    problems = []
    if magic != E9_MAGIC:
        problems.append(f"byte 0 is 0x{magic:02x}, not 0x{E9_MAGIC:02x}: the ROM starts nothing")
    else:
        if nibble != board.size_nibble:
            elsewhere = "the SDK reads its parameters from another place"
            problems.append(f"size nibble is {nibble}, not {board.size_nibble}: {elsewhere}")
        if MODES.get(mode) != board.flash_mode:
            problems.append(f"flash mode is {MODES.get(mode, mode)}, not {board.flash_mode}")
        if FREQS_MHZ.get(freq) != board.flash_freq_mhz:
            found = f"{FREQS_MHZ[freq]} MHz" if freq in FREQS_MHZ else f"0x{freq:x}"
            problems.append(f"flash frequency is {found}, not {board.flash_freq_mhz} MHz")
    return HeaderFacts(
        magic=magic, size_nibble=nibble, flash_mode=MODES.get(mode), flash_freq_mhz=FREQS_MHZ.get(freq),
        problems=tuple(problems))


def _inspect_phy(board: BoardProfile, data: bytes) -> PhyFacts:
    start = board.visible_bytes - 4 * SECTOR_BYTES
    block = data[start:start + _PHY_BYTES]
    if block[0] == _PHY_MAGIC:
        state = PhyState.RIGHT
    else:
        state = PhyState.BLANK if block == b"\xff" * _PHY_BYTES else PhyState.WRONG
    return PhyFacts(start, block[0], state)


def _inspect_journal(board: BoardProfile, data: bytes) -> JournalFacts:
    region = _region_bytes(data, board.journal)
    pages = tuple(_inspect_cell(index, board.journal.start, region) for index in range(journal.CELLS))
    if any(page.state is PageState.VALID and page.cell is None for page in pages):
        # The newest cell is not known: no writer makes such a cell, and readers need not skip it.
        return JournalFacts(pages, None, None)
    newest = journal.newest_cell(region)
    return JournalFacts(pages, newest[0] if newest is not None else None, journal.next_place(region))


def _inspect_cell(index: int, start: int, region: bytes) -> CellFacts:
    page = region[index * PAGE_BYTES:(index + 1) * PAGE_BYTES]
    state, offset = classify_page(page, journal.MAGIC), start + index * PAGE_BYTES
    try:
        return CellFacts(index=index, start=offset, state=state, cell=JournalCell.unpack(page))
    except FormatError as error:
        problem = "" if state is PageState.BLANK else str(error)
        return CellFacts(index=index, start=offset, state=state, problem=problem)


def _inspect_slot(slot: int, place: SlotMap, data: bytes) -> SlotFacts:
    start = place.descriptor.start
    page = data[start:start + PAGE_BYTES]
    state, problem, found = classify_page(page, descriptor.MAGIC), "", None
    try:
        found = SlotDescriptor.unpack(page)
        problem = _descriptor_misfit(found, slot, place)
    except FormatError as error:
        problem = "" if state is PageState.BLANK else str(error)
    usable = found if not problem else None
    image = _region_bytes(data, place.image)
    length = usable.length if usable is not None else None
    length = usable.length if usable is not None else None
    return SlotFacts(
        slot=slot,
        page=PageFacts(start=start, state=state, problem=problem),
        descriptor=usable,
        image=_inspect_image(image, usable),
        table=_inspect_table(_region_bytes(data, place.table), image, length),
        sectors=len(_sector_starts(place.image)),
        programmed=_count_programmed(data, place.image),
    )


def _descriptor_misfit(found: SlotDescriptor, slot: int, place: SlotMap) -> str:
    """The reason why the loader and the board ignore a descriptor with a valid seal; empty if they use it."""
    if found.slot != slot:
        return f"it was written for slot {'AB'[found.slot]}"
    if not 0 < found.length <= place.image.size:
        return f"its image has {found.length} bytes, the slot has {place.image.size}"
    return ""


def _inspect_image(image: bytes, found: SlotDescriptor | None) -> ImageState:
    if found is None:
        return ImageState.UNKNOWN
    right = hashlib.sha256(image[:found.length]).digest() == found.sha256
    return ImageState.MATCHES if right else ImageState.DIFFERS


def _inspect_table(sector: bytes, image: bytes, length: int | None) -> TableFacts | None:
    """Compare the blocks of `image` with the table in `sector`; None if the sector is not a block table."""
    entries = [sector[at:at + blocks.ENTRY_BYTES] for at in range(0, len(sector), blocks.ENTRY_BYTES)]
    count = next((index for index, entry in enumerate(entries) if entry == _BLANK_ENTRY), len(entries))
    if not count or any(entry != _BLANK_ENTRY for entry in entries[count:]):
        return None
    if length is not None and count != blocks.block_count(length) or count > blocks.BLOCKS_MAX:
        return None
    now = blocks.block_table(image[:length if length is not None else count * blocks.BLOCK_BYTES])
    differing = [
        index for index, entry in enumerate(entries[:count])
        if now[index * blocks.ENTRY_BYTES:(index + 1) * blocks.ENTRY_BYTES] != entry
    ]
    unknown = [index for index in differing if length is None and index == count - 1]
    return TableFacts(
        entries=count, differing=tuple(index for index in differing if index not in unknown),
        unknown=tuple(unknown))


def _inspect_window(board: BoardProfile, data: bytes, slots: tuple[SlotFacts, SlotFacts]) -> WindowFacts:
    log = _region_bytes(data, board.window_log)
    states = [windowlog.classify_entry(entry) for entry in windowlog.split_entries(log)]
    digest = windowlog.held_digest(log)
    described = {facts.slot: facts.descriptor for facts in slots if facts.descriptor is not None}
    named = [
        slot for slot, found in described.items()
        if digest is not None and found.sha256.startswith(digest)
    ]
    return WindowFacts(
        held=states.count(EntryState.HELD), dirty=states.count(EntryState.DIRTY),
        garbage=states.count(EntryState.GARBAGE), blank=states.count(EntryState.BLANK),
        last=windowlog.last_used_entry(log), digest=digest, names=named[0] if named else None,
        matches={slot: _match_window(board, data, slot, found.length) for slot, found in described.items()})


def _match_window(board: BoardProfile, data: bytes, slot: int, length: int) -> WindowMatch:
    """Compare the window with what the loader copies: the irom, padded with 0xFF to whole sectors."""
    image = board.slots[slot].image.start
    offsets = range(board.irom_offset, length, SECTOR_BYTES)
    differing = []
    for offset in offsets:
        wanted = data[image + offset:image + min(offset + SECTOR_BYTES, length)].ljust(SECTOR_BYTES, b"\xff")
        at = board.window.start + offset - board.irom_offset
        if data[at:at + SECTOR_BYTES] != wanted:
            differing.append(at)
    return WindowMatch(len(offsets), tuple(differing))
