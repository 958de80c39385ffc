"""What the proof on real firmware is made of: firmware that is broken on purpose, cuts that are drawn, the story."""

from __future__ import annotations

import random
from concurrent.futures import Future
from pathlib import Path

import pytest

from slotbench import boards, cli
from slotbench.errors import BenchError
from slotbench.formats.image import build_e9, parse_e9
from slotbench.prove.chip import story
from slotbench.prove.chip.bed import ChipBed
from slotbench.prove.chip.broken import Fault, break_loop
from slotbench.prove.chip.comparison import DESIGN, comparison_table
from slotbench.prove.chip.sampled_flash import SampledCuts, SampledFlash
from slotbench.prove.memory import HeapShares
from slotbench.vboard.signals import PowerCut
from support.chip.bench import need_slirp, recent_micropython
from support.samples import make_firmware

ROOT = Path(__file__).parents[2]
BOARD = "d1_mini"
PROFILE = boards.load(BOARD)


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("address", [0x40100F14, 0x40209100])
def test_one_instruction_is_changed_and_the_image_is_whole(fault: Fault, address: int) -> None:
    image = make_firmware()
    made = break_loop(image, address, fault)
    assert parse_e9(made).md5_ok
    changed = [at for at, (old, new) in enumerate(zip(image, made)) if old != new]
    assert len(made) == len(image) and 0 < len(changed) <= 3 + 1 + 16
    parts = parse_e9(made)
    segment = parts.segments[0]
    at = address - segment.address
    code = segment.data[at : at + 3] if address < 0x40200000 else made[address - 0x40200000 :][:3]
    assert code == fault.value


def test_an_address_without_code_is_refused() -> None:
    with pytest.raises(BenchError, match="no code at the loop .*: 0x40109000"):
        break_loop(build_e9([(0x40100000, bytes(0x100))], 0x40100000, bytes(64)), 0x40109000, Fault.CRASH)


def test_cuts_are_drawn_by_the_seed_and_end_when_there_are_enough() -> None:
    def run(seed: int) -> list[str]:
        flash = SampledFlash(PROFILE.chip_bytes)
        cuts = flash.cuts = SampledCuts(PROFILE, 5, 40, random.Random(seed), {"journal": 2})
        for index in range(2000):
            try:
                flash.erase(PROFILE.journal.start // 4096 if index % 4 == 0 else PROFILE.slots[1].image.start // 4096)
            except PowerCut as lost:
                assert lost.cut == cuts.done[-1][0]
                flash.power_on()
        return [f"{cut} {where}" for cut, where in cuts.done]

    drawn = run(3)
    assert len(drawn) == 5 and drawn == run(3) != run(4)
    assert sum("journal" in line for line in drawn) == 2, "no more than was said for the region"


def test_proving_needs_two_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TWOSLOT_IMAGES", str(tmp_path))
    (tmp_path / "old.bin").write_bytes(make_firmware(banner="v1.10"))
    assert cli.run(["prove", "chip"]) == 2
    assert "0 images of MicroPython 1.20 or later, two are needed" in capsys.readouterr().err


def test_the_table_has_the_vm_and_the_design_pages_beside_the_chip() -> None:
    figures = story.Figures(heap_bare=36_000, heap_at_main=33_000, heap_idle=30_000, stack=7_056, cycles=123_456_789)
    measured: Future[HeapShares] = Future()
    measured.set_result(HeapShares(boot=2_700, idle=5_700, room=10_600))
    rows = [line.rsplit(maxsplit=3) for line in comparison_table([story.FirmwareStory("1.22.1", "1.24.0", figures)], measured)[2:]]
    shown = {words.strip(): columns for words, *columns in rows}
    assert shown["heap that twoslot takes when main.py begins, bytes"] == ["3,000", "2,700", f"{DESIGN.boot:,}"]
    assert shown["heap that twoslot takes between two checks, bytes"] == ["6,000", "5,700", f"{DESIGN.idle:,}"]
    assert shown["application held during an update (VM: the largest that fits)"] == ["9,216", "10,600", f"{DESIGN.room:,}"]
    assert shown["C stack at most (design: MicroPython's limit), bytes"] == ["7,056", "-", "8,192"]
    assert shown["cycles from the check to the confirmation, without waits, millions"] == ["123", "-", "-"]


def test_without_the_vm_the_table_says_why() -> None:
    measured: Future[HeapShares] = Future()
    measured.set_exception(BenchError("the MicroPython VM is not there", cure="run tools/get-micropython"))
    lines = comparison_table([story.FirmwareStory("1.22.1", "1.24.0")], measured)
    assert "the MicroPython VM was not measured: the MicroPython VM is not there" in lines[-1]
    assert lines[2].split()[-2:] == ["-", f"{DESIGN.boot:,}"]


def test_the_design_figures_are_those_of_the_page() -> None:
    page = (ROOT / "device/docs/memory.md").read_text(encoding="utf-8")
    for words, figure in (
            ("when `boot.py` has ended", DESIGN.boot), ("between two checks", DESIGN.idle)):
        assert f"| {words} | {figure:,} |" in page
    assert f"an application of {DESIGN.room // 1000} KB fits beside an update" in page


@pytest.mark.parametrize("fault", Fault)
def test_firmware_that_fails_after_its_start_is_left_again(fault: Fault, core: Path, tmp_path: Path) -> None:
    image = recent_micropython()[0]
    need_slirp()
    told: list[tuple[str, bool]] = []
    with ChipBed(tmp_path, PROFILE, image) as bed:
        story._fallback(bed, image, fault, lambda words, went_well: told.append((words, went_well)))
    assert [went_well for _, went_well in told] == [True]
    assert "slot A runs again" in told[0][0]


def test_what_a_loader_left_in_the_rtc_counts_for_as_long_as_there_is_one(core: Path, tmp_path: Path) -> None:
    """RTC memory outlives `unflash`, after which the board starts no slot."""
    image = recent_micropython()[0]
    with ChipBed(tmp_path, PROFILE, image) as bed, bed.running(bed.flash(), connected=False) as running:
        running.board.power_on()
        assert running.wait_for_text(">>> ", 60)
        assert running.board.tail is not None and running.board.tail.slot == 0
        running.board.flash.poke(0, image[:4096])
        assert running.board.tail is None
