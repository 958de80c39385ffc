"""`slotbench flash` and its company on a virtual board's serial port, through esptool's API."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from slotbench import boards, data_path
from slotbench.boards.header import loader_sector, with_header
from slotbench.cli import run
from slotbench.errors import BenchError
from slotbench.flashing.filesystem import resize_filesystem
from slotbench.formats import blocks, maptable
from slotbench.formats.rtc import BootReason
from slotbench.inspection.dump import identify_board
from slotbench.inspection.facts import ImageState, inspect_flash
from slotbench.vboard.board import BoardState
from slotbench.vboard.firmware import build, for_board
from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.loader.model import BootResult
from slotbench.vboard.lx106.machine import LoaderMachine
from slotbench.vboard.serial.registers import ChipRegisters
from slotbench.vboard.soc import Soc
from support.micropython_images import micropython_image
from support.serial.bench import SerialBench, stand_in_loader
from support.vboard.flash import image
from support.vboard.littlefs import FAT, files_in, filesystem, stock_flash, time_of

BOARD = boards.load("generic_4m")
FILES = {"/main.py": b"print('lamp')\n", "/lib/big.py": random.Random(4).randbytes(40_000), "/lib/empty.py": b""}
STOCK_FILESYSTEM_BYTES = 0x3FB000 - 0x100000
PHY = b"\x05" + bytes(range(127))

Start = Callable[..., SerialBench]
Slotbench = Callable[..., str]


@pytest.fixture
def firmware(tmp_path: Path) -> Path:
    path = tmp_path / "firmware.bin"
    path.write_bytes(image("1.2.3", size=90_000))
    return path


@pytest.fixture
def slotbench(loader: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Slotbench:
    """The command in the folder of the test; what it said. `code` is the exit code it must have."""
    monkeypatch.chdir(loader.parent)

    def command(*arguments: str | Path, code: int = 0) -> str:
        words = [str(argument) for argument in arguments]
        if words[0] == "flash":
            words += ["--loader", str(loader)]
        ended = run(words)
        said = capsys.readouterr()
        assert ended == code, said.out + said.err
        return said.out + said.err

    return command


def stock(version: int = 0x00020001) -> bytes:
    """A 4 MB board with plain MicroPython, files, PHY data and parameters of the SDK."""
    content = bytearray(b"\xff" * BOARD.chip_bytes)
    plain = with_header(image("1.0.0", size=70_000), BOARD, BOARD.chip_bytes)
    content[: len(plain)] = plain
    content[0x100000 : 0x100000 + STOCK_FILESYSTEM_BYTES] = filesystem(FILES, STOCK_FILESYSTEM_BYTES, version)
    content[0x3FC000 : 0x3FC080] = PHY
    content[0x3FD000 : 0x3FD400] = b"P" * 0x400
    return bytes(content)


def require_set_up(bench: SerialBench, data: bytes, boots: int = 1) -> None:
    """Assert every byte of the plan, and that the board runs."""
    flash = bench.flash()
    facts = inspect_flash(identify_board(flash, "flash"), flash)
    a, b = facts.slots
    assert a.image is ImageState.MATCHES and a.descriptor is not None and a.descriptor.confirmed
    assert a.table is not None and (a.table.entries, a.table.differing) == (blocks.block_count(len(data)), ())
    assert b.descriptor is None and flash[BOARD.slots[1].table.start :][:4096] == b"\xff" * 4096
    assert facts.header.problems == ()
    assert facts.window is not None and facts.window.matches[0].differing == () and facts.window.names == 0
    assert flash[:4096] == loader_sector(stand_in_loader(), BOARD)
    assert maptable.unpack_table(flash[maptable.OFFSET : 4096]) == BOARD.device_map()
    assert flash[0x200000 : 0x200000 + len(data)] == data
    bench.wait_for("boot: slot A, 1.2.3", boots)
    assert bench.board.state is BoardState.RUNNING


def test_a_worn_sector_is_found_by_reading_back(boards_with: Start, slotbench: Slotbench, firmware: Path) -> None:
    bench = boards_with()
    bench.board.flash.set_stuck(BOARD.slots[0].image.start // 4096 + 3)
    said = slotbench(
        "flash", "--port", bench.port, "--image", firmware, "--product", "lamp", code=1)
    assert "does not match data in flash" in said and "run the same command again" in said
    assert bench.flash(0, 1) != b"\xe9", "a board that was not written whole starts nothing"


def test_an_erased_board_is_set_up_and_runs(boards_with: Start, slotbench: Slotbench, firmware: Path) -> None:
    bench = boards_with()
    said = slotbench("flash", "--port", bench.port, "--image", firmware, "--product", "lamp")
    assert "it starts nothing: the first sector is blank" in said
    assert "0x100000-0x1fafff filesystem: kept" in said
    require_set_up(bench, firmware.read_bytes())
    assert bench.flash(0x1FC000, 1) == b"\x05", "the firmware writes PHY data where there are none"
    operations = bench.board.flash.operations
    again = slotbench("flash", "--port", bench.port, "--image", firmware)
    assert "it starts twoslot" in again
    assert again.count("unchanged") == 3
    assert bench.board.flash.operations - operations < 30, "only the first sector is written again"


def test_the_loader_that_comes_with_the_bench_starts_it(
    boards_with: Start, slotbench: Slotbench, firmware: Path, loader: Path,
) -> None:
    loader.write_bytes(data_path("device", "slotboot", "slotboot.bin").read_bytes())
    bench = boards_with()
    slotbench("flash", "--port", bench.port, "--image", firmware)
    bench.stop()
    flash = NorFlash(BOARD.chip_bytes, image=bench.flash())
    result = LoaderMachine(Soc(flash), BOARD).boot(rounds=1)
    assert isinstance(result, BootResult)
    assert (result.slot, result.why, result.counter) == (0, BootReason.ORDINARY, 1)


def test_a_dry_run_touches_nothing(boards_with: Start, slotbench: Slotbench, firmware: Path) -> None:
    bench = boards_with()
    said = slotbench("flash", "--port", bench.port, "--image", firmware, "--dry-run")
    assert "0x200000-0x215fff slot A" in said and "dry run: nothing was written" in said
    assert bench.board.flash.operations == 0


def test_a_filesystem_of_the_right_size_is_kept(
    boards_with: Start, slotbench: Slotbench, firmware: Path,
) -> None:
    content = bytearray(b"\xff" * BOARD.chip_bytes)
    kept = filesystem(FILES, BOARD.filesystem.size)
    content[BOARD.filesystem.start : BOARD.filesystem.end] = kept
    content[0x1FC000 : 0x1FC080] = PHY
    bench = boards_with(bytes(content))
    slotbench("flash", "--port", bench.port, "--image", firmware)
    require_set_up(bench, firmware.read_bytes())
    assert bench.flash(BOARD.filesystem.start, BOARD.filesystem.size) == kept
    assert bench.flash(0x1FC000, 128) == PHY


def test_phy_data_come_from_the_firmware_that_has_them(
    boards_with: Start, slotbench: Slotbench, tmp_path: Path,
) -> None:
    defaults = bytes.fromhex("05000402050505020500040505040505") + bytes(range(112))
    data = bytearray(build("1.2.3", size=90_000))
    at = data.find(bytes(1024))
    at = (at if at >= 0 else 0x10000) + 3 & ~3
    data[at : at + 128] = defaults
    data[-16:] = hashlib.md5(data[4:-16], usedforsecurity=False).digest()
    (tmp_path / "phy.bin").write_bytes(data)
    bench = boards_with()
    slotbench("flash", "--port", bench.port, "--image", tmp_path / "phy.bin")
    assert bench.flash(0x1FC000, 129) == defaults + b"\xff"


def test_a_filesystem_that_would_be_lost_is_refused(
    boards_with: Start, slotbench: Slotbench, firmware: Path,
) -> None:
    bench = boards_with(stock())
    before = bench.flash()
    said = slotbench("flash", "--port", bench.port, "--image", firmware, code=1)
    assert "its files would be lost" in said and "--from-stock" in said and said.count("slotbench:") == 1
    foreign = bytearray(b"\xff" * BOARD.chip_bytes)
    foreign[0x100000:0x100100] = b"\xebFAT" * 64
    assert bench.flash() == before
    assert "is not a LittleFS" in slotbench("flash", "--port", boards_with(bytes(foreign)).port, "--image", firmware, code=1)


def test_a_filesystem_that_the_firmware_cannot_mount_is_refused(
    boards_with: Start, slotbench: Slotbench, tmp_path: Path,
) -> None:
    content = bytearray(b"\xff" * BOARD.chip_bytes)
    content[BOARD.filesystem.start : BOARD.filesystem.end] = filesystem(FILES, BOARD.filesystem.size)
    data = bytearray(build("1.2.3", size=90_000).replace(b"v1.28.0 on ", b"v1.20.0 on "))
    data[-16:] = hashlib.md5(data[4:-16], usedforsecurity=False).digest()
    (tmp_path / "old.bin").write_bytes(data)
    bench = boards_with(bytes(content))
    said = slotbench("flash", "--port", bench.port, "--image", tmp_path / "old.bin", code=1)
    assert "littlefs 2.1, and this firmware mounts 2.0 at most" in said and "--erase-filesystem" in said
    assert bench.flash() == bytes(content)


def test_files_can_be_erased(boards_with: Start, slotbench: Slotbench, firmware: Path) -> None:
    bench = boards_with(stock())
    slotbench("flash", "--port", bench.port, "--image", firmware, "--erase-filesystem")
    require_set_up(bench, firmware.read_bytes())
    made = files_in(bench.flash(BOARD.filesystem.start, BOARD.filesystem.size))
    assert list(made) == ["/boot.py"], "a firmware that finds it blank makes a new one"
    assert bench.flash(0x1FC000, 128) == PHY, "the radio's data move with the size that the SDK sees"


def test_fat_files_are_not_lost_without_a_word(boards_with: Start, slotbench: Slotbench, firmware: Path) -> None:
    low = micropython_image("1.10", user_start=0x98000, drivers=("VfsFat",))
    bench = boards_with(stock_flash(low, (0x99000, FAT)))
    said = slotbench("flash", "--port", bench.port, "--from-stock", "--image", firmware, code=1)
    assert "its files are in a FAT filesystem at 0x099000" in said and "mpremote cp" in said
    said = slotbench("flash", "--port", bench.port, "--image", firmware, code=1)
    assert "the board's files are in a FAT filesystem at 0x099000: they would be lost" in said


def test_a_board_with_a_build_for_1_mb_keeps_its_files_and_needs_another_firmware(
    boards_with: Start, slotbench: Slotbench, firmware: Path,
) -> None:
    low = micropython_image(user_start=0x98000)
    bench = boards_with(stock_flash(low, (0x99000, filesystem(FILES, 0x60000))))
    said = slotbench("flash", "--port", bench.port, "--from-stock", code=2)
    assert "the firmware on the board cannot stay: filesystem of the image (MicroPython 1.26.0, littlefs 2.1, " \
        "FLASH_1M build) starts at 0x99000" in said
    assert "give MicroPython's default build with --image; the board's files move along" in said
    slotbench("flash", "--port", bench.port, "--from-stock", "--image", firmware)
    assert files_in(bench.flash(BOARD.filesystem.start, BOARD.filesystem.size)) == FILES


def test_a_chip_of_1_mb_is_told_what_it_lacks(boards_with: Start, slotbench: Slotbench, firmware: Path) -> None:
    bench = boards_with(micropython_image(user_start=0x98000), board="native_1m")
    for options in (("--from-stock",), ("--image", firmware)):
        said = slotbench("flash", "--port", bench.port, *options, code=2)
        assert "the flash has 1024 KB; two MicroPython images need 4 MB" in said


def test_a_board_with_an_old_micropython_keeps_its_files_and_needs_another_firmware(
    boards_with: Start, slotbench: Slotbench, firmware: Path,
) -> None:
    old = micropython_image("1.19.1")
    bench = boards_with(stock_flash(old, (0x100000, filesystem(FILES, 0x100000))))
    said = slotbench("flash", "--port", bench.port, "--from-stock", code=2)
    assert "the firmware on the board cannot stay: MicroPython 1.19.1 is too old: twoslot needs 1.20 or later" in said
    slotbench("flash", "--port", bench.port, "--from-stock", "--image", firmware)
    assert files_in(bench.flash(BOARD.filesystem.start, BOARD.filesystem.size)) == FILES


@pytest.mark.parametrize(("arguments", "words"), [
    ((), "no firmware given"),
    (("--image", "missing.bin"), "cannot read"),
    (("--image", "loader.bin"), "a boot loader alone, without an application, not MicroPython"),
    (("--image", "firmware.bin", "--board", "native_1m"), "runs EA user images"),
    (("--image", "firmware.bin", "--from-stock", "--erase-filesystem"), "--from-stock moves the files"),
])
def test_impossible_requests_are_refused_in_one_line(
    boards_with: Start, slotbench: Slotbench, firmware: Path, arguments: tuple[str, ...], words: str,
) -> None:
    bench = boards_with()
    code = 1 if "native_1m" in arguments or "loader.bin" in arguments else 2
    said = slotbench("flash", "--port", bench.port, *arguments, code=code)
    assert words in said
    assert bench.board.flash.operations == 0


def test_a_port_that_is_not_there(slotbench: Slotbench, firmware: Path) -> None:
    said = slotbench("flash", "--port", "/dev/ttyNOWHERE", "--image", firmware, code=2)
    assert "no such serial port: /dev/ttyNOWHERE" in said


def test_a_flash_that_is_too_small(boards_with: Start, slotbench: Slotbench, firmware: Path) -> None:
    bench = boards_with(board="native_1m")
    said = slotbench("flash", "--port", bench.port, "--image", firmware, "--board", "d1_mini", code=1)
    assert "1048576 bytes, the map of d1_mini needs 4194304" in said


def test_another_chip(
    boards_with: Start, slotbench: Slotbench, firmware: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = ChipRegisters.read
    magic_esp32 = 0x00F01D83
    monkeypatch.setattr(
        ChipRegisters, "read", lambda self, at: magic_esp32 if at == 0x40001000 else read(self, at))
    said = slotbench("flash", "--port", boards_with().port, "--image", firmware, code=2)
    assert "the chip is an ESP32; twoslot runs only on the ESP8266" in said


POINTS = (0.02, 0.1, 0.3, 0.5, 0.7, 0.9)
"""Where a run is interrupted, as a share of the bytes it sends."""


def test_the_same_command_continues_after_a_pulled_cable(
    boards_with: Start, slotbench: Slotbench, firmware: Path,
) -> None:
    before = b"\xe9" + random.Random(5).randbytes(0x240000)
    bench = boards_with(before)
    command = ("flash", "--port", bench.port, "--image", firmware, "--erase-filesystem")
    slotbench(*command, "--dry-run")
    looking = bench.uart.heard_bytes
    slotbench(*command)
    whole = bench.uart.heard_bytes - looking
    require_set_up(bench, firmware.read_bytes())
    for share in POINTS:
        bench.board.flash.poke(0, before)
        bench.uart.pull_after = looking + round(share * (whole - looking))
        pulls, boots = bench.uart.pulls, len(bench.board.boots)
        said = slotbench(*command, code=1)
        assert bench.uart.pulls == pulls + 1
        assert "lost the board" in said and "run the same command again; until it succeeds" in said, said
        assert bench.flash(0, 4096) != before[:4096] and len(bench.board.boots) == boots, "it starts nothing"
        bench.wait_for("nothing boots", bench.uart.pulls)
        slotbench(*command)
        require_set_up(bench, firmware.read_bytes(), boots + 1)


@pytest.mark.parametrize("share", [0, 0.5, 0.97])
def test_the_same_command_continues_after_a_power_cut(
    boards_with: Start, slotbench: Slotbench, firmware: Path, share: float,
) -> None:
    bench = boards_with(b"\xe9" + random.Random(5).randbytes(0x240000))
    command = ("flash", "--port", bench.port, "--image", firmware, "--erase-filesystem")
    bench.board.flash.arm(Cut(int(share * 57), CutMode.TORN, 1))
    assert "run the same command again" in slotbench(*command, code=1)
    bench.wait_for("POWER LOST")
    bench.power_on()
    slotbench(*command)
    require_set_up(bench, firmware.read_bytes())


def test_from_stock_moves_everything_and_back(boards_with: Start, slotbench: Slotbench) -> None:
    before = stock()
    bench = boards_with(before)
    said = slotbench("flash", "--port", bench.port, "--from-stock", "--version", "1.2.3")
    assert "3 files are moved" in said
    backup = Path("backup-5ccf7f2c1b0a-stock.bin")
    assert backup.read_bytes() == before and backup.stat().st_mode & 0o777 == 0o600
    moved = bench.flash(BOARD.filesystem.start, BOARD.filesystem.size)
    assert files_in(moved) == FILES
    assert bench.flash(0x1FB000, 0x5000) == before[0x3FB000:], "PHY data and parameters go with the SDK"
    bench.wait_for("boot: slot A, 1.0.0")
    assert "it starts twoslot:" in slotbench("flash", "--port", bench.port, "--from-stock", code=2)

    slotbench("unflash", "--port", bench.port)
    assert bench.flash(0, 70_000) == before[:70_000]
    assert files_in(bench.flash(0x100000, STOCK_FILESYSTEM_BYTES)) == FILES
    assert bench.flash(0x3FB000, 0x5000) == before[0x3FB000:]
    assert "it starts stock firmware, a whole image:" in slotbench("unflash", "--port", bench.port, code=2)


@pytest.mark.sampled(3, kind=lambda verb, share: verb)
@pytest.mark.parametrize("verb", ["flash", "unflash"])
@pytest.mark.parametrize("share", [0, 0.5, 0.97])
def test_an_interrupted_move_continues_with_its_backup(
    boards_with: Start, slotbench: Slotbench, verb: str, share: float,
) -> None:
    bench = boards_with(stock())
    flash = bench.board.flash
    command: tuple[str, ...] = ("flash", "--port", bench.port, "--from-stock")
    operations, size = 80, BOARD.filesystem.size
    if verb == "unflash":
        slotbench(*command)
        command, operations, size = ("unflash", "--port", bench.port), 44, STOCK_FILESYSTEM_BYTES
    flash.arm(Cut(flash.operations + int(share * operations), CutMode.TORN, 2))
    assert "run the same command again" in slotbench(*command, code=1)
    bench.wait_for("POWER LOST")
    bench.power_on()
    assert "continuing an interrupted run with its backup" in slotbench(*command)
    assert files_in(bench.flash(0x100000, size)) == FILES


def test_an_old_backup_is_not_overwritten(boards_with: Start, slotbench: Slotbench) -> None:
    bench = boards_with(stock())
    old = Path("backup-5ccf7f2c1b0a-stock.bin")
    for last_year in (b"last year", bytes(BOARD.chip_bytes)):
        old.write_bytes(last_year)
        said = slotbench("flash", "--port", bench.port, "--from-stock", code=2)
        assert "an older backup is there" in said and "reading" not in said, "it is noticed before the flash is read"
        assert old.read_bytes() == last_year and bench.board.flash.operations == 0
    old.write_bytes(bench.flash())
    said = slotbench("flash", "--port", bench.port, "--from-stock", "--version", "1.2.3")
    assert "the backup of the whole flash is there already" in said and "reading" not in said


NO_PORT = "/dev/ttyNOWHERE"


@pytest.mark.parametrize(("arguments", "words"), [
    (("flash", "--image", "main.py"), "main.py"),
    (("flash", "--image", "main.py", "--board", "d1_mini"), "main.py"),
    (("unflash", "--image", "main.py"), "main.py"),
    (("restore", "missing.bin"), "cannot read (No such file or directory): missing.bin"),
    (("backup", "main.py"), "the file exists already: main.py"),
    (("backup", "main.py/lamp.bin"), "no such folder: main.py"),
])
def test_what_needs_no_board_is_checked_before_the_port_is_opened(
    slotbench: Slotbench, tmp_path: Path, arguments: tuple[str, ...], words: str,
) -> None:
    (tmp_path / "main.py").write_text("print('I am no firmware')\n")
    said = slotbench(*arguments, "--port", NO_PORT, code=1 if "--image" in arguments else 2)
    assert words in said and NO_PORT not in said


def test_files_that_do_not_fit_are_refused_before_anything_is_written(
    boards_with: Start, slotbench: Slotbench,
) -> None:
    content = bytearray(stock())
    big = {"/big": random.Random(6).randbytes(BOARD.filesystem.size + 4096)}
    content[0x100000 : 0x100000 + STOCK_FILESYSTEM_BYTES] = filesystem(big, STOCK_FILESYSTEM_BYTES)
    bench = boards_with(bytes(content))
    assert "its files need more than" in slotbench("flash", "--port", bench.port, "--from-stock", code=1)
    assert bench.board.flash.operations == 0


def test_backup_restore_and_inspect(boards_with: Start, slotbench: Slotbench) -> None:
    before = stock()
    bench = boards_with(before)
    slotbench("backup", "--port", bench.port, "all.bin")
    assert Path("all.bin").stat().st_mode & 0o777 == 0o600, "the board's secret is in it"
    assert Path("all.bin").read_bytes() == before
    assert "the file exists already" in slotbench("backup", "--port", bench.port, "all.bin", code=2)
    bench.board.flash.poke(0x2000, bytes(0x4000))
    bench.board.flash.poke(0x340000, b"lamp" * 0x1000)
    slotbench("restore", "--port", bench.port, "all.bin")
    assert bench.flash() == before
    Path("short.bin").write_bytes(before[:-1])
    assert "4194303 bytes, the board's flash has 4194304" in slotbench(
        "restore", "--port", bench.port, "short.bin", code=2)
    from_port, from_file = (slotbench("inspect", *where) for where in (("--port", bench.port), ("all.bin",)))
    assert from_port.splitlines()[1:-1] == from_file.splitlines()[1:]
    assert from_port.splitlines()[-1] == "reading 4096 KB of flash: 365 s at most"
    assert "Missing argument 'FILE' or option '--port'" in slotbench("inspect", code=2)


@pytest.mark.parametrize("version", [0x00020000, 0x00020001])
def test_a_filesystem_keeps_version_files_and_times(version: int) -> None:
    old = filesystem(FILES, 0x40000, version, times={"/main.py": b"\x01\x02\x03\x04\x05\x06\x07\x08"})
    new, count = resize_filesystem(old, 0x20000)
    assert (count, len(new)) == (3, 0x20000)
    assert files_in(new) == FILES
    assert new[20:24] == version.to_bytes(4, "little")
    assert time_of(new, "/main.py") == b"\x01\x02\x03\x04\x05\x06\x07\x08"


def test_a_damaged_filesystem_is_reported() -> None:
    damaged = bytearray(filesystem(FILES, 0x40000))
    for block in range(2, 0x40):
        damaged[block * 4096 : block * 4096 + 64] = bytes(64)
    with pytest.raises(BenchError, match="damaged"):
        resize_filesystem(bytes(damaged), 0x20000)


def test_the_model_flash_of_an_in_place_board(boards_with: Start, slotbench: Slotbench, tmp_path: Path) -> None:
    board = boards.load("native_1m")
    content = bytearray(b"\xff" * board.chip_bytes)
    content[board.sdk.start : board.sdk.start + 128] = PHY
    user1 = for_board(board, "1.2.3", size=60_000)[0]
    (tmp_path / "user1.bin").write_bytes(user1)
    bench = boards_with(bytes(content), board="native_1m")
    said = slotbench("flash", "--port", bench.port, "--image", tmp_path / "user1.bin")
    assert "bench only" in said
    bench.wait_for("boot: slot A, 1.2.3")
    bench.board.flash.poke(board.sdk.start, bytes(128))
    assert "has PHY init data" in slotbench("flash", "--port", bench.port, "--image", tmp_path / "user1.bin", code=1)
