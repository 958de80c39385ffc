"""twoslot.boot.journal: some valid cell always counts, the newest is never at risk, the bytes are the bench's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotbench.formats import journal as host
from slotbench.formats.journal import Ended, JournalCell, Report, SlotState
from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.flash.nor import PAGE, SECTOR
from slotbench.vboard.signals import PowerCut
from slotbench.vboard.vm import CPythonVM
from support.device.board import BOARD, DeviceBoard, refusal, trial_cell
from support.device.decision import first
from support.sampling import examples

SECTORS = (BOARD.journal.start, BOARD.journal.start + SECTOR)
GARBAGE = b"2SJ2" + b"\xff" * (PAGE - 4)
U32 = st.integers(0, 0xFFFFFFFF)
FLAGS = st.tuples(*[st.booleans()] * 8)
WORDS = st.tuples(*[st.none() | st.sampled_from(Ended).map(int) | st.integers(0, 0xFFFFFFFE)] * 8)
CELLS = st.builds(
    JournalCell, sequence=U32, active=st.integers(0, 1), state_a=st.sampled_from(SlotState),
    state_b=st.sampled_from(SlotState), attempts=st.integers(0, 8), copies=st.integers(0, 8),
    report=st.sampled_from(Report), rounds=st.integers(0, 255), counter_a=U32, counter_b=U32, floor=U32,
    bad_counter=U32, unproven_counter=U32, head_seq=U32, head_time=U32, key_epoch=U32, channel_tag=U32,
    report_counter=U32, spent=FLAGS, ended=WORDS, copied=FLAGS, bad_a=st.booleans(), bad_b=st.booleans(),
    confirmed=st.booleans(),
)


@pytest.fixture(scope="module")
def codec(shared_vm: CPythonVM) -> Any:
    """The module, for what it does without a flash."""
    return shared_vm.import_("twoslot.boot.journal")


@pytest.fixture
def load(board: DeviceBoard, vm: CPythonVM) -> Callable[[], Any]:
    """Read the journal afresh, as the next boot would."""
    port = vm.import_("twoslot.flash").Flash()

    def opened() -> Any:
        journal = vm.import_("twoslot.boot.journal").Journal(port, BOARD.journal.start)
        journal.load()
        return journal

    return opened


def newest_index(board: DeviceBoard) -> int:
    placed = host.newest_cell(board.region())
    assert placed is not None
    return placed[0]


def sector_of(board: DeviceBoard) -> int:
    """Address of the sector that holds the newest cell."""
    return SECTORS[newest_index(board) // host.CELLS_PER_SECTOR]


def next_state(journal: Any, report_counter: int = 0) -> Any:
    """The cell that Python appends next, told from others by its report_counter."""
    cell = journal.cell
    cell.report_counter = report_counter
    return cell


# What a cell says.


@given(cell=CELLS)
@examples(40)
def test_a_cell_of_the_bench_reads_as_the_bench_wrote_it(codec: Any, cell: JournalCell) -> None:
    read = codec.Cell(bytearray(cell.pack()))

    assert read.sequence == cell.sequence
    assert (read.active, *read.states) == (cell.active, *cell.states)
    assert (read.attempts, read.copies, read.rounds) == (cell.attempts, cell.copies, cell.rounds)
    assert tuple(read.counters) == cell.counters
    assert (read.report, read.report_counter) == (cell.report, cell.report_counter)
    assert (read.floor, read.bad_counter, read.unproven_counter) == (
        cell.floor, cell.bad_counter, cell.unproven_counter)
    assert (read.head_seq, read.head_time, read.key_epoch, read.channel_tag) == (
        cell.head_seq, cell.head_time, cell.key_epoch, cell.channel_tag)
    assert (read.spent, read.copied) == (sum(cell.spent), sum(cell.copied)), "open words are counted wrongly"
    codes = [word for word in cell.ended if word is not None]
    assert read.ended == [code if code < 256 else Ended.POWER_LOST for code in codes], "a torn word accuses nobody"
    assert (*read.bad, read.confirmed) == (*cell.bad, cell.confirmed)


@given(cell=CELLS)
@examples(40)
def test_a_cell_packs_to_the_bytes_of_the_bench(codec: Any, cell: JournalCell) -> None:
    packed = bytes(codec.Cell(bytearray(cell.pack())).pack())

    assert packed == cell.pack()[:128], "the sealed half differs between device and bench"


@pytest.mark.parametrize("word", [0, 1, 0x7FFFFFFF, 0xFFFFFFFE])
@pytest.mark.parametrize(
    ("offset", "counts"),
    [(128, "spent"), (156, "spent"), (192, "copied"), (220, "copied"), (232, "confirmed")])
def test_an_open_word_counts_as_set_whatever_it_reads(
    codec: Any, offset: int, counts: str, word: int,
) -> None:
    page = bytearray(trial_cell().pack())
    assert not getattr(codec.Cell(page), counts)
    page[offset : offset + 4] = word.to_bytes(4, "little")

    assert getattr(codec.Cell(page), counts) == 1, f"a torn word at {offset} is not counted"


# Which cell counts, and where the next one goes.


def test_a_new_board_has_the_factory_cell(board: DeviceBoard, load: Callable[[], Any]) -> None:
    journal = load()

    assert (journal.at, journal.cell.sequence) == (0, 1)
    assert journal.cell.states == [SlotState.CONFIRMED, SlotState.EMPTY]


def test_fifty_appends_never_put_the_newest_cell_at_risk(
    board: DeviceBoard, load: Callable[[], Any],
) -> None:
    journal = load()
    compactions = 0
    for number in range(50):
        safe, sequence = sector_of(board), board.newest().sequence
        expected = host.next_place(board.region())
        board.flash.reset_counters()

        journal.append(next_state(journal, number))

        assert expected is not None
        assert safe not in board.erased(), "the sector of the newest cell was erased"
        assert journal.at == newest_index(board) == expected.index
        assert board.newest().sequence == journal.cell.sequence == expected.sequence > sequence
        assert board.newest().report_counter == number, "the newest cell is not what was appended"
        compactions += len(board.erased())
    assert compactions == 3, "50 cells and one before them fill both sectors 1.6 times"


def test_a_cell_is_programmed_once_and_its_open_words_are_left_alone(
    board: DeviceBoard, load: Callable[[], Any],
) -> None:
    journal = load()
    board.flash.reset_counters()

    journal.append(next_state(journal))

    assert [(op.kind, op.addr, op.length) for op in board.operations()] == [
        ("program", SECTORS[0] + PAGE, 128)]


@pytest.mark.parametrize("behind", [1, 2, 15])
def test_garbage_that_reads_valid_later_never_outranks_its_replacement(
    board: DeviceBoard, load: Callable[[], Any], behind: int,
) -> None:
    """Each page behind the newest cell may be a half-written cell: of the sequence that came next, then."""
    sequence = board.newest().sequence
    for index in range(1, behind + 1):
        board.put_cell(index, GARBAGE)
    journal = load()
    journal.append(next_state(journal, 77))
    for index in range(1, behind + 1):
        board.put_cell(index, trial_cell(sequence=sequence + index))

    assert load().cell.report_counter == 77, "a half-written cell outranks the one that replaced it"
    assert board.newest().sequence == sequence + behind + 1
    assert newest_index(board) == 16, "a cell was appended behind garbage"


def test_a_weak_cell_behind_the_newest_is_left_behind(board: DeviceBoard, load: Callable[[], Any]) -> None:
    """A cell that was torn by a cut reads differently each time, until its sector is erased."""
    board.put_cell(1, trial_cell(sequence=2))
    board.flash.set_weak(SECTORS[0] + PAGE + 40, 4)
    for number in range(20):
        journal = load()
        journal.append(next_state(journal, number))

        seen = [load().cell.report_counter for _ in range(5)]
        assert seen == [number] * 5, "a weak cell came back"


def test_blank_behind_the_newest_with_garbage_further_on(
    board: DeviceBoard, load: Callable[[], Any],
) -> None:
    board.put_cell(3, GARBAGE)
    journal = load()

    journal.append(next_state(journal))
    assert (journal.at, journal.cell.sequence) == (1, 3)
    journal.append(next_state(journal))
    assert (journal.at, journal.cell.sequence) == (2, 5)
    journal.append(next_state(journal))
    assert (journal.at, journal.cell.sequence) == (16, 7), "a cell was written over garbage"


@pytest.mark.parametrize(
    ("spent", "copied", "attempts", "copies"), [(0, 0, 3, 8), (2, 5, 1, 3), (3, 8, 0, 0), (8, 8, 0, 0)])
@pytest.mark.parametrize("bad", [(False, False), (True, False), (False, True)])
def test_a_new_cell_keeps_what_the_open_words_of_the_old_one_said(
    board: DeviceBoard, load: Callable[[], Any], spent: int, copied: int, attempts: int, copies: int,
    bad: tuple[bool, bool],
) -> None:
    board.put_cell(1, trial_cell(
        sequence=2, spent=first(spent), copied=first(copied), bad_a=bad[0], bad_b=bad[1]))
    journal = load()
    journal.append(next_state(journal))

    cell = board.newest()
    assert (cell.attempts, cell.copies) == (attempts, copies), "a budget was renewed"
    assert cell.state_a == (SlotState.BAD if bad[0] else SlotState.CONFIRMED)
    assert cell.state_b == (SlotState.BAD if bad[1] else SlotState.READY)
    assert not any((*cell.spent, *cell.copied, *cell.bad, cell.confirmed))


# Power.


def test_a_cell_torn_at_any_byte_leaves_the_one_before(board: DeviceBoard, load: Callable[[], Any]) -> None:
    whole = trial_cell(sequence=2).pack()[:128]
    for length in range(129):
        board.clear_journal()
        board.put_cell(0, trial_cell(sequence=1))
        board.put_cell(1, whole[:length].ljust(PAGE, b"\xff"))

        journal = load()
        assert journal.cell.sequence == (2 if length == 128 else 1), f"torn after {length} bytes"
        journal.append(next_state(journal, length))
        assert load().cell.report_counter == length, f"the cell after one torn after {length} bytes is lost"


@pytest.mark.parametrize("mode", CutMode)
@pytest.mark.parametrize("full", [False, True], ids=["append", "compact"])
def test_a_cut_leaves_the_cell_before_or_the_cell_after(
    board: DeviceBoard, load: Callable[[], Any], mode: CutMode, full: bool,
) -> None:
    for index in range(16 if full else 1):
        board.put_cell(index, trial_cell(sequence=index + 1))
    before = board.region()
    for operation in range(2 if full else 1):
        for seed in range(12):
            board.flash.weak.clear()
            board.flash.poke(BOARD.journal.start, before)
            journal = load()
            board.flash.reset_counters()
            board.flash.arm(Cut(operation, mode, seed))
            with pytest.raises(PowerCut):
                journal.append(next_state(journal, 5))
            board.flash.power_on()

            journal = load()
            assert journal.cell.report_counter in (0, 5), f"after cut {operation}:{mode.value}:{seed}"
            journal.append(next_state(journal, 6))
            assert load().cell.report_counter == 6, f"after cut {operation}:{mode.value}:{seed}"


def test_both_sectors_lost(board: DeviceBoard, vm: CPythonVM, load: Callable[[], Any]) -> None:
    board.clear_journal()
    board.put_cell(4, GARBAGE)
    board.put_cell(20, GARBAGE)
    journal = load()
    assert journal.cell is None
    board.flash.reset_counters()

    journal.append(vm.import_("twoslot.boot.journal").Cell())

    assert sorted(board.erased()) == list(SECTORS), "what is left there could outrank the new cell later"
    assert (journal.at, board.newest().sequence) == (0, 1)


# Wear.


@pytest.mark.parametrize("works", [0.0, 0.3, 0.97])
def test_a_worn_page_moves_the_journal_to_the_other_sector(
    board: DeviceBoard, load: Callable[[], Any], works: float,
) -> None:
    sequence = board.newest().sequence
    board.flash.set_stuck(SECTORS[0] // SECTOR, works)
    board.flash.reset_counters()

    journal = load()
    journal.append(next_state(journal, 9))

    assert (journal.at, journal.cell.report_counter) == (16, 9)
    assert load().cell.report_counter == board.newest().report_counter == 9
    assert board.newest().sequence > sequence
    assert SECTORS[0] not in board.erased(), "the sector of the newest cell was erased"


def test_a_worn_page_that_reads_valid_later_never_outranks_its_replacement(
    board: DeviceBoard, load: Callable[[], Any],
) -> None:
    board.flash.set_stuck(SECTORS[0] // SECTOR, 0.97)
    sequence = board.newest().sequence + 1
    journal = load()
    journal.append(next_state(journal, 9))
    tried = replace(board.newest(), sequence=sequence)
    journal.mark(host.CONFIRMED_OFFSET)
    board.put_cell(1, tried)

    again = load()
    assert (again.at, again.cell.report_counter, again.cell.confirmed) == (16, 9, True), (
        "a page that failed its read-back ties with the cell that replaced it")


@pytest.mark.parametrize("stuck", [0, 1])
def test_a_lost_journal_starts_over_in_the_sector_that_works(
    board: DeviceBoard, vm: CPythonVM, load: Callable[[], Any], stuck: int,
) -> None:
    board.clear_journal()
    board.flash.set_stuck(SECTORS[stuck] // SECTOR)

    load().append(vm.import_("twoslot.boot.journal").Cell())

    assert newest_index(board) == (0 if stuck else 16)
    assert load().cell is not None


@pytest.mark.parametrize("at", [0, 15, 16, 31])
def test_no_sector_takes_a_cell(
    board: DeviceBoard, vm: CPythonVM, load: Callable[[], Any], at: int,
) -> None:
    board.clear_journal()
    board.put_cell(at, trial_cell(sequence=3))
    for sector in SECTORS:
        board.flash.set_stuck(sector // SECTOR)
    journal = load()
    board.flash.reset_counters()

    with refusal(vm, "FlashError", 61):
        journal.append(next_state(journal, 9))

    assert SECTORS[at // 16] not in board.erased(), "the sector of the newest cell was erased"
    assert load().cell.sequence == 3, "the cell before is not what counts any more"
    assert len(board.operations()) <= 6, "the tries are not bounded"


def test_a_lost_journal_that_no_sector_takes(
    board: DeviceBoard, vm: CPythonVM, load: Callable[[], Any],
) -> None:
    board.clear_journal()
    for sector in SECTORS:
        board.flash.set_stuck(sector // SECTOR)

    with refusal(vm, "FlashError", 61):
        load().append(vm.import_("twoslot.boot.journal").Cell())


# Open words.


@pytest.mark.parametrize("offset", [host.CONFIRMED_OFFSET, host.BAD_A_OFFSET, host.BAD_B_OFFSET])
def test_mark_sets_one_word_of_the_newest_cell(
    board: DeviceBoard, load: Callable[[], Any], offset: int,
) -> None:
    board.put_cell(1, trial_cell(sequence=2))
    journal = load()
    before = board.region()
    board.flash.reset_counters()

    journal.mark(offset)
    journal.mark(offset)

    place = SECTORS[0] + PAGE + offset
    assert [(op.kind, op.addr, op.length) for op in board.operations()] == [("program", place, 4)] * 2
    expected = bytearray(before)
    expected[PAGE + offset : PAGE + offset + 4] = bytes(4)
    assert board.region() == bytes(expected), "mark touched more than its word"
    cell = journal.cell
    assert [cell.confirmed, *cell.bad].count(True) == 1, "the cell in hand does not show the word"


def test_mark_on_a_worn_sector(board: DeviceBoard, vm: CPythonVM, load: Callable[[], Any]) -> None:
    board.flash.set_stuck(SECTORS[0] // SECTOR)

    with refusal(vm, "FlashError", 60, SECTORS[0] + host.CONFIRMED_OFFSET):
        load().mark(host.CONFIRMED_OFFSET)
