"""A soft reset with an armed machine.Timer, on the firmware itself: what the model of the other VMs is made by."""

from __future__ import annotations

from pathlib import Path

from slotbench import boards
from slotbench.prove.chip.bed import ChipBed
from support.chip.bench import recent_micropython

PROMPT = b">>> "
CTRL_D, RAW = b"\x04", b"\x01"
OWN_TIMER = "import machine; t = machine.Timer(-1); t.init(period=500, callback=id)"
USE_HEAP = "h = [bytes([90] * 60) for i in range(250)]; h = None"
"""Fills the heap with something else than what lay there before."""


def test_a_trial_outlives_soft_resets_and_a_timer_of_the_application_does_not(core: Path, tmp_path: Path) -> None:
    """Ctrl-D at the prompt, in the raw REPL, by the program; at once, and several in a row."""
    image = recent_micropython()[0]
    with ChipBed(tmp_path, boards.load("d1_mini"), image) as bed:
        flash = bed.flash()
        bed.put_files(flash, bed.files("", boot="x = bytes([90]) * 9000\nx = 0\n"))
        bed.begin_trial(flash, image, 2, "again")
        with bed.running(flash, connected=False) as running:
            board, console = running.board, running.console
            board.power_on()
            assert running.wait_for_text(PROMPT, 60)
            for keys in (CTRL_D, b"import machine; machine.soft_reset()\r", RAW + CTRL_D + b"\x02", CTRL_D + CTRL_D):
                shown = len(console.data)
                board.send_bytes(keys)
                assert running.wait_for_text("soft reboot", 10, start=shown), console.last_lines()
                assert running.wait_for_text(PROMPT, 10, start=shown), console.last_lines()
                assert running.type_line(USE_HEAP) is not None, console.last_lines()
            assert running.type_line("import twoslot; twoslot.deadline[0]") not in (None, "")
            assert board.tail is not None and board.tail.timer
            assert (board.starts, board.tail.attempts_left) == (1, 2)

            assert running.type_line(OWN_TIMER) == ""
            board.send_bytes(CTRL_D)
            running.type_line(USE_HEAP, 5)
            assert running.run_until(lambda: board.starts > 1, 10), "a timer left armed no longer ends in a crash?"
