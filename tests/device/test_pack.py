"""twoslot itself travels to a board without the loader: as a file of an application, on trial with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from slotbench.formats.application_record import FolderState
from slotbench.mpy.pack import PACK, SECOND_PACK, packed_files
from support.device.site import Site
from support.device.stock import StockBoard, pack_with, program


@pytest.fixture
def stock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StockBoard]:
    made = StockBoard(Site(tmp_path_factory.mktemp("site")), packed=True, interval_s=600)
    yield made
    made.close()


def is_confirmed(stock: StockBoard, counter: int) -> bool:
    record = stock.record()
    folder = record.folders[record.active]
    return (folder.counter, folder.state) == (counter, FolderState.CONFIRMED)


def test_a_pack_runs(stock: StockBoard) -> None:
    stock.offer(2)

    assert stock.life(1, until=lambda: is_confirmed(stock, 2))
    assert f"/{SECOND_PACK}" not in stock.files


def test_the_same_pack_is_not_downloaded(stock: StockBoard) -> None:
    stock.offer(2, {**program(2), PACK: packed_files()[PACK]})

    assert stock.life(1, until=lambda: is_confirmed(stock, 2))
    assert f"/{SECOND_PACK}" not in stock.files and "/app_b/twoslot.pack" not in stock.files
    record = stock.record()
    assert (record.twoslot_pack, record.twoslot_starts) == (0, 0)


def test_a_new_pack_proves_itself_and_stays(stock: StockBoard) -> None:
    new = packed_files()[PACK] + b"newer"
    stock.offer(2, {**program(2), PACK: new})

    assert stock.life(1, until=lambda: is_confirmed(stock, 2))
    record = stock.record()
    assert (record.twoslot_pack, record.twoslot_starts) == (1, 0)
    assert stock.files[f"/{SECOND_PACK}"] == new and "/app_b/twoslot.pack" not in stock.files
    vm = stock.start(6)
    vm.run_file("/boot.py")
    assert vm.eval("__import__('twoslot').status()")["twoslot"] == "0.1.0 pack B"


BROKEN = {
    "no import": ("__init__.py", "raise ValueError\n"),
    "crash at the import": ("__init__.py", "import machine, time\nmachine.WDT()\ntime.sleep_ms(60000)\n"),
    "hang at the import": ("__init__.py", "import time\nwhile True:\n    time.sleep(1)\n"),
    "hang in boot.py": ("application/startup.py", "import time\ndef start(*a):\n    while True:\n        time.sleep(1)\n"),
    "no start": ("application/startup.py", "def start(*a):\n    raise OSError(5)\n"),
    "no check": ("trust/document.py", "def begin(*a):\n    raise OSError(5)\n"),
    "no request": ("http/request.py", "1 / 0\n"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_pack_that_fails_goes_by_itself(stock: StockBoard, broken: str) -> None:
    """Three attempts; then the old twoslot and the old program run, and the next update is taken."""
    stock.offer(2, {**program(2), PACK: pack_with(*BROKEN[broken])})

    assert stock.life(3, until=lambda: stock.record().report in (2, 3))
    record = stock.record()
    assert (record.active, record.folders[1].state, record.report_counter) == (0, FolderState.BAD, 2)
    assert (record.twoslot_pack, record.twoslot_starts) == (0, 0)
    assert record.report == (2 if "crash" in broken else 3)
    assert len(stock.resets) == 4, "the restart into the trial, and the end of each attempt"
    stock.offer(3)
    assert stock.life(2, until=lambda: is_confirmed(stock, 3))
    assert stock.record().twoslot_pack == 0


def test_confirm_by_hand_waits_for_a_server(tmp_path_factory: pytest.TempPathFactory) -> None:
    stock = StockBoard(Site(tmp_path_factory.mktemp("site")), packed=True, interval_s=600, confirm="manual")
    stock.offer(2, {**program(2), PACK: packed_files()[PACK] + b"newer"})
    assert stock.life(1, until=lambda: stock.record().twoslot_starts == 3)
    vm = stock.start(6)
    vm.run_file("/boot.py")
    assert vm.eval("__import__('twoslot').confirm()") is False
    assert "86 twoslot-unproven" in "".join(stock.printed)
    assert vm.eval("__import__('twoslot').check()") is False and "1 not-connected" in stock.printed[-1]
    assert vm.eval("__import__('twoslot').confirm()") is False
    vm.exec("__import__('time').sleep(20)")
    vm.eval("__import__('twoslot').check()")
    vm.eval("__import__('twoslot').confirm()")
    assert is_confirmed(stock, 2) and stock.record().twoslot_starts == 0
    stock.close()
