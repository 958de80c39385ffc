"""How much of the C stack tick() leaves an application (device/docs/memory.md), on the firmware itself.

The push port is in test_push.py.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from slotbench import boards
from slotbench.prove.chip.bed import ChipBed, is_confirmed
from slotbench.release.keys import SigningKey
from slotbench.vboard.chip.network.slirp import HOST
from slotbench.vboard.flash.nor import NorFlash
from support.chip.bench import need_slirp, recent_micropython
from support.chip.interrupted import leave_missing
from support.chip.stack import FREE, nested, watched_ticks
from support.mqtt.brokers import answer_pings, broker, message, welcome

BOUND_MS = 500
MISSING_EVERY = 60
"""The other blocks are in the slot already: that makes the download short."""
MAIN = nested(FREE, watched_ticks())
LOSES_THE_LINE = nested(FREE, """\
import os
asked = []
def leave():
    print("@slotbench asked")
    asked.append(1)
    if len(asked) < 2:
        return 1000
    os.remove("/boot.py")
twoslot.before_restart(leave)
had = []
def look():
    if twoslot.deadline and not had:
        had.append(1)
        print("@slotbench deadline")
twoslot._pollers.append(look)
""" + watched_ticks())


def served(hint: socket.socket) -> None:
    """A broker that names a newer head at once, and is there."""
    hint.sendall(message(welcome(hint), b"9"))
    answer_pings(hint)


@contextmanager
def ntp_server() -> Iterator[tuple[int, list[bytes]]]:
    """Its port, and what it was asked. It answers with the questions' nonce, and a date in 2026."""
    asked: list[bytes] = []
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                question, back = server.recvfrom(100)
                if len(question) != 48:
                    return
                asked.append(question)
                server.sendto(b"\x24\x02" + bytes(22) + question[40:48] + bytes(8) + b"\xeb\0\0\0\0\0\0\0", back)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1], asked
        finally:
            server.sendto(b"end", server.getsockname())
            thread.join()


def updated(bed: ChipBed, flash: NorFlash, seconds: float) -> str:
    """What a board prints from its start until release 2 is confirmed."""
    leave_missing(bed, flash, MISSING_EVERY)
    with bed.running(flash) as running:
        running.board.power_on()
        assert running.run_until(lambda: is_confirmed(bed, flash, 2), seconds), running.console.last_lines()
        return running.console.text


def check(said: str) -> None:
    """No call of tick() failed or took too long, from the first one to the end of the trial."""
    assert int(said.rpartition("used ")[2].split()[0]) >= FREE
    assert "@log" not in said, said[said.find("@log"):][:200]
    assert max(int(ms) for ms in re.findall(r"@slotbench longest (\d+)", said)) <= BOUND_MS


def settings(files: dict[str, bytes], **more: object) -> None:
    files["/twoslot.json"] = json.dumps(json.loads(files["/twoslot.json"]) | more).encode()


def test_an_update_and_its_trial(core: Path, tmp_path: Path) -> None:
    """The program puts the restart off once; and boot.py loses the hook's line between update and trial."""
    image = recent_micropython()[0]
    with ChipBed(tmp_path, boards.load("d1_mini"), image) as bed:
        bed.publish(image, 2, "again")
        flash = bed.flash()
        bed.put_files(flash, bed.files(LOSES_THE_LINE))
        said = updated(bed, flash, 150)
    check(said)
    assert said.count("@slotbench asked") == 3, "twice before the update's restart, once before the repair's"
    assert said.count("slotboot: B counter 2 why 2") == 2, "the repair takes one attempt"
    assert said.count("@slotbench deadline") == 1, "the trial has none"


def test_an_update_with_all_that_a_board_can_have(core: Path, tmp_path: Path) -> None:
    """A secret, a broker with a login that hints, a clock to set, new keys to follow first, and names for all."""
    need_slirp()
    image = recent_micropython()[0]
    with ExitStack() as stack:
        bed = stack.enter_context(ChipBed(tmp_path, boards.load("d1_mini"), image))
        known = bed.publisher.keys_path.read_bytes()
        bed.publisher.rotate(1_790_000_001, online=SigningKey.generate())
        bed.publish(image, 2, "again")
        hints = stack.enter_context(broker(served))
        port, asked = stack.enter_context(ntp_server())
        flash, files = bed.flash(), bed.files(MAIN)
        assert files["/twoslot.keys"] != known
        files["/twoslot.keys"] = files["/twoslot.keys2"] = known
        files["/twoslot.secret"] = json.dumps({"secret": "ab" * 32}).encode()
        files["/twoslot.mqtt"] = json.dumps({"user": "lamp", "password": "of the lamp"}).encode()
        server = json.loads(files["/twoslot.json"])["server"].replace(str(HOST), "updates.lan")
        settings(files, server=server, mqtt=f"broker.lan:{hints.port}", ntp=f"time.lan:{port}")
        bed.put_files(flash, files)
        check(updated(bed, flash, 240))
    assert asked and hints.clients, "neither the clock nor the broker was asked"
