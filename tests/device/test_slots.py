"""twoslot.boot.slots: the map table is accepted or refused, descriptors match slotbench's, the window log is erased in time."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotbench import boards
from slotbench.formats import maptable, windowlog
from slotbench.formats.descriptor import BAD_OFFSET, CONFIRMED_OFFSET, ImageForm, SlotDescriptor
from slotbench.vboard.flash.nor import PAGE, SECTOR
from slotbench.vboard.vm import CPythonVM
from support.device.board import BOARD, PRODUCT, DeviceBoard, firmware, refusal
from support.device.release import release_fields
from support.sampling import examples

U32 = st.integers(0, 0xFFFFFFFF)
NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=32)
VERSIONS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=16)
DESCRIPTORS = st.builds(
    SlotDescriptor, slot=st.integers(0, 1), counter=U32, length=st.integers(1, BOARD.slot_bytes),
    sha256=st.binary(min_size=32, max_size=32), fs_start=U32, product=NAMES, version=VERSIONS,
    form=st.sampled_from(ImageForm), floor=U32, fs_version=U32, mpy_abi=U32, twoslot=U32, confirmed=st.booleans(),
    bad=st.booleans(),
)
HELD = windowlog.held_entry(bytes(range(32)))
DIRTY, BLANK = windowlog.DIRTY_ENTRY, b"\xff" * 16
LOG = BOARD.window_log.start


class Access:
    """The slots of a board, by its map table."""

    def __init__(self, board: DeviceBoard, vm: CPythonVM) -> None:
        self.board, self.vm = board, vm
        self.plan = vm.import_("twoslot.trust.policy").parse_plan
        self.open()

    def open(self, numbers: list[int] | None = None) -> Any:
        """Read the map table; with `numbers` write it before."""
        if numbers is not None:
            self.board.flash.poke(maptable.OFFSET, maptable.pack_table(numbers))
        self.slots = self.vm.import_("twoslot.boot.slots").Slots(self.vm.import_("twoslot.flash").Flash())
        return self.slots

    def describe(self, slot: int, **changes: Any) -> None:
        fields = release_fields(**changes)
        self.vm.import_("twoslot.boot.spare").write_descriptor(self.slots, slot, PRODUCT, self.plan(fields, fields["images"]["any"]))


@pytest.fixture
def access(board: DeviceBoard, vm: CPythonVM) -> Access:
    return Access(board, vm)


# The map.


@pytest.mark.parametrize("name", [board.name for board in boards.with_loader()])
def test_every_board_file_is_read_as_it_is(access: Access, name: str) -> None:
    """A map table of the bench, on a chip that is large enough for all of them."""
    board = boards.load(name)
    access.board.soc.flash_id = 24 << 16 | 0x40EF
    slots = access.open(board.device_map())

    a, b = board.slots
    assert slots.journal == board.journal.start
    assert slots.log == (board.window_log.start if board.window_log else 0)
    assert slots.tables == (a.table.start, b.table.start)
    assert slots.descriptors == (a.descriptor.start, b.descriptor.start)
    assert slots.images == (a.image.start, b.image.start)
    assert (slots.size, slots.fs_start) == (board.slot_bytes, board.fs_start)


@pytest.mark.parametrize("byte", range(maptable.TABLE_BYTES))
def test_a_map_with_any_bit_wrong_is_refused(access: Access, byte: int) -> None:
    """A damaged map must not lead to a write."""
    place = maptable.OFFSET + byte
    access.board.flash.poke(place, bytes([access.board.flash.peek(place, 1)[0] ^ 0x10]))

    with refusal(access.vm, "FlashError", 73, maptable.OFFSET):
        access.open()


@pytest.mark.parametrize("content", [b"\xff", b"\0", b"2SM1"], ids=["erased", "zeros", "magic only"])
def test_a_board_that_was_never_set_up_is_refused(access: Access, content: bytes) -> None:
    access.board.flash.poke(maptable.OFFSET, (content * maptable.TABLE_BYTES)[: maptable.TABLE_BYTES])

    with refusal(access.vm, "FlashError", 73, maptable.OFFSET):
        access.open()


@pytest.mark.parametrize(("log2", "fits"), [(20, False), (21, False), (22, True), (23, True)])
def test_a_chip_smaller_than_its_map_is_refused(access: Access, log2: int, fits: bool) -> None:
    access.board.soc.flash_id = log2 << 16 | 0x40EF
    if fits:
        assert access.open().size == BOARD.slot_bytes, "a larger chip will do"
    else:
        with refusal(access.vm, "FlashError", 66, 1 << log2):
            access.open()


@pytest.mark.parametrize("slot", [0, 1])
def test_a_map_without_window_log_and_with_shared_sectors(access: Access, slot: int) -> None:
    """As native maps have it: the descriptor is the last page of the sector that begins with the table."""
    table = BOARD.slots[slot].table.start
    numbers = BOARD.device_map()
    numbers[1], numbers[3 + 2 * slot] = 0, table + SECTOR - PAGE
    access.board.flash.poke(table, bytes(16) + b"\xff" * 4080)
    access.open(numbers)
    access.board.flash.reset_counters()

    access.vm.import_("twoslot.boot.window_log").tidy(access.slots)
    access.vm.import_("twoslot.boot.spare").erase_descriptor(access.slots, slot)
    assert access.board.operations() == [], "the loader, or a table that is in use, was erased"
    access.describe(slot)
    assert access.slots.read(slot).counter == 6
    access.vm.import_("twoslot.boot.spare").erase_descriptor(access.slots, slot)
    assert access.board.erased() == [table]


def test_a_map_moves_everything(access: Access) -> None:
    slots = access.open([0x1000 * number for number in range(1, 16)])

    assert (slots.journal, slots.log) == (0x1000, 0x2000)
    assert slots.tables == (0x3000, 0x5000)
    assert slots.descriptors == (0x4000, 0x6000)
    assert slots.images == (0x7000, 0x8000)
    assert (slots.size, slots.fs_start) == (0x9000, 0xC000)


# The descriptor.


@given(descriptor=DESCRIPTORS)
@examples(40)
def test_a_descriptor_of_the_bench_reads_as_the_bench_wrote_it(
    shared_vm: CPythonVM, descriptor: SlotDescriptor,
) -> None:
    read = shared_vm.import_("twoslot.boot.slots").Descriptor(bytearray(descriptor.pack()))

    for name in SlotDescriptor.__dataclass_fields__:
        assert getattr(read, name) == getattr(descriptor, name), name


@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize(("version", "twoslot"), [("2", 0), ("1.25.0-beta.12+x", 0x010402)])
def test_write_descriptor_writes_what_the_bench_reads(
    access: Access, slot: int, version: str, twoslot: int,
) -> None:
    access.board.flash.erase(BOARD.slots[slot].descriptor.start // SECTOR)
    access.describe(slot, version=version, twoslot=twoslot)

    data = firmware(2)
    assert access.board.descriptor(slot) == SlotDescriptor(
        slot=slot, counter=6, length=len(data), sha256=hashlib.sha256(data).digest(), fs_start=BOARD.fs_start,
        product=PRODUCT, version=version, floor=3, fs_version=0x00020001, mpy_abi=6,
        twoslot=twoslot)
    assert access.slots.read(slot).version == version


def test_write_descriptor_programs_the_sealed_half_only(access: Access) -> None:
    access.board.flash.reset_counters()

    access.describe(1)

    place = BOARD.slots[1].descriptor.start
    assert [(op.kind, op.addr, op.length) for op in access.board.operations()] == [("program", place, 128)]


def test_write_descriptor_on_a_worn_sector(access: Access, vm: CPythonVM) -> None:
    place = BOARD.slots[1].descriptor.start
    access.board.flash.set_stuck(place // SECTOR, 0.9)

    with refusal(vm, "FlashError", 60, place):
        access.describe(1)


@pytest.mark.parametrize(
    "flaw",
    ["blank", "seal", "magic", "other slot", "length 0", "longer than the slot", "shortest", "longest"])
def test_a_page_that_is_no_descriptor_of_the_slot_is_none(access: Access, flaw: str) -> None:
    lengths = {
        "length 0": 0, "shortest": 1, "longest": BOARD.slot_bytes,
        "longer than the slot": BOARD.slot_bytes + 1,
    }
    access.board.put_slot(1, b"", counter=6, length=lengths.get(flaw, 4096))
    place = BOARD.slots[1].descriptor.start
    page = bytearray(access.board.flash.peek(place, PAGE))
    if flaw == "blank":
        page = bytearray(b"\xff" * PAGE)
    elif flaw == "seal":
        page[9] ^= 1
    elif flaw == "magic":
        page[3] = ord("2")
    elif flaw == "other slot":
        page = bytearray(access.board.flash.peek(BOARD.slots[0].descriptor.start, PAGE))
    access.board.flash.poke(place, page)

    assert (access.slots.read(1) is not None) == flaw.endswith("est")


@pytest.mark.parametrize(
    ("first", "erases"), [(b"", 0), (b"\xfe", 1), (b"\xff" * 255 + b"\x7f", 1), (b"2SD1", 1)])
def test_erase_descriptor_erases_unless_the_page_is_blank(access: Access, first: bytes, erases: int) -> None:
    place = BOARD.slots[1].descriptor.start
    access.board.flash.poke(place, first)
    access.board.flash.reset_counters()

    access.vm.import_("twoslot.boot.spare").erase_descriptor(access.slots, 1)

    assert access.board.erased() == [place] * erases
    assert access.board.flash.peek(place, PAGE) == b"\xff" * PAGE


def test_confirm_sets_one_word(access: Access) -> None:
    access.board.put_slot(1, firmware(2), counter=6)
    access.board.flash.reset_counters()

    access.slots.confirm(1)

    place = BOARD.slots[1].descriptor.start + CONFIRMED_OFFSET
    assert [(op.kind, op.addr, op.length) for op in access.board.operations()] == [("program", place, 4)]
    descriptor = access.slots.read(1)
    assert (descriptor.confirmed, descriptor.bad) == (True, False)


def test_a_torn_word_of_the_descriptor_counts(access: Access) -> None:
    access.board.put_slot(1, firmware(2), counter=6)
    for offset, name in ((CONFIRMED_OFFSET, "confirmed"), (BAD_OFFSET, "bad")):
        access.board.flash.poke(BOARD.slots[1].descriptor.start + offset, b"\xff\xff\xff\x7f")
        assert getattr(access.slots.read(1), name), f"a torn {name} word is not counted"


# The window log.


@pytest.mark.parametrize(
    ("entries", "erases"),
    [
        ([], False), ([HELD], False), ([HELD, DIRTY], False), ([DIRTY] * 127 + [HELD], False),
        ([DIRTY] * 128 + [HELD], True), ([BLANK] * 128 + [DIRTY], True), ([BLANK] * 255 + [DIRTY], True),
        ([HELD[:9] + b"\xff" * 7], True), ([DIRTY[:8] + HELD[8:]], True), ([b"D" + HELD[1:]], True),
        ([DIRTY, BLANK, HELD], False),
    ],
    ids=[
        "blank", "held", "dirty", "127", "128", "only 128", "only 255", "torn", "torn zeros", "kind", "hole"],
)
def test_the_log_is_erased_when_half_full_or_torn(
    access: Access, entries: list[bytes], erases: bool,
) -> None:
    sector = b"".join(entries).ljust(SECTOR, b"\xff")
    access.board.flash.poke(LOG, sector)
    access.board.flash.reset_counters()

    access.vm.import_("twoslot.boot.window_log").tidy(access.slots)

    assert access.board.erased() == ([LOG] if erases else [])
    assert erases == windowlog.needs_erase(sector), "device and bench disagree"
