"""README and guides: every command runs as printed, in the order of the page, and prints what the page says."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from slotbench import boards, cli
from slotbench.vboard import firmware
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.live.folder import BoardFolder
from slotbench.vboard.network.loopback import LoopbackNetwork
from support.guides.page import ROOT, Block, blocks, pages, prerequisites
from support.guides.reader import Reader
from support.mqtt.brokers import Mosquitto
from support.serial.bench import SerialBench

NOT_RUN = {
    "esptool --port /dev/ttyUSB0 dump-mem 0x40000000 65536 rom.bin": "the ROM of a real chip",
    ". .venv/bin/activate": "the tests run inside it",
    "pip install 'twoslot[fleet]'": "the tests have its packages",
}
"""Commands that no test types, and why."""
PARSED = {
    "tools/demo --attacks --fast": "tests/e2e/test_demo_attacks.py",
    "slotbench preflight firmware.bin --board d1_mini": "tests/chip: it takes a real firmware",
    "slotbench preflight firmware.bin --app app": "tests/chip: it takes a real firmware",
    "slotbench board run lamp1 --vm chip --rom rom.bin": "tests/chip",
    "slotbench prove chip 1.24.0.bin 1.26.0.bin --cuts 24": "tests/chip",
    "slotbench prove programs firmware.bin": "tests/chip/test_programs.py",
    "slotbench prove suite firmware.bin": "tests/chip/test_suite.py",
    **dict.fromkeys((
        "slotbench board pin lamp1", "slotbench board pin lamp1 4 high", "slotbench board pin lamp1 4 float",
        "slotbench board adc lamp1 0.4", "slotbench board part lamp1",
        "slotbench board part lamp1 room temperature=30", "slotbench board part lamp1 key press_ms=100",
        "slotbench board part lamp1 screen"), "tests/chip/test_board_pins.py: they take a real firmware"),
    "slotbench bench --plot bench.png --plot bench.svg": "tests/host/test_bench.py, with fewer images",
    "slotbench prove powercut": "tests/powercut",
    "slotbench prove powercut --sampled": "tests/powercut",
    "slotbench prove powercut --all": "a shorter sweep of pairs is in tests/powercut",
    "slotbench prove powercut --loader machine": "tests/powercut",
    "slotbench prove powercut --vm micropython": "tests/powercut/test_updaters.py",
    "slotbench prove network": "tests/network",
    "slotbench prove fleet --boards 200": "a smaller fleet is on the same page",
    "slotbench prove field": "tests/e2e/test_field.py",
    "slotbench prove memory": "the gate memory",
    "slotbench prove fuzz --minutes 10": "tests/fuzz",
}
"""Commands that take minutes: their arguments are read, and what runs them is named here."""
PAGES = [page for page in pages() if any(block.language == "sh" for block in blocks(page))]
STARTS_MS = 5_000
SET_UP_PAGE = "host/docs/real-board.md"
"""It sets a board up, from an erased chip. Where other pages begin with that, the board on USB is set up."""


@pytest.fixture
def generated_keys() -> None:
    """New keys are new ones here: what `begun` keeps for all pages has some from an earlier test."""


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path, Sequence[Block]], None]:
    """Give a folder what these blocks leave behind: they are typed once, their files are copied."""
    made: dict[tuple[Block, ...], Path] = {}

    def begin(folder: Path, typed: Sequence[Block]) -> None:
        key = tuple(typed)
        if key not in made:
            made[key] = tmp_path_factory.mktemp("begun")
            fill(made[key])
            with Reader(made[key], usb=lambda: "", broker=lambda: "") as reader:
                reader.read(typed)
        shutil.copytree(made[key], folder, symlinks=True, dirs_exist_ok=True)

    return begin


def fill(folder: Path) -> None:
    """Make it what a reader has: a checkout, with a firmware.bin and a program in it."""
    (folder / "boards").symlink_to(ROOT / "boards")
    (folder / "firmware.bin").write_bytes(firmware.build("2.0.0", size=96 * 1024))
    (folder / "app").mkdir()
    (folder / "app" / "main.py").write_text("import time\nimport twoslot\nimport lamp\n\nwhile True:\n    twoslot.tick()"
                                            "\n    lamp.shine()\n    time.sleep_ms(100)\n")
    (folder / "app" / "lamp.py").write_text("def shine():\n    pass\n")


def set_up_board(folder: Path) -> BoardFolder:
    """As the commands of the page leave it: a firmware in slot A, twoslot and its settings on it."""
    assert cli.run(["board", "new", str(folder)]) == 0
    return BoardFolder.open(folder)


@pytest.fixture
def make_reader(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest,
) -> Iterator[Callable[..., Reader]]:
    """He has a board on USB and a broker in his network: they are there as soon as a command needs them."""
    with ExitStack() as stack:

        def make(*, erased: bool = False) -> Reader:
            benches: list[SerialBench] = []

            def usb() -> str:
                request.getfixturevalue("micropython")
                if not benches:
                    folder = tmp_path_factory.mktemp("usb") / "board"
                    chip = NorFlash(boards.load("d1_mini").chip_bytes)
                    board = BoardFolder.create(folder, "d1_mini", chip, {}) if erased else set_up_board(folder)
                    bench = SerialBench(board, vm="micropython", network=LoopbackNetwork(), speed=20)
                    benches.append(stack.enter_context(bench))
                    if not erased:
                        # Nobody types before its main.py runs: a Ctrl-C would end boot.py.
                        bench.wait_until_ms(STARTS_MS)
                return benches[0].port

            def broker() -> str:
                mosquitto: Mosquitto = request.getfixturevalue("mosquitto")
                return mosquitto.address

            return stack.enter_context(Reader(tmp_path, usb=usb, broker=broker, skipped=NOT_RUN, parsed=PARSED))

        yield make


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_do_what_it_says(
    page: str, make_reader: Callable[..., Reader], begun: Callable[[Path, Sequence[Block]], None],
) -> None:
    reader = make_reader(erased=page == SET_UP_PAGE)
    if first := [block for block in prerequisites(page) if block.page != SET_UP_PAGE]:
        begun(reader.folder, first)
    else:
        fill(reader.folder)
    reader.read(blocks(page))


def test_what_is_not_run_is_on_a_page() -> None:
    printed = {command for page in PAGES for block in blocks(page) if block.language == "sh"
               for command in block.commands()}
    assert printed >= NOT_RUN.keys() | PARSED.keys()


@pytest.mark.parametrize(
    ("command", "told"),
    [("slotbench fly", ""), ("slotbench release show --loud x", ""), ("tools/no-such-tool", ""),
     ("slotbench explain 30", "30 (release): something else")])
def test_the_reader_notices_what_is_not_so(command: str, told: str, make_reader: Callable[..., Reader]) -> None:
    page = [Block("p.md", "s", 1, "sh", command + "\n"), Block("p.md", "s", 4, "text", told + "\n")]
    with pytest.raises(AssertionError):
        make_reader().read(page)
