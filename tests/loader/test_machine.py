"""The machine around the CPU: the ROM's part, what is accelerated, what a boot costs, and who breaks the rules."""

from __future__ import annotations

import pytest

from slotbench.boards import BoardProfile
from slotbench.formats import maptable, rtc
from slotbench.vboard.board import BoardState, VirtualBoard
from slotbench.vboard.loader.model import BootResult, LoaderModel, NothingBoots
from slotbench.vboard.lx106.loader import loader_image, loader_sector
from slotbench.vboard.lx106.machine import LoaderMachine
from slotbench.vboard.network.base import NoNetwork
from slotbench.vboard.signals import BenchViolation
from slotbench.vboard.soc import Soc
from support.loader.bench import CAUSES, IN_PLACE, TAIL, WINDOW, boot, chip_with, same_flash
from support.loader.cuts import BOARDS, SCENARIOS

STACK_BYTES_MAX = 1536
UNFED_US_MAX = 800_000


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board.name)
def test_accelerated_or_not_it_does_the_same(board: BoardProfile, scenario: str) -> None:
    flash = SCENARIOS[scenario](board)
    fast, slow = (
        boot(board, chip_with(flash.clone()), accelerate=accelerate) for accelerate in (True, False))
    assert fast.result == slow.result
    assert same_flash(fast.soc.flash, slow.soc.flash)
    assert fast.soc.flash.log == slow.soc.flash.log
    assert bytes(fast.soc.rtc) == bytes(slow.soc.rtc)
    quick, whole = fast.machine.run, slow.machine.run
    assert quick is not None and whole is not None
    assert quick.instructions * 10 < whole.instructions
    assert whole.stack_bytes <= STACK_BYTES_MAX
    assert whole.unfed_us < UNFED_US_MAX, "the hardware watchdog may be on"
    print(f"\n{board.name}, {scenario}: {whole.instructions} instructions ({quick.instructions} with the digest"
          f" in Python), {whole.stack_bytes} bytes of stack, fed every {whole.unfed_us} us")


@pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board.name)
def test_what_ram_held_before_does_not_matter(board: BoardProfile) -> None:
    results = {
        boot(board, chip_with(SCENARIOS["first_boot"](board), seed=1), seed=seed).result for seed in range(5)}
    assert len(results) == 1


@pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board.name)
def test_the_sector_is_the_loader_with_the_boards_header_and_map(board: BoardProfile) -> None:
    sector, image = loader_sector(board), loader_image()
    assert len(sector) == 4096
    assert sector[:2] + sector[4 : len(image)] == image[:2] + image[4:]
    assert sector[2:4] == bytes([2, board.size_nibble << 4]), "DIO, 40 MHz, and the size that the SDK is to see"
    assert maptable.unpack_table(sector[maptable.OFFSET :]) == board.device_map()


def test_without_a_map_it_waits_and_says_so() -> None:
    flash = SCENARIOS["first_boot"](WINDOW)
    flash.poke(0xFB8, b"\xff" * 72)
    soc = chip_with(flash)
    start_us = soc.clock.us
    machine = LoaderMachine(soc, WINDOW)
    result = machine.boot(rounds=2)
    assert isinstance(result, NothingBoots) and len(result.console) == 2
    assert soc.clock.us - start_us >= 60_000_000
    assert machine.run is not None and machine.run.unfed_us < UNFED_US_MAX
    assert flash.operations == 0


@pytest.mark.parametrize(("offset", "what"), [(0, "holds no loader"), (0x20, "checksum")])
def test_a_broken_sector_0_makes_the_rom_spin(offset: int, what: str) -> None:
    flash = SCENARIOS["first_boot"](WINDOW)
    flash.poke(offset, bytes([flash.peek(offset, 1)[0] ^ 1]))
    with pytest.raises(BenchViolation, match=what):
        LoaderMachine(chip_with(flash), WINDOW).boot()


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("reason", range(7))
def test_every_reset_reason_reaches_the_tail(reason: int, cause: int) -> None:
    """Whatever the hardware did before a restart by the SDK."""
    soc = chip_with(SCENARIOS["next_attempt"](IN_PLACE), reason=reason, cause=cause)
    booted = boot(IN_PLACE, soc)
    assert isinstance(booted.result, BootResult)
    assert soc.hardware_cause == {0: 1, 1: 4, 5: 5, 6: 2}.get(reason, cause)
    assert soc.rtc[TAIL][12] == reason


@pytest.mark.parametrize("cause", [1, 2, 4, 5, 6])
@pytest.mark.parametrize("written", [0, 1, 2, 3, 4, 5, 6, 7, 0xFFFFFFFF])
@pytest.mark.parametrize("seen", [False, True])
def test_what_the_sdk_wrote_down_is_believed_as_the_model_believes_it(cause: int, written: int, seen: bool) -> None:
    def chip() -> Soc:
        soc = chip_with(SCENARIOS["next_attempt"](IN_PLACE))
        soc.hardware_cause = cause
        soc.write_word(rtc.RESTART_INFO, written)
        soc.write_word(rtc.SEEN_MARK, int.from_bytes(rtc.MAGIC, "little") if seen else 0)
        return soc

    soc, twin = chip(), chip()
    boot(IN_PLACE, soc)
    LoaderModel(twin, IN_PLACE).boot(rounds=1)
    assert bytes(soc.rtc) == bytes(twin.rtc)
    assert soc.read_word(rtc.SEEN_MARK) == int.from_bytes(rtc.MAGIC, "little")


def test_retained_words_outlive_a_reset_and_are_cleared_where_the_tail_is_noise() -> None:
    soc = chip_with(SCENARIOS["first_boot"](WINDOW), seed=3)
    boot(WINDOW, soc)
    assert (soc.read_word(0x600013D8), soc.read_word(0x600013DC), soc.read_word(0x600013FC)) == (0, 0, 0)
    soc.write_word(0x600013D8, 5)
    soc.write_word(0x600013DC, 7)
    soc.start(4)
    boot(WINDOW, soc)
    assert (soc.read_word(0x600013D8), soc.read_word(0x600013DC)) == (5, 7)


def test_a_virtual_board_boots_through_it() -> None:
    board = VirtualBoard(
        WINDOW, SCENARIOS["first_boot"](WINDOW), NoNetwork(), {}, loader=LoaderMachine, sdk_save_every=0)
    assert board.power_on() is BoardState.RUNNING
    assert board.result is not None and board.result.slot == 1
