"""Boards with stock firmware, without the loader: their files, and what verbs say to them."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from slotbench import boards, cli
from slotbench.application.bundle import Bundle
from slotbench.boards import Region
from slotbench.boards.images import fitting_slots, stock_image
from slotbench.boards.model import Layout
from slotbench.errors import BenchError
from slotbench.flashing.apply import plan_firmware
from slotbench.flashing.plan import Firmware
from slotbench.formats.application_record import ApplicationRecord, FolderState
from slotbench.mpy.pack import pack_package, packed_files
from slotbench.release.applications import build_application, require_room
from slotbench.release.build import build_release
from slotbench.repl.first_application import first_application, no_application
from slotbench.vboard.firmware import SMALLEST_BYTES, for_board
from slotbench.vboard.live.folder import BoardFolder
from support.testbed import put_keys
from support.vboard.flash import image

ESP01S = boards.load("esp01s_1m")
SMALL = for_board(ESP01S, "1.0.0", size=SMALLEST_BYTES)[0]


def test_the_map_of_1_mb() -> None:
    assert (ESP01S.layout, ESP01S.chip_bytes, ESP01S.in_place) == (Layout.STOCK, 0x100000, False)
    assert ESP01S.regions() == {
        "regions.filesystem": Region(0x99000, 0x62000), "regions.sdk_parameters": Region(0xFB000, 0x5000),
        "regions.firmware": Region(0, 0x98000)}
    assert ESP01S.filesystem.size // 4096 == 98 and boards.load("sonoff_1m").flash_mode == "dout"
    assert boards.load("sonoff_1m").regions() == ESP01S.regions()


@pytest.mark.parametrize(("old", "new", "words"), [
    ("start_offset = 0x000000", "start_offset = 0x001000", "the ROM starts the code at offset 0"),
    ("size_bytes = 0x98000", "size_bytes = 0x9A000", "overlaps regions.firmware"),
    ("size_bytes = 0x98000", "size_bytes = 0x8000", "MicroPython needs 0x79000"),
    ("size_bytes = 0x62000", "size_bytes = 0x61000", "does not end at the SDK's sectors"),
    ("[firmware_header]", "[loader_header]", "firmware_header"),
    ("development = false", "development = false\nbench_only = true", "only in-place maps"),
    ("[pins]", "[slot_a]\nsource = \"x\"\n[pins]", "slot_a"),
])
def test_a_map_that_could_not_work_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    text = (Path(boards.__file__).parents[3] / "boards" / "esp01s_1m.toml").read_text()
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(BenchError) as caught:
        boards.load(path)
    assert words in str(caught.value)


def test_a_firmware_fits_by_where_its_files_are() -> None:
    assert stock_image(SMALL, ESP01S).fs_start == 0x99000 and fitting_slots(SMALL, ESP01S) == ""
    with pytest.raises(BenchError, match="use MicroPython's FLASH_1M build"):
        stock_image(image("1.0.0"), ESP01S)


def test_no_firmware_travels_there() -> None:
    with pytest.raises(BenchError, match="esp01s_1m has no loader, so no firmware travels to it") as caught:
        build_release(SMALL, product="lamp", boards=[ESP01S], counter=2, created=1, channels=("stable",))
    assert "slotbench ship --app DIR" in str(caught.value.cure)


def test_the_plan_writes_the_firmware_and_keeps_the_files() -> None:
    made = Firmware(data=SMALL, product="lamp", version="1.0.0", counter=1)
    blank = b"\xff" * 0x5000
    plan = plan_firmware(ESP01S, made, sdk=blank, sdk_start=ESP01S.sdk.start)
    assert [write.offset for write in plan.writes] == [0x1000, 0], "its first sector is the last write"
    assert any("filesystem" in kept for kept in plan.kept)
    whole = plan.writes[1].data + plan.writes[0].data
    assert whole[2:4] == bytes([2, 0x20]) and whole[4 : len(SMALL)] == SMALL[4:], "mode and size, and the image"
    erased = plan_firmware(ESP01S, made, sdk=blank, sdk_start=ESP01S.sdk.start, erase_filesystem=True)
    assert erased.writes[0].offset == ESP01S.fs_start and not any("filesystem" in kept for kept in erased.kept)


def test_the_room_beside_the_pack() -> None:
    def bundle(count: int) -> Bundle:
        return Bundle({"main.py": b"pass\n", **{f"m{n:02d}.py": bytes(1100) for n in range(count)}}, 0)

    require_room(bundle(20), ESP01S)
    with pytest.raises(BenchError, match="KB are missing"):
        require_room(bundle(60), ESP01S)
    made = build_application(bundle(20), product="lamp", boards=[ESP01S], version="1", counter=2, created=1)
    assert made.boards == ("esp01s_1m",)


def test_the_pack_leads_to_each_module() -> None:
    pack = pack_package({"/__init__.mpy": b"one", "/trust/rsa.mpy": b"two", "/agent.mpy": b""})
    count = pack[4]
    places = struct.unpack_from(f"<{count}I", pack, 6 + 2 * count)
    assert pack[:4] == b"2SP1" and count == 5, "the modules, their folder, and the whole"
    assert sorted(pack[place : place + 3] for place in places)[-1] == b"two"
    assert len(packed_files()["twoslot.pack"]) < 90_000


def test_paths_of_the_same_short_name_are_refused() -> None:
    many = {f"/m{n}.mpy": b"" for n in range(300)}
    with pytest.raises(BenchError, match="the same short name, or there are more than 255"):
        pack_package(many)


def test_the_first_application_is_a_confirmed_one() -> None:
    bundle = Bundle({"main.py": b"pass\n", "lib/a b.py": b"x = 1\n"}, 0)
    files = first_application(bundle.files, bundle.file_list, bundle.mpy_abi)
    record = ApplicationRecord.unpack(files["twoslot.app0"])
    assert (record.active, record.folders[0].state, record.folders[0].counter) == (0, FolderState.CONFIRMED, 1)
    assert files["app_a/twoslot.list"] == bundle.file_list and files["app_a/lib/a b.py"] == b"x = 1\n"
    assert list(files)[-1] == "twoslot.app0", "the record comes when all that it speaks of is there"
    assert ApplicationRecord.unpack(no_application()["twoslot.app0"]).active == 2


def test_init_and_board_new_say_what_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    put_keys(tmp_path / "keys")
    assert cli.run(["init", "lamp", "--board", "esp01s_1m", "--server", "http://127.0.0.1:8266"]) == 0
    said = capsys.readouterr().out
    assert "FLASH_1M build" in said and "slotbench deploy --app app --wifi SSID" in said and "loader" not in said
    assert cli.run(["board", "new", "one"]) == 0
    assert "slotbench deploy --port one.tty --app DIR" in capsys.readouterr().out
    made = BoardFolder.open(tmp_path / "one")
    assert made.vm == "micropython" and not made.profile.has_loader
    assert list(made.load_files()) == ["/main.py"]
    (tmp_path / "firmware.bin").write_bytes(SMALL)
    assert cli.run(["ship", "firmware.bin", "--yes"]) == 2
    assert "esp01s_1m has no loader, so no firmware travels to it" in capsys.readouterr().err
