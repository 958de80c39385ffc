"""A board with an emulated chip, live: prompt, buttons, cuts, serial port; and its files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from slotbench import boards
from slotbench.errors import BenchError
from slotbench.flashing.esptool_link import connected_board
from slotbench.mpy import sources
from slotbench.vboard.chip.files import ChipFiles
from slotbench.vboard.chip.network import station
from slotbench.vboard.chip.pace import ChipPace
from slotbench.vboard.chip.runner import require_runnable
from slotbench.vboard.clock import Clock
from slotbench.vboard.factory import BOOT_LINE
from slotbench.vboard.flash.littlefs import FlashFiles
from slotbench.vboard.flash.nor import NorFlash
from support.chip.bench import ChipBench, any_micropython, need_slirp, plain_folder
from support.vboard.flash import image

PROMPT = ">>> "


@pytest.fixture
def bench(core: Path, tmp_path: Path) -> Iterator[ChipBench]:
    need_slirp()
    with ChipBench(plain_folder(tmp_path / "lamp1", any_micropython())) as made:
        yield made


def test_prompt_buttons_and_power(bench: ChipBench) -> None:
    bench.until_shown(PROMPT)
    facts = bench.request_facts(command="status")[1]
    assert (facts["state"], facts["slot"], facts["counter"], facts["why"]) == ("running", "A", 1, "ordinary")
    assert bench.request_facts(command="repl", line="6*7")[0] == "42\n"
    shown = len(bench.shown)
    assert bench.request_facts(command="reset")[1]["boots"] == 2
    bench.until_shown(PROMPT, shown)
    assert bench.request_facts(command="off")[1]["state"] == "off"
    with pytest.raises(BenchError, match="the board has no power"):
        bench.request_facts(command="repl", line="1")
    shown = len(bench.shown)
    assert bench.request_facts(command="on")[1]["boots"] == 3
    bench.until_shown(PROMPT, shown)


def test_a_cut_takes_its_power_and_the_next_start_goes_on(bench: ChipBench) -> None:
    bench.until_shown(PROMPT)
    answer = bench.request_facts(command="cut", cut="next:torn")[1]
    assert answer["cut"].startswith(f"{answer['operations']}:torn")
    bench.uart.application.receive(b"f = open('x', 'w'); f.write('y' * 5000); f.close()\r")
    bench.until_shown("POWER LOST at a flash operation")
    assert bench.request_facts(command="status")[1]["state"] == "off"
    shown = len(bench.shown)
    bench.request_facts(command="on")
    bench.until_shown(PROMPT, shown)


def test_its_serial_port_is_a_pty(bench: ChipBench) -> None:
    bench.until_shown(PROMPT)
    with serial.Serial(str(bench.tty), 115200, timeout=20) as line:
        line.write(b"print('pty', 6 * 7)\r")
        assert line.read_until(b"pty 42\r\n").endswith(b"pty 42\r\n")
        line.read_until(b">>> ")
        line.write(b"import mach\t as m; print('tab', len(m.unique_id()))\r")
        assert b"import machine as m" in line.read_until(b"tab 4\r\n"), "Tab completes a module's name"


def test_esptool_finds_the_rom_and_the_application_runs_again(bench: ChipBench) -> None:
    bench.until_shown(PROMPT)
    shown = len(bench.shown)
    with connected_board(bench.port, 115200) as link:
        assert (link.flash_bytes, link.mac[-6:]) == (0x400000, "2c1b0a")
        place = bench.folder.profile.slots[0].image.start
        assert link.read(place, 0x1000) == bench.folder.flash_path.read_bytes()[place : place + 0x1000]
    bench.until_shown("download mode", shown)
    bench.until_shown(PROMPT, shown)


def test_a_board_with_a_bench_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no chip runs"):
        require_runnable(plain_folder(tmp_path / "lamp1", image("1.0.0")))


def test_files_go_to_the_chip_compiled_and_come_back_as_they_were() -> None:
    region = boards.load("generic_4m").filesystem
    flash = NorFlash(0x400000)
    given = {f"/twoslot/{name}": data for name, data in sources().items()}
    given |= {
        "/boot.py": f"{BOOT_LINE}\n".encode(), "/main.py": b"x = 1\n",
        "/twoslot.json": b'{"server": "http://127.0.0.1:8266", "product": "lamp"}',
    }
    files = ChipFiles(flash, region)
    files.write_files(given)
    there = read(flash)
    assert there["/twoslot.json"] == b'{"server": "http://192.168.4.2:8266", "product": "lamp"}'
    assert there["/twoslot/agent.mpy"][:2] == b"M\x06"
    assert "/twoslot/agent.py" not in there
    assert there["/boot.py"].splitlines() == [station.LINE.encode(), BOOT_LINE.encode()]
    assert files.read_files() == given

    filesystem = FlashFiles(flash, region)
    filesystem.start({})
    filesystem.mount()
    filesystem.files["/log.txt"] = b"new"
    filesystem.files["/main.py"] = b"x = 2\n"
    filesystem.sync()
    assert files.read_files() == {**given, "/log.txt": b"new", "/main.py": b"x = 2\n"}


def test_the_network_of_the_bench_comes_first_in_boot_and_only_once() -> None:
    region = boards.load("generic_4m").filesystem
    flash = NorFlash(0x400000)
    assert not station.put_on(flash, region), "there is no filesystem yet"
    filesystem = FlashFiles(flash, region)
    filesystem.start({"/boot.py": b"a = 1\n" + station.LINE.encode() + b"\n"})
    filesystem.mount()
    for _ in range(2):
        assert station.put_on(flash, region)
        assert read(flash)["/boot.py"] == station.LINE.encode() + b"\na = 1\n"
    operations = flash.peek(region.start, region.size)
    station.put_on(flash, region)
    assert flash.peek(region.start, region.size) == operations, "nothing is written when it is there"


def test_pace_holds_the_board_to_real_time() -> None:
    real_s = 0.0
    clock = Clock()
    pace = ChipPace(2.0, lambda: real_s, clock)
    clock.us += 1_000_000
    assert pace.lead_s == pytest.approx(0.5) and not pace.may_run
    real_s = 0.4
    assert pace.lead_s == pytest.approx(0.1) and pace.may_run
    real_s = 0.5
    assert pace.lead_s == 0
    real_s = 10.0
    assert pace.lead_s == 0, "so late a board does not make up for it"
    clock.us += 1_000_000
    assert pace.lead_s == pytest.approx(0.5)
    assert ChipPace(None, lambda: real_s, clock).lead_s == 0


def read(flash: NorFlash) -> dict[str, bytes]:
    filesystem = FlashFiles(flash, boards.load("generic_4m").filesystem)
    filesystem.start({})
    filesystem.mount()
    return dict(filesystem.files)
