"""How much of the C stack tick() leaves an application (device/docs/memory.md), on the firmware itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slotbench import boards
from slotbench.prove.chip.bed import ChipBed
from support.chip.bench import recent_micropython

FREE = 3_000
"""Bytes that an application may use between the top of its main.py and tick()."""
MAIN = f"""import time, twoslot, micropython
def nested(top):
    if micropython.stack_use() - top < {FREE}:
        return nested(top)
    print('used', micropython.stack_use() - top)
    while not (twoslot._agent and twoslot._agent.state == 5) and not twoslot._log:
        twoslot.tick()
        time.sleep_ms(10)
    print('ended', twoslot._log)
nested(micropython.stack_use())
"""


@pytest.mark.parametrize("secret", [False, True])
def test_nine_nested_functions_may_call_tick(core: Path, tmp_path: Path, secret: bool) -> None:
    """From the start to the download: the journal, the documents, their signatures, the spare slot."""
    image = recent_micropython()[0]
    with ChipBed(tmp_path, boards.load("d1_mini"), image) as bed:
        bed.publish(image, 2, "again")
        flash, files = bed.flash(), bed.files(MAIN)
        if secret:
            files["/twoslot.secret"] = json.dumps({"secret": "ab" * 32}).encode()
        bed.put_files(flash, files)
        with bed.running(flash) as running:
            running.board.power_on()
            assert running.wait_for_text("ended", 120), running.console.last_lines()
            said = running.console.text
    assert int(said.rpartition("used ")[2].split()[0]) >= FREE
    assert "ended []" in said, said[said.find("ended"):][:200]
