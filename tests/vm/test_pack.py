"""A new twoslot in an application, on the real MicroPython VM: the pack is mounted, proves itself or goes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from slotbench.formats.application_record import FILES, ApplicationRecord, newest_record
from slotbench.mpy.pack import PACK, SECOND_PACK, packed_files
from slotbench.prove.stock import StockBench
from slotbench.vboard.board import VirtualBoard
from support.device.stock import pack_with

pytestmark = pytest.mark.usefixtures("micropython")

MAIN = "import time, twoslot\nprint('program', {0})\nwhile True:\n    twoslot.tick()\n    time.sleep_ms(5000)\n"
HOURS_MS = 2 * 3_600_000


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> StockBench:
    return StockBench(tmp_path_factory.mktemp("bench"))


def program(counter: int) -> dict[str, bytes]:
    return {"main.py": MAIN.format(counter).encode()}


@pytest.fixture
def board(bench: StockBench) -> Iterator[VirtualBoard]:
    made = bench.board(program=program(1))
    yield made
    made.power_off()


def record(board: VirtualBoard) -> ApplicationRecord:
    found = newest_record(board.files.get(f"/{name}", b"") for name in FILES)
    assert found is not None
    return found


def test_a_new_pack_runs(bench: StockBench, board: VirtualBoard) -> None:
    new = packed_files()[PACK] + b"newer"
    bench.offer(2, {**program(2), PACK: new})
    board.power_on()
    board.run(HOURS_MS, until=lambda: record(board).report == 1)

    found = record(board)
    assert (found.active, found.twoslot_pack, found.twoslot_starts) == (1, 1, 0)
    assert board.files[f"/{SECOND_PACK}"] == new and len(board.boots) == 2
    assert board.evaluate("__import__('twoslot').status()")["twoslot"] == "0.1.0 pack B"
    assert board.evaluate("__import__('os').listdir('/twoslot')") == []


@pytest.mark.parametrize(("counter", "text"), [(3, "raise ValueError\n"), (4, "import machine\nmachine.reset()\n")])
def test_a_pack_that_cannot_begin_goes(bench: StockBench, board: VirtualBoard, counter: int, text: str) -> None:
    bench.offer(counter, {**program(counter), PACK: pack_with("__init__.py", text)})
    board.power_on()
    board.run(HOURS_MS, until=lambda: record(board).report in (2, 3))

    found = record(board)
    assert (found.active, found.twoslot_pack, found.twoslot_starts) == (0, 0, 0)
    assert (found.report, found.report_counter, len(board.boots)) == (3, counter, 5)
