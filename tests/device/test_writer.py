"""twoslot.writer: the spare slot becomes the image byte for byte, and only what is wrong there is written."""

from __future__ import annotations

import random
from typing import Any

import pytest

from slotbench.formats import blocks
from slotbench.vboard.flash import SECTOR
from slotbench.vboard.vm import CPythonVM
from support.device_board import BOARD, DeviceBoard, refusal
from support.device_release import release_fields

SLOT = BOARD.slots[1]
IMAGE = random.Random(3).randbytes(7 * SECTOR + 1237)


class Bench:
    """A writer for `image` into slot B."""

    def __init__(self, board: DeviceBoard, vm: CPythonVM, image: bytes = IMAGE) -> None:
        self.board, self.vm, self.image = board, vm, image
        fields = release_fields(image)
        plan = vm.import_("twoslot.offer").Plan(fields, fields["images"]["any"])
        self.buf = bytearray(SECTOR)
        port = vm.import_("twoslot.port").Port(BOARD.chip_bytes)
        slots = vm.import_("twoslot.slots").Slots(None)
        self.writer = vm.import_("twoslot.writer").Writer(port, slots, 1, plan, self.buf)

    def block(self, number: int) -> bytes:
        return self.image[number * SECTOR : (number + 1) * SECTOR]

    def put_table(self) -> None:
        table = blocks.table(self.image)
        self.buf[: len(table)] = table
        self.writer.put_table(len(table))

    def survey(self) -> set[int]:
        """Look at all blocks; return those that are missing."""
        for number in range(self.writer.blocks):
            self.writer.survey(number)
        return {number for number in range(self.writer.blocks) if self.writer.is_missing(number)}

    def put(self, number: int) -> None:
        part = self.writer.part(number)
        part[:] = self.block(number)
        self.writer.put(number)

    def fill(self) -> None:
        """Everything an update does with the slot but the verification."""
        self.put_table()
        for number in sorted(self.survey()):
            self.put(number)

    def whole(self) -> bool:
        for number in range(self.writer.blocks):
            self.writer.hash(number)
        result: bool = self.writer.whole()
        return result


@pytest.fixture
def bench(board: DeviceBoard, vm: CPythonVM) -> Bench:
    return Bench(board, vm)


