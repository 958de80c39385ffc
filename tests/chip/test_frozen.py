"""A firmware of one's own with twoslot frozen, on the emulated chip: what it takes, and what it refuses.

No such image is in any registry: the tests run where TWOSLOT_IMAGES has one (host/docs/firmware.md), and are
skipped elsewhere.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slotbench import boards
from slotbench.formats.release import Preflight
from slotbench.prove.chip.bed import ChipBed, is_confirmed
from slotbench.prove.chip.footprint import measure_footprint
from slotbench.prove.chip.preflight import preflight
from support.chip.bench import (
    ChipBench,
    frozen_micropython,
    need_slirp,
    plain_folder,
    recent_micropython,
)
from support.serial.clients import slotbench

ROOT = Path(__file__).parents[2]
BUDGETS = json.loads((ROOT / "tools" / "chip_budget.json").read_bytes())
BOARD = boards.load("d1_mini")
MAIN = "import time, twoslot\nwhile True:\n    twoslot.tick()\n    time.sleep_ms(10)\n"


@pytest.mark.parametrize("kind", list(BUDGETS))
def test_an_update_near_the_limit_stays_within_its_budget(core: Path, kind: str) -> None:
    """The application holds as much in one piece as the budget allows; all of the image is downloaded."""
    image = frozen_micropython()
    need_slirp()
    budget = BUDGETS[kind]
    found = measure_footprint(
        image, BOARD, as_files=kind == "files", own_bytes=budget["own_bytes"], whole=True)
    print(kind, found)
    assert found.fits, found
    assert found.idle_free >= budget["idle_free_bytes"] and found.stack_bytes <= budget["stack_bytes"], found
    assert max(found.tick_ms, found.trial_tick_ms) <= budget["tick_ms"], found
    assert found.download_ms <= budget["download_ms"], found


def test_preflight_says_which_twoslot_it_runs(core: Path) -> None:
    image = frozen_micropython()
    need_slirp()
    report = preflight(image, BOARD)
    assert report.result is Preflight.PASSED, report
    assert str(report.figures["twoslot"]).endswith(", frozen")
    files = preflight(recent_micropython()[0], BOARD)
    assert str(files.figures["twoslot"]).endswith(", files")
    assert int(report.figures["heap_free_bytes"]) > int(files.figures["heap_free_bytes"])


def test_a_release_without_twoslot_is_refused_before_its_image(core: Path, tmp_path: Path) -> None:
    image, without = frozen_micropython(), recent_micropython()[0]
    need_slirp()
    with ChipBed(tmp_path, BOARD, image) as bed:
        bed.publish(without, 2, "stock")
        flash = bed.flash()
        bed.put_files(flash, bed.files(MAIN.replace("tick()", "tick()\n    if twoslot._log: print(twoslot._log)")))
        with bed.running(flash) as running:
            running.board.power_on()
            assert running.wait_for_text(", 49, ", 240), running.console.last_lines(5)
            assert running.wire.received < 20_000, "documents, and not a byte of the image"
        assert not is_confirmed(bed, flash, 2)


def test_a_program_inside_the_firmware_is_updated_with_it(core: Path, tmp_path: Path) -> None:
    """There is no main.py on the board: that of the release runs, and proves it."""
    image, following = frozen_micropython(), frozen_micropython(with_main=True)
    need_slirp()
    with ChipBed(tmp_path, BOARD, image) as bed:
        bed.publish(following, 2, "mine")
        flash = bed.flash()
        bed.put_files(flash, bed.files(MAIN))
        slot = bed.profile.slots[1].image
        flash.poke(slot.start, following[:-5000])
        with bed.running(flash) as running:
            running.board.power_on()
            assert running.run_until(lambda: is_confirmed(bed, flash, 2), 300), running.console.last_lines(5)


def test_deploy_leaves_out_what_the_firmware_has(core: Path, tmp_path: Path) -> None:
    """Over its UART: the board tells which twoslot is frozen, and which is in its slots."""
    image = frozen_micropython()
    with ChipBench(plain_folder(tmp_path / "lamp1", image)) as bench:
        bench.until_shown(">>> ")
        said = slotbench(
            "deploy", "--port", bench.tty, "--product", "lamp", "--board", "d1_mini", "--server", "http://updates.lan")
    assert "is frozen into the firmware that runs" in said and "runs its boot hook" in said
    assert "3 files written and compared by hash" in said, "boot.py, the hook and the settings"
