"""twoslot.image.scan and twoslot.image.writer: the spare slot becomes the image byte for byte, and only what is wrong there is written."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from slotbench.formats import blocks
from slotbench.vboard.flash.nor import SECTOR
from slotbench.vboard.vm import CPythonVM
from support.device.board import BOARD, DeviceBoard, refusal
from support.device.release import release_fields
from support.device.site import ACTIVATE, VERIFY

SLOT = BOARD.slots[1]
PIECE = 512
IMAGE = random.Random(3).randbytes(7 * SECTOR + 1237)


class WriterBench:
    """What fills slot B with `image`: scan and writer."""

    def __init__(self, board: DeviceBoard, vm: CPythonVM, image: bytes = IMAGE) -> None:
        self.board, self.vm, self.image = board, vm, image
        fields = release_fields(image)
        plan = vm.import_("twoslot.trust.policy").parse_plan(fields, fields["images"]["any"])
        self.writer = vm.import_("twoslot.image.writer")
        self.scan, self.table = vm.import_("twoslot.image.scan"), vm.import_("twoslot.image.table")
        self.slot = self.scan.start((SLOT.image.start, SLOT.table.start), plan)
        self.writer.allocate(self.slot, SECTOR)
        self.agent = SimpleNamespace(progress=self.slot, plan=plan, next=0, source=None)

    @property
    def left(self) -> int:
        left: int = self.slot["left"]
        return left

    def part(self, size: int) -> Any:
        """Room for that many bytes in the buffer."""
        return self.writer.views(self.slot, size)

    def is_missing(self, number: int) -> bool:
        return bool(self.writer.is_missing(self.slot, number))

    def load(self, data: bytes) -> None:
        """Into the buffer, as an answer comes there."""
        for piece in self.part(len(data)):
            piece[:], data = data[: len(piece)], data[len(piece) :]
        assert data == b"", "the buffer is too small"

    def block(self, number: int) -> bytes:
        return self.image[number * SECTOR : (number + 1) * SECTOR]

    def table_matches(self) -> bool:
        return bool(self.scan.table_matches(self.slot, self.agent.plan["blocks"]))

    def put_table(self, table: bytes | None = None) -> None:
        self.load(blocks.block_table(self.image) if table is None else table)
        self.agent.views = None
        self.agent.response = SimpleNamespace(
            got=self.slot["blocks"] * 16, wait_ms=lambda size: None, fill=lambda views: True)
        self.table.step(self.agent)
        self.writer.allocate(self.slot, SECTOR)

    def scanned(self) -> set[int]:
        """Check all blocks; return the missing ones."""
        for number in range(self.slot["blocks"]):
            self.scan.check_block(self.slot, number)
        return {number for number in range(self.slot["blocks"]) if self.is_missing(number)}

    def put(self, number: int) -> None:
        self.load(self.block(number))
        self.writer.write_block(self.slot, number)

    def fill(self) -> None:
        """Everything an update does with the slot but the verification."""
        self.put_table()
        for number in sorted(self.scanned()):
            self.put(number)

    def whole(self) -> bool:
        """How image/scan checks the slot now. It drops the flash when the image is right."""
        self.vm.import_("twoslot").drop("image", "flash")
        self.scan, self.writer = self.vm.import_("twoslot.image.scan"), self.vm.import_("twoslot.image.writer")
        self.agent.state, self.agent.progress, self.slot["scans"] = VERIFY, self.slot, 0
        while self.agent.state == VERIFY:
            self.scan.step(self.agent)
        self.agent.next = 0
        return bool(self.agent.state == ACTIVATE)


@pytest.fixture
def bench(board: DeviceBoard, vm: CPythonVM) -> WriterBench:
    return WriterBench(board, vm)


def erased_image_sectors(board: DeviceBoard) -> list[int]:
    """Numbers of the blocks whose sector was erased, in order."""
    return [(addr - SLOT.image.start) // SECTOR for addr in board.erased() if addr in SLOT.image]


# The whole image.


@pytest.mark.parametrize(
    "length", [*range(1, 9), *range(1020, 1030), SECTOR, *range(2 * SECTOR, 2 * SECTOR + 9), 3 * SECTOR - 1])
def test_an_image_of_any_length_is_written_whole(board: DeviceBoard, vm: CPythonVM, length: int) -> None:
    """What no word ends is padded with 0xFF, and no buffer is read or written past its end."""
    bench = WriterBench(board, vm, random.Random(length).randbytes(length))
    bench.fill()

    assert board.flash.peek(SLOT.image.start, length) == bench.image
    assert board.flash.peek(SLOT.image.start + length, 64) == b"\xff" * 64
    assert bench.left == 0
    assert bench.whole(), "the digest must be of the image, not of its padding"


def test_the_longest_image_fills_the_slot(board: DeviceBoard, vm: CPythonVM) -> None:
    bench = WriterBench(board, vm, random.Random(1).randbytes(BOARD.slot_bytes))
    bench.fill()

    assert bench.slot["blocks"] == blocks.BLOCKS_MAX == 251
    assert board.flash.peek(SLOT.image.start, BOARD.slot_bytes) == bench.image
    assert bench.whole()
    changed = {op.addr for op in board.operations()}
    assert all(addr in SLOT.image or addr in SLOT.table for addr in changed), "written outside the spare slot"


def test_an_image_of_another_digest_is_scanned_three_times_and_refused(bench: WriterBench) -> None:
    """Its blocks are what the table says: nothing can be fetched that would mend it."""
    bench.fill()
    bench.agent.plan["sha256"] = bytes(32)
    bench.agent.state = VERIFY
    scans = 0
    with refusal(bench.vm, "ReleaseError", 43, 0):
        while scans < 9:
            bench.scan.step(bench.agent)
            scans += bench.agent.state == VERIFY and not bench.agent.next
    assert scans == 2, "behind the first look at it"


# The block table.


def test_the_table_is_stored_and_known_again(bench: WriterBench) -> None:
    assert not bench.table_matches()
    bench.put_table()

    assert bench.board.flash.peek(SLOT.table.start, SECTOR) == blocks.table_sector(blocks.block_table(IMAGE))
    assert bench.table_matches()
    bench.board.flash.reset_counters()
    assert bench.table_matches()
    assert bench.board.operations() == []


@pytest.mark.parametrize("place", [0, 15, 16, 8 * 16 - 1])
def test_a_table_that_lost_a_bit_is_not_right(bench: WriterBench, place: int) -> None:
    bench.put_table()
    sector = bytearray(bench.board.flash.peek(SLOT.table.start, SECTOR))
    sector[place] ^= 4
    bench.board.flash.poke(SLOT.table.start, sector)

    assert not bench.table_matches()


@pytest.mark.parametrize("flip", [0, 15, 16, 8 * 16 - 1, None])
def test_a_table_of_another_image_is_refused(bench: WriterBench, flip: int | None) -> None:
    table = bytearray(blocks.block_table(bytes(len(IMAGE)) if flip is None else IMAGE))
    if flip is not None:
        table[flip] ^= 1
    bench.board.flash.reset_counters()

    with refusal(bench.vm, "LinkError", 13, 0):
        bench.put_table(bytes(table))
    assert bench.board.operations() == []


@pytest.mark.parametrize("behind", [0xFF, 0x00])
def test_what_lies_behind_a_table_in_the_buffer_stays_there(bench: WriterBench, behind: int) -> None:
    """The buffer still holds what came before."""
    bench.load(bytes([behind]) * SECTOR)
    bench.put_table()

    assert bench.board.flash.peek(SLOT.table.start, SECTOR) == blocks.table_sector(blocks.block_table(IMAGE))


# Which blocks are missing.


@pytest.mark.parametrize("wrong", [set(), {0}, {7}, {1, 2, 5}, set(range(8))])
def test_the_scan_finds_differing_blocks_and_writes_nothing(bench: WriterBench, wrong: set[int]) -> None:
    bench.put_table()
    bench.board.flash.poke(SLOT.image.start, IMAGE)
    for number in wrong:
        bench.board.flash.poke(SLOT.image.start + number * SECTOR + 100, bytes(4))
    bench.board.flash.reset_counters()

    assert bench.scanned() == wrong
    assert bench.left == len(wrong)
    assert bench.scanned() == wrong and bench.left == len(wrong), "a second scan counts twice"
    assert bench.board.operations() == []


def test_garbage_behind_the_image_is_of_no_interest(bench: WriterBench) -> None:
    bench.put_table()
    bench.board.flash.poke(SLOT.image.start, IMAGE + bytes(400))

    assert bench.scanned() == set()


@pytest.mark.parametrize(
    ("missing", "run"),
    [({0}, (0, 1)), ({7}, (7, 8)), ({2, 3, 4, 6}, (2, 5)), (set(range(8)), (0, 8)), ({6, 7}, (6, 8))])
def test_the_first_run_of_missing_blocks(bench: WriterBench, missing: set[int], run: tuple[int, int]) -> None:
    bench.put_table()
    bench.board.flash.poke(SLOT.image.start, IMAGE)
    for number in missing:
        bench.board.flash.poke(SLOT.image.start + number * SECTOR, bytes(4))
    bench.scanned()

    assert bench.writer.next_missing_run(bench.slot) == run


def test_only_missing_sectors_are_erased(bench: WriterBench) -> None:
    bench.put_table()
    bench.board.flash.poke(SLOT.image.start, IMAGE)
    for number in (1, 4, 7):
        bench.board.flash.poke(SLOT.image.start + number * SECTOR, bytes(8))
    bench.board.flash.reset_counters()

    bench.fill()

    assert erased_image_sectors(bench.board) == [1, 4, 7]
    assert bench.whole()


# One block.


def test_a_block_is_erased_and_programmed_once(bench: WriterBench) -> None:
    bench.put_table()
    bench.scanned()
    bench.board.flash.reset_counters()

    bench.put(7)

    place = SLOT.image.start + 7 * SECTOR
    done = [(op.kind, op.addr, op.length) for op in bench.board.operations()]
    assert done == [
        ("erase", place, SECTOR), ("program", place, 512), ("program", place + 512, 512),
        ("program", place + 1024, 216)]
    assert not bench.is_missing(7) and bench.left == 7


@pytest.mark.parametrize("number", [0, 3, 7])
@pytest.mark.parametrize("place", [0, 500, 1236])
def test_a_block_that_differs_from_the_table_never_reaches_the_flash(
    bench: WriterBench, number: int, place: int,
) -> None:
    bench.put_table()
    bench.scanned()
    bench.load(bench.block(number))
    bench.part(SECTOR)[place // PIECE][place % PIECE] ^= 0x80
    bench.board.flash.reset_counters()

    with refusal(bench.vm, "LinkError", 12, number):
        bench.writer.write_block(bench.slot, number)
    assert bench.board.operations() == []
    assert bench.is_missing(number) and bench.left == 8


def test_the_size_of_a_block(bench: WriterBench) -> None:
    assert [bench.writer.bytes_of_block(bench.slot, number) for number in range(8)] == [SECTOR] * 7 + [1237]


@pytest.mark.parametrize("size", [0, 1, 3, 511, 512, 513, 1237, 3584, 3585, 4095, 4096])
def test_the_buffer_is_given_out_in_pieces(bench: WriterBench, size: int) -> None:
    """No 4 KB in one: beside an application the heap seldom has them."""
    sizes = [len(piece) for piece in bench.part(size)]

    assert sum(sizes) == size
    assert all(length == PIECE for length in sizes[:-1]) and max(sizes, default=0) <= PIECE
    held = random.Random(size).randbytes(size)
    bench.load(held)
    assert b"".join(bench.part(size)) == held


def test_the_buffer_is_made_when_it_is_needed_and_kept(bench: WriterBench) -> None:
    """The agent takes it out of memory while it asks the server; what is known of the slot stays."""
    bench.put_table()
    bench.scanned()
    bench.load(bench.block(0))
    bench.writer.allocate(bench.slot, SECTOR)
    bench.writer.write_block(bench.slot, 0)

    bench.slot["pieces"] = None
    bench.writer.allocate(bench.slot, SECTOR)
    assert [len(piece) for piece in bench.slot["pieces"]] == [PIECE] * 8
    for number in range(1, 8):
        bench.put(number)
    assert bench.whole()


# Wear and decay.


@pytest.mark.parametrize("works", [0.0, 0.5, 0.999])
def test_a_worn_sector_is_given_up_after_three_tries(bench: WriterBench, works: float) -> None:
    bench.put_table()
    bench.scanned()
    place = SLOT.image.start + 2 * SECTOR
    bench.board.flash.set_stuck(place // SECTOR, works)
    bench.board.flash.reset_counters()

    with refusal(bench.vm, "FlashError", 60, place):
        bench.put(2)
    assert bench.board.erased() == [place] * 3
    assert bench.is_missing(2), "a block that did not take counts as there"


def test_a_worn_table_sector_is_named(bench: WriterBench) -> None:
    bench.board.flash.set_stuck(SLOT.table.start // SECTOR)

    with refusal(bench.vm, "FlashError", 60, SLOT.table.start):
        bench.put_table()


def test_a_sector_that_takes_at_the_second_try_is_used(bench: WriterBench) -> None:
    bench.put_table()
    bench.scanned()
    tries = []
    for number in range(7):
        bench.board.flash.set_stuck(SLOT.image.start // SECTOR + number, 0.99997)
        bench.board.flash.reset_counters()
        try:
            bench.put(number)
        except bench.vm.import_("twoslot.errors").FlashError:
            continue
        tries.append(len(bench.board.erased()))
        held = bench.board.flash.peek(SLOT.image.start + number * SECTOR, SECTOR)
        assert held == bench.block(number), "a block was accepted that reads differently"
    assert max(tries) > 1, "no sector of this test needed a second try"


@pytest.mark.parametrize("place", [0, 5 * SECTOR, len(IMAGE) - 1])
def test_one_bit_that_fell_after_writing_is_noticed(bench: WriterBench, place: int) -> None:
    bench.fill()
    assert bench.whole()
    byte = bench.board.flash.peek(SLOT.image.start + place, 1)[0]
    bench.board.flash.poke(SLOT.image.start + place, bytes([byte ^ 1]))

    assert not bench.whole()
    assert bench.scanned() == {place // SECTOR}
    bench.put(place // SECTOR)
    assert bench.whole(), "the digest did not begin anew"


def test_another_images_digest_is_not_whole(board: DeviceBoard, vm: CPythonVM) -> None:
    bench = WriterBench(board, vm)
    bench.fill()
    bench.agent.plan["sha256"] = bytes(32)

    assert not bench.whole()


def test_the_image_can_be_verified_again_and_again(bench: WriterBench) -> None:
    """A digest can be asked once on this port: every verification begins its own."""
    bench.fill()
    results: list[Any] = [bench.whole() for _ in range(3)]

    assert results == [True] * 3
