"""A board that reports, on the emulated chip: the server hears of it, and no tick() is longer for that."""

from __future__ import annotations

import json
import re
from pathlib import Path

from slotbench import boards
from slotbench.formats.board_report import ReportEvent
from slotbench.prove.chip.bed import ChipBed
from slotbench.release.identities import Identities
from slotbench.server import BackgroundServer, BoardAuthenticator, ProvenReport, ReportIntake, create_app
from slotbench.vboard.chip.network.slirp import HOST
from support.chip.bench import need_slirp, recent_micropython
from support.chip.stack import watched_ticks

SECRET = bytes(range(32))
LONGEST_MS = 500
MAIN = "import time, twoslot\n" + watched_ticks(200)


def test_a_start_and_an_error_are_told_within_the_time_of_a_tick(core: Path, tmp_path: Path) -> None:
    image = recent_micropython()[0]
    need_slirp()
    Identities({"lamp-7": SECRET}).save(tmp_path / "identities.json")
    told: list[ProvenReport] = []
    with ChipBed(tmp_path, boards.load("d1_mini"), image, seed=3) as bed:
        bed.publish(image, 2, "again")
        intake = ReportIntake(told.append)
        identified = BoardAuthenticator(tmp_path / "identities.json", require=True)
        with BackgroundServer(create_app(bed.publisher.site.root, identified, intake)) as server:
            files = bed.files(MAIN)
            settings = json.loads(files["/twoslot.json"]) | {
                "device_id": "lamp-7", "report": True, "board": "nodemcu", "server": f"http://{HOST}:{server.port}"}
            files["/twoslot.json"] = json.dumps(settings).encode()
            files["/twoslot.secret"] = Identities({"lamp-7": SECRET}).secret_file("lamp-7")
            flash = bed.flash()
            bed.put_files(flash, files)
            with bed.running(flash) as running:
                running.board.power_on()
                assert running.run_until(lambda: len(told) == 2, 120), (told, running.console.last_lines(20))
                took = [int(ms) for ms in re.findall(rb"@slotbench longest (\d+)", running.console.data)]
    assert [(each.report.event, each.report.code) for each in told] == [(ReportEvent.START, 0), (ReportEvent.ERROR, 26)]
    assert all(each.report.free > 10_000 for each in told)
    print(f"the longest tick took {max(took)} ms; {[each.report.free for each in told]} bytes were free")
    assert max(took) <= LONGEST_MS
