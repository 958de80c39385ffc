"""The flash model is tested before it is trusted: every proof about power cuts stands on it."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotbench.errors import BenchError
from slotbench.vboard.clock import Clock
from slotbench.vboard.flash.littlefs import as_the_part
from slotbench.vboard.flash.nor import BLOCK, SECTOR, BenchViolation, FlashOperation, NorFlash, PowerCut

SIZE = 8 * SECTOR


def test_erased_and_programmed() -> None:
    flash = NorFlash(SIZE)
    assert flash.read(0, SIZE) == b"\xff" * SIZE
    flash.write(0x1004, b"\x0f\xf0\x00\xff")
    flash.write(0x1004, b"\x0f\x00\x00\xff")
    assert flash.read(0x1000, 12) == b"\xff" * 4 + b"\x0f\x00\x00\xff" + b"\xff" * 4
    flash.erase(1)
    assert flash.read(0x1000, SECTOR) == b"\xff" * SECTOR


def test_a_program_that_raises_a_bit_is_refused_and_names_place_and_actor() -> None:
    flash = NorFlash(SIZE)
    flash.write(0x100, b"\x00\xff\xff\xff")
    with pytest.raises(BenchViolation, match="loader programs 0x000100 from 0x00 to 0x01"):
        flash.write(0x100, b"\x01\xff\xff\xff", "loader")
    assert flash.read(0x100, 4) == b"\x00\xff\xff\xff"


def test_a_violation_survives_device_code_that_catches_exception() -> None:
    assert not issubclass(BenchViolation, Exception)
    assert not issubclass(PowerCut, Exception)


def test_lenient_ands_as_the_part_does() -> None:
    flash = NorFlash(SIZE, lenient=True)
    flash.write(0, b"\xf0\x0f\xff\x00")
    flash.write(0, b"\xff\xff\x0f\xff")
    assert flash.read(0, 4) == b"\xf0\x0f\x0f\x00"


def test_only_what_asks_for_it_programs_as_the_part_does() -> None:
    flash = NorFlash(SIZE)
    flash.write(0, b"\xf7\xff\xff\xff")
    with as_the_part(flash):
        flash.write(0, b"\x0f\xff\xff\xff")
    assert flash.read(0, 4) == b"\x07\xff\xff\xff"
    with pytest.raises(BenchViolation):
        flash.write(0, b"\x0f\xff\xff\xff")


@pytest.mark.parametrize(("addr", "length"), [(2, 4), (0, 3), (SIZE - 4, 8), (SIZE, 4), (-4, 4)])
def test_alignment_and_bounds(addr: int, length: int) -> None:
    flash = NorFlash(SIZE)
    with pytest.raises(BenchViolation):
        flash.read(addr, length)
    with pytest.raises(BenchViolation):
        flash.write(addr, bytes(length))
    assert flash.operations == 0


@pytest.mark.parametrize("sector", [-1, SIZE // SECTOR])
def test_erase_outside_the_chip(sector: int) -> None:
    with pytest.raises(BenchViolation):
        NorFlash(SIZE).erase(sector)


@pytest.mark.parametrize("block", [-1, 2])
def test_a_block_outside_the_chip(block: int) -> None:
    with pytest.raises(BenchViolation):
        NorFlash(2 * BLOCK).erase_block(block)


def test_a_block_is_erased_in_one_operation_and_wears_each_sector() -> None:
    flash = NorFlash(3 * BLOCK, image=bytes(3 * BLOCK))
    flash.set_weak(BLOCK + 8, 4)
    flash.set_stuck(BLOCK // SECTOR + 3)
    flash.erase_block(1, "loader")
    assert flash.log == [FlashOperation(0, "erase", BLOCK, BLOCK, "loader")]
    assert (flash.erases, flash.clock.us) == (1, 150_000)
    assert flash.wear == [0] * 16 + [1] * 16 + [0] * 16
    blank = b"\xff" * SECTOR
    assert flash.peek(BLOCK, BLOCK) == 3 * blank + bytes(SECTOR) + 12 * blank and not flash.weak
    assert flash.peek(0, BLOCK) + flash.peek(2 * BLOCK, BLOCK) == bytes(2 * BLOCK)


def test_log_counters_and_wear() -> None:
    flash = NorFlash(SIZE)
    flash.erase(2, "python")
    flash.write(2 * SECTOR, bytes(8), "sdk")
    flash.write(0, b"")
    assert flash.log == [FlashOperation(0, "erase", 2 * SECTOR, SECTOR, "python"), FlashOperation(1, "program", 2 * SECTOR, 8, "sdk")]
    assert (flash.operations, flash.erases, flash.programs, flash.programmed_bytes) == (2, 1, 1, 8)
    assert flash.wear[2] == 1 and sum(flash.wear) == 1
    assert NorFlash(SIZE, log=False).log is None


def test_time_is_spent_by_sector_and_by_page_touched() -> None:
    clock = Clock()
    flash = NorFlash(SIZE, clock=clock)
    flash.erase(0)
    assert clock.us == 45_000
    flash.write(252, bytes(8))
    assert clock.us == 45_000 + 2 * 700
    flash.read(0, SECTOR)
    assert clock.us == 45_000 + 2 * 700 + SECTOR


def test_a_program_may_span_sectors() -> None:
    flash = NorFlash(SIZE)
    data = random.Random(1).randbytes(2 * SECTOR + 512)
    flash.write(SECTOR - 256, data)
    assert flash.read(SECTOR - 256, len(data)) == data
    assert flash.read(0, 4) == flash.read(4 * SECTOR - 4, 4) == b"\xff" * 4


def test_clones_share_nothing_and_count_from_zero() -> None:
    flash = NorFlash(SIZE)
    flash.erase(1)
    flash.write(0x1000, b"abcd")
    flash.set_stuck(3)
    flash.set_weak(0x2000, 4)
    twin = flash.clone()
    assert (twin.operations, twin.log, twin.wear[1]) == (0, [], 1)
    assert (twin.stuck, twin.weak) == ({3: 0.0}, {0x2000: 0xFFFFFFFF})
    twin.write(0x1004, b"efgh")
    flash.write(0x1008, b"ijkl")
    twin.erase(4)
    assert flash.read(0x1000, 12) == b"abcd\xff\xff\xff\xffijkl"
    assert twin.read(0x1000, 12) == b"abcdefgh\xff\xff\xff\xff"
    assert flash.wear[4] == 0 and twin.clock is not flash.clock


def test_image_file_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "board.flash"
    flash = NorFlash(SIZE, path, image=b"loader")
    flash.write(0x3000, b"1234")
    assert not path.exists()
    flash.save()
    assert NorFlash(SIZE, path).peek(0, SIZE) == flash.peek(0, SIZE)
    flash.dump(tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == path.read_bytes()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["board.flash", "copy"]


def test_image_file_of_another_size_or_place_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "board.flash"
    path.write_bytes(bytes(100))
    with pytest.raises(BenchError, match="another size: .*board.flash: 100 bytes") as caught:
        NorFlash(SIZE, path)
    assert caught.value.exit_code == 2
    with pytest.raises(BenchError, match="cannot write flash image"):
        NorFlash(SIZE).dump(tmp_path / "no" / "such" / "folder")


def test_weak_words_read_differently_until_they_are_erased() -> None:
    flash = NorFlash(SIZE)
    flash.write(0x1000, bytes(8))
    flash.set_weak(0x1004, 4, 0x0000FF00)
    reads = {flash.read(0x1000, 8) for _ in range(50)}
    assert len(reads) > 10
    assert all(read[:5] == bytes(5) and read[6:] == bytes(2) for read in reads)
    flash.write(0x1004, b"\x00\xff\x00\x00")  # what may have read as 1 may be left at 1
    flash.erase(1)
    assert flash.read(0x1000, 8) == b"\xff" * 8 and not flash.weak


def test_a_stuck_sector_keeps_its_bits_and_is_never_a_violation() -> None:
    flash = NorFlash(SIZE)
    flash.write(0x1000, b"old!")
    flash.set_stuck(1)
    flash.erase(1)
    assert flash.read(0x1000, 4) == b"old!"
    flash.write(0x1000, b"new!")
    assert flash.read(0x1000, 4) == b"old!"
    flash.write(0x0FFC, b"edgeEDGE")
    assert flash.read(0x0FFC, 8) == b"edgeold!"


@pytest.mark.parametrize("share", [0.0, 0.003, 0.25, 0.5, 0.999, 1.0])
def test_a_worn_sector_moves_this_share_of_its_bits(share: float) -> None:
    flash = NorFlash(SIZE)
    flash.set_stuck(0, share)
    flash.write(0, bytes(SECTOR))
    bits = 8 * SECTOR
    moved = bits - int.from_bytes(flash.read(0, SECTOR), "little").bit_count()
    assert abs(moved - share * bits) <= 4 * math.sqrt(bits * share * (1 - share))


def test_a_worn_sector_moves_some_of_its_bits() -> None:
    flash = NorFlash(SIZE)
    flash.set_stuck(0, 0.5)
    flash.write(0, bytes(SECTOR))
    ones = sum(byte.bit_count() for byte in flash.peek(0, SECTOR))
    assert SECTOR * 8 * 0.4 < ones < SECTOR * 8 * 0.6
    flash.erase(0)
    assert ones < sum(byte.bit_count() for byte in flash.peek(0, SECTOR)) < SECTOR * 8


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("erase"), st.integers(0, 7), st.just(b"")),
        st.tuples(st.just("write"), st.integers(0, SIZE // 4 - 1), st.binary(min_size=1, max_size=40)),
        st.tuples(st.just("clone"), st.just(0), st.just(b"")),
    ),
    max_size=30,
)


@given(OPERATIONS)
def test_behaves_like_a_plain_array(operations: list[tuple[str, int, bytes]]) -> None:
    flash, model = NorFlash(SIZE, lenient=True), bytearray(b"\xff" * SIZE)
    for kind, place, data in operations:
        if kind == "erase":
            flash.erase(place)
            model[place * SECTOR : (place + 1) * SECTOR] = b"\xff" * SECTOR
        elif kind == "clone":
            flash = flash.clone()
        else:
            data = (data * 4)[: min(len(data) * 4, SIZE - place * 4)]
            flash.write(place * 4, data)
            for offset, byte in enumerate(data):
                model[place * 4 + offset] &= byte
    assert flash.read(0, SIZE) == model
    assert flash.peek(SECTOR - 3, SECTOR + 7) == model[SECTOR - 3 : 2 * SECTOR + 4]
