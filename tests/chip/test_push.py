"""A real push: the client of `slotbench push`, this machine's sockets, and real firmware on the emulated chip."""

from __future__ import annotations

import base64
import json
import re
import threading
from pathlib import Path

from slotbench import boards
from slotbench.errors import BenchError
from slotbench.formats.release import DEVELOPMENT
from slotbench.prove.chip.bed import NOW, PRODUCT, ChipBed
from slotbench.push.client import PORT, ListenerStatus, PushClient
from slotbench.release.development import ON_BOARD, sign_development_release
from support.chip.bench import need_slirp, recent_micropython
from support.chip.interrupted import leave_missing
from support.chip.stack import FREE_LISTENING, nested, watched_ticks
from support.device.board import signing_key

SECRET = bytes(range(32))
MISSING_EVERY = 24
"""The other blocks are in the slot already, as after a push that was interrupted: that makes it short."""
MEMORY, STACK, UNEXPECTED = 0, 78, 79
BOUND_MS = 500
"""Of each tick(), from the signature to the restart."""
LISTENS = nested(FREE_LISTENING, """\
twoslot.listen(10, wait=False)
print("@slotbench listens 1")
""" + watched_ticks())


def test_what_was_pushed_answers(core: Path, tmp_path: Path) -> None:
    """Under an application that is busy with other things, and deep in its own calls."""
    image = recent_micropython()[0]
    need_slirp()
    key = signing_key("stranger")
    board = boards.load("d1_mini")
    document = sign_development_release(
        image, key, product=PRODUCT, board=board, channel="stable", counter=5, created=NOW, version="5.0-dev")
    back: list[ListenerStatus] = []
    refused: list[BenchError] = []
    with ChipBed(tmp_path, board, image) as bed:
        flash = bed.flash()
        files = bed.files(LISTENS)
        files["/twoslot.secret"] = json.dumps({"secret": SECRET.hex()}).encode()
        files[f"/{ON_BOARD}"] = json.dumps({"modulus": base64.b64encode(key.modulus).decode()}).encode()
        files["/twoslot.json"] = json.dumps({**json.loads(files["/twoslot.json"]), "development": True}).encode()
        bed.put_files(flash, files)
        slot = board.slots[1].image
        leave_missing(bed, flash, MISSING_EVERY)
        with bed.running(flash) as running:
            running.board.power_on()
            assert running.run_until(lambda: bool(running.console.marks("listens")), 60), running.console.last_lines(5)
            client = PushClient("127.0.0.1", running.wire.forward(PORT), lambda device_id: SECRET)

            def push() -> None:
                try:
                    client.push_release(document.pack(), image)
                    back.append(client.wait_for_board(600)[0])
                except BenchError as error:
                    refused.append(error)

            thread = threading.Thread(target=push)
            thread.start()
            assert running.run_until(lambda: not thread.is_alive(), 400), running.console.last_lines(5)
            assert not refused, (refused, running.board.us, running.wire.received, running.console.last_lines(5))
            assert running.board.starts == 2
            said = running.console
        assert flash.peek(slot.start, len(image)) == image
    assert [(status.version, status.counter, status.confirmed) for status in back] == [
        ("5.0-dev", DEVELOPMENT | 5, True)]
    assert max(said.marks("longest")) <= BOUND_MS, said.marks("longest")
    logged = [int(code) for code in re.findall(r"@log \(\d+, (\d+),", said.text)]
    assert not {MEMORY, STACK, UNEXPECTED} & set(logged), logged