def erased_image_sectors(board: DeviceBoard) -> list[int]:
    """Numbers of the blocks whose sector was erased, in order."""
    return [(addr - SLOT.image.start) // SECTOR for addr in board.erased() if addr in SLOT.image]


# The whole image.


@pytest.mark.parametrize("length", [*range(1, 9), SECTOR, *range(2 * SECTOR, 2 * SECTOR + 9), 3 * SECTOR - 1])
def test_an_image_of_any_length_is_written_whole(board: DeviceBoard, vm: CPythonVM, length: int) -> None:
    """What no word ends is padded with 0xFF, and no buffer is read or written past its end."""
    bench = Bench(board, vm, random.Random(length).randbytes(length))
    bench.fill()

    assert board.flash.peek(SLOT.image.start, length) == bench.image
    assert board.flash.peek(SLOT.image.start + length, 64) == b"\xff" * 64
    assert bench.writer.left == 0
    assert bench.whole(), "the digest must be of the image, not of its padding"


def test_the_longest_image_fills_the_slot(board: DeviceBoard, vm: CPythonVM) -> None:
    bench = Bench(board, vm, random.Random(1).randbytes(BOARD.slot_bytes))
    bench.fill()

    assert bench.writer.blocks == blocks.BLOCKS_MAX == 251
    assert board.flash.peek(SLOT.image.start, BOARD.slot_bytes) == bench.image
    assert bench.whole()
    changed = {op.addr for op in board.operations()}
    assert all(addr in SLOT.image or addr in SLOT.table for addr in changed), "written outside the spare slot"


# The block table.


def test_the_table_is_stored_and_known_again(bench: Bench) -> None:
    assert not bench.writer.table_right()
    bench.put_table()

    assert bench.board.flash.peek(SLOT.table.start, SECTOR) == blocks.sector(blocks.table(IMAGE))
    assert bench.writer.table_right()
    bench.board.flash.reset_counters()
    assert bench.writer.table_right()
    assert bench.board.operations() == []


@pytest.mark.parametrize("place", [0, 15, 16, 8 * 16 - 1])
def test_a_table_that_lost_a_bit_is_not_right(bench: Bench, place: int) -> None:
    bench.put_table()
    sector = bytearray(bench.board.flash.peek(SLOT.table.start, SECTOR))
    sector[place] ^= 4
    bench.board.flash.poke(SLOT.table.start, sector)

    assert not bench.writer.table_right()


@pytest.mark.parametrize("size", [0, 16, 7 * 16, 8 * 16 + 16, 4096])
def test_a_table_of_another_length_is_refused(bench: Bench, size: int) -> None:
    table = (blocks.table(IMAGE) + bytes(SECTOR))[:size]
    bench.buf[:size] = table
    bench.board.flash.reset_counters()

    with refusal(bench.vm, "LinkError", 13, 0):
        bench.writer.put_table(size)
    assert bench.board.operations() == []


def test_a_table_of_another_image_is_refused(bench: Bench) -> None:
    table = blocks.table(bytes(len(IMAGE)))
    bench.buf[: len(table)] = table
    bench.board.flash.reset_counters()

    with refusal(bench.vm, "LinkError", 13, 0):
        bench.writer.put_table(len(table))
    assert bench.board.operations() == []


# Which blocks are missing.


@pytest.mark.parametrize("wrong", [set(), {0}, {7}, {1, 2, 5}, set(range(8))])
def test_the_survey_finds_what_differs_and_writes_nothing(bench: Bench, wrong: set[int]) -> None:
    bench.put_table()
    bench.board.flash.poke(SLOT.image.start, IMAGE)
    for number in wrong:
        bench.board.flash.poke(SLOT.image.start + number * SECTOR + 100, bytes(4))
    bench.board.flash.reset_counters()

    assert bench.survey() == wrong
    assert bench.writer.left == len(wrong)
    assert bench.survey() == wrong and bench.writer.left == len(wrong), "a second look counts twice"
    assert bench.board.operations() == []


def test_garbage_behind_the_image_is_of_no_interest(bench: Bench) -> None:
    bench.put_table()
    bench.board.flash.poke(SLOT.image.start, IMAGE + bytes(400))

    assert bench.survey() == set()


@pytest.mark.parametrize(
    ("missing", "run"),
    [({0}, (0, 1)), ({7}, (7, 8)), ({2, 3, 4, 6}, (2, 5)), (set(range(8)), (0, 8)), ({6, 7}, (6, 8))])
def test_the_first_run_of_missing_blocks(bench: Bench, missing: set[int], run: tuple[int, int]) -> None:
    bench.put_table()
    bench.board.flash.poke(SLOT.image.start, IMAGE)
    for number in missing:
        bench.board.flash.poke(SLOT.image.start + number * SECTOR, bytes(4))
    bench.survey()

    assert bench.writer.run() == run


def test_only_missing_sectors_are_erased(bench: Bench) -> None:
    bench.put_table()
    bench.board.flash.poke(SLOT.image.start, IMAGE)
    for number in (1, 4, 7):
        bench.board.flash.poke(SLOT.image.start + number * SECTOR, bytes(8))
    bench.board.flash.reset_counters()

    bench.fill()

    assert erased_image_sectors(bench.board) == [1, 4, 7]
    assert bench.whole()


# One block.


def test_a_block_is_erased_and_programmed_once(bench: Bench) -> None:
    bench.put_table()
    bench.survey()
    bench.board.flash.reset_counters()

    bench.put(7)

    place = SLOT.image.start + 7 * SECTOR
    done = [(op.kind, op.addr, op.length) for op in bench.board.operations()]
    assert done == [("erase", place, SECTOR), ("program", place, 1240)]
    assert not bench.writer.is_missing(7) and bench.writer.left == 7


@pytest.mark.parametrize("number", [0, 3, 7])
@pytest.mark.parametrize("place", [0, 500, 1236])
def test_a_block_that_differs_from_the_table_never_reaches_the_flash(
    bench: Bench, number: int, place: int,
) -> None:
    bench.put_table()
    bench.survey()
    part = bench.writer.part(number)
    part[:] = bench.block(number)
    part[place] ^= 0x80
    bench.board.flash.reset_counters()

    with refusal(bench.vm, "LinkError", 12, number):
        bench.writer.put(number)
    assert bench.board.operations() == []
    assert bench.writer.is_missing(number) and bench.writer.left == 8


def test_the_part_of_a_block_is_as_long_as_the_block(bench: Bench) -> None:
    assert [len(bench.writer.part(number)) for number in range(8)] == [SECTOR] * 7 + [1237]


# Wear and decay.


@pytest.mark.parametrize("works", [0.0, 0.5, 0.999])
def test_a_worn_sector_is_given_up_after_three_tries(bench: Bench, works: float) -> None:
    bench.put_table()
    bench.survey()
    place = SLOT.image.start + 2 * SECTOR
    bench.board.flash.set_stuck(place // SECTOR, works)
    bench.board.flash.reset_counters()

    with refusal(bench.vm, "FlashError", 60, place):
        bench.put(2)
    assert bench.board.erased() == [place] * 3
    assert bench.writer.is_missing(2), "a block that did not take counts as there"


def test_a_worn_table_sector_is_named(bench: Bench) -> None:
    bench.board.flash.set_stuck(SLOT.table.start // SECTOR)

    with refusal(bench.vm, "FlashError", 60, SLOT.table.start):
        bench.put_table()


def test_a_sector_that_takes_at_the_second_try_is_used(bench: Bench) -> None:
    bench.put_table()
    bench.survey()
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
        assert held == bench.block(number), "a block was believed that reads otherwise"
    assert max(tries) > 1, "no sector of this test needed a second try"


@pytest.mark.parametrize("place", [0, 5 * SECTOR, len(IMAGE) - 1])
def test_one_bit_that_fell_after_writing_is_noticed(bench: Bench, place: int) -> None:
    bench.fill()
    assert bench.whole()
    byte = bench.board.flash.peek(SLOT.image.start + place, 1)[0]
    bench.board.flash.poke(SLOT.image.start + place, bytes([byte ^ 1]))

    assert not bench.whole()
    assert bench.survey() == {place // SECTOR}
    bench.put(place // SECTOR)
    assert bench.whole(), "the digest did not begin anew"


def test_another_images_digest_is_not_whole(board: DeviceBoard, vm: CPythonVM) -> None:
    bench = Bench(board, vm)
    bench.fill()
    bench.writer.digest = bytes(32)

    assert not bench.whole()


def test_the_image_can_be_verified_again_and_again(bench: Bench) -> None:
    """A digest can be asked once on this port: every verification begins its own."""
    bench.fill()
    results: list[Any] = [bench.whole() for _ in range(3)]

    assert results == [True] * 3
