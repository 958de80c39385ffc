"""README and guides: every command runs as printed, in the order of the page, and prints what the page says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from slotbench import boards
from slotbench.vboard import firmware
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.live.folder import BoardFolder
from slotbench.vboard.network.loopback import LoopbackNetwork
from support.guides.page import ROOT, Block, blocks, pages, prerequisites
from support.guides.reader import Reader
from support.live.bench import ID
from support.mqtt.brokers import Mosquitto
from support.serial.bench import SerialBench

NOT_RUN = {
    ". .venv/bin/activate": "the tests run inside it",
}
"""Commands that no test types, and why."""
PARSED = {
    "slotbench prove powercut": "tests/powercut",
    "slotbench prove powercut --all": "a shorter sweep of pairs is in tests/powercut",
    "slotbench prove powercut --loader machine": "tests/powercut",
    "slotbench prove network": "tests/network",
    "slotbench prove fleet --boards 200": "a smaller fleet is on the same page",
    "slotbench prove memory": "the gate memory",
    "slotbench prove fuzz --minutes 10": "tests/fuzz",
}
"""Commands that take minutes: their arguments are read, and what runs them is named here."""
PAGES = [page for page in pages() if any(block.language == "sh" for block in blocks(page))]




@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a reader types: a checkout, with a firmware.bin in it."""
    (tmp_path / "boards").symlink_to(ROOT / "boards")
    (tmp_path / "firmware.bin").write_bytes(firmware.build("2.0.0", size=96 * 1024))
    return tmp_path


@pytest.fixture
def reader(folder: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Reader]:
    """He has a board on USB and a broker in his network: they are there as soon as a command needs them."""
    benches: list[SerialBench] = []

    def usb() -> str:
        request.getfixturevalue("micropython")
        if not benches:
            chip = NorFlash(boards.load("d1_mini").chip_bytes)
            board = BoardFolder.create(tmp_path_factory.mktemp("usb") / "board", "d1_mini", chip, {}, unique_id=ID)
            bench = SerialBench(board, vm="micropython", network=LoopbackNetwork(), speed=20)
            benches.append(bench.__enter__())
        return benches[0].port

    def broker() -> str:
        mosquitto: Mosquitto = request.getfixturevalue("mosquitto")
        return mosquitto.address

    with Reader(folder, usb=usb, broker=broker, skipped=NOT_RUN, parsed=PARSED) as reader:
        yield reader
    for bench in benches:
        bench.stop()


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_do_what_it_says(page: str, reader: Reader) -> None:
    reader.read([*prerequisites(page), *blocks(page)])


def test_what_is_not_run_is_on_a_page() -> None:
    printed = {command for page in PAGES for block in blocks(page) if block.language == "sh"
               for command in block.commands()}
    assert printed >= NOT_RUN.keys() | PARSED.keys()


@pytest.mark.parametrize(
    ("command", "told"),
    [("slotbench fly", ""), ("slotbench release show --loud x", ""), ("tools/no-such-tool", ""),
     ("slotbench explain 30", "30 (release): something else")])
def test_the_reader_notices_what_is_not_so(command: str, told: str, reader: Reader) -> None:
    page = [Block("p.md", "s", 1, "sh", command + "\n"), Block("p.md", "s", 4, "text", told + "\n")]
    with pytest.raises(AssertionError):
        reader.read(page)
