"""A check whose head is already known, on the emulated chip: the file is written within the time of a tick()."""

from __future__ import annotations

import json
import re
from pathlib import Path

from slotbench import boards
from slotbench.prove.chip.bed import ChipBed
from slotbench.server import BackgroundServer, create_app
from slotbench.vboard.chip.network.slirp import HOST
from support.chip.bench import need_slirp, recent_micropython
from support.chip.stack import watched_ticks

LONGEST_MS = 500
MAIN = "import time, twoslot\n" + watched_ticks(200)


def test_a_head_is_known_after_the_power_was_lost(core: Path, tmp_path: Path) -> None:
    image = recent_micropython()[0]
    need_slirp()
    asked: list[tuple[str, int]] = []
    with ChipBed(tmp_path, boards.load("d1_mini"), image, seed=3) as bed:
        bed.publish(image, 1, "1.0.0")
        app = create_app(bed.publisher.site.root)

        def watched(environ, start_response):  # type: ignore[no-untyped-def]
            def started(status: str, *rest: object) -> object:
                asked.append((environ["PATH_INFO"].rsplit(".")[-1], int(status[:3])))
                return start_response(status, *rest)

            return app(environ, started)

        with BackgroundServer(watched) as server:
            files = bed.files(MAIN)
            settings = json.loads(files["/twoslot.json"]) | {
                "server": f"http://{HOST}:{server.port}", "interval_s": 10}
            files["/twoslot.json"] = json.dumps(settings).encode()
            flash = bed.flash()
            bed.put_files(flash, files)
            with bed.running(flash) as running:
                running.board.power_on()
                assert running.run_until(lambda: len(asked) == 2, 60), (asked, running.console.text[-1500:])
                running.board.power_off()
                before = len(asked)
                running.board.power_on()
                assert running.run_until(lambda: len(asked) > before, 120), (asked, running.console.last_lines(20))
                said = running.console.data
    took = [int(ms) for ms in re.findall(rb"@slotbench longest (\d+)", said)]
    print(f"asked: {asked}; the longest tick took {max(took)} ms")
    assert asked == [("head", 200), *[("head", 304)] * before]
    assert max(took) <= LONGEST_MS
