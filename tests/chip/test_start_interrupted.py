"""Ctrl-C and errors in boot.py on the firmware itself: main.py does not follow. The models are made by this."""

from __future__ import annotations

from pathlib import Path

from slotbench import boards
from slotbench.prove.chip.bed import ChipBed
from support.chip.bench import recent_micropython

MAIN = "print('main runs')\nwhile True:\n    pass\n"
PROMPT = b">>> "


def start(bed: ChipBed, boot: str, *, typed: bytes = b"") -> str:
    """What a board prints from boot.py on, and for half a second from main.py or the prompt on."""
    flash = bed.flash()
    bed.put_files(flash, bed.files(MAIN, boot="print('boot')\n" + boot))
    with bed.running(flash, connected=False) as running:
        running.board.power_on()
        assert running.wait_for_text("boot\r\n", 10)
        if typed:
            running.board.run(running.board.us + 100_000)  # the hook takes about 300 ms
            running.board.send_bytes(typed)
        text = running.console.data
        assert running.run_until(lambda: PROMPT in text or b"main runs" in text, 10), running.console.last_lines()
        running.board.run(running.board.us + 500_000)
        return running.console.text.rpartition("boot\n")[2]


def test_ctrl_c_in_the_hook_ends_boot_when_the_hook_is_done(core: Path, tmp_path: Path) -> None:
    with ChipBed(tmp_path, boards.load("d1_mini"), recent_micropython()[0]) as bed:
        for typed in (b"\r\x03", b"\x03\x03\r\x01"):
            said = start(bed, "", typed=typed)
            assert "KeyboardInterrupt: \n" in said and "main runs" not in said
            assert "counting.py" not in said, "a traceback out of its middle"
        assert "raw REPL; CTRL-B to exit\n>" in said, "what follows Ctrl-C is for the REPL"


def test_main_does_not_follow_a_boot_file_that_fails(core: Path, tmp_path: Path) -> None:
    with ChipBed(tmp_path, boards.load("d1_mini"), recent_micropython()[0]) as bed:
        assert "main runs" not in start(bed, "import nothing\n")
        assert "main runs" in start(bed, "")
