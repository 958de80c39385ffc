"""`slotbench ship --app DIR --twoslot`: twoslot itself as a file of an application, for boards without the loader."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from slotbench import __version__, boards
from slotbench.application.bundle import Bundle, build_bundle
from slotbench.errors import BenchError
from slotbench.formats.file_list import TWOSLOT_PACK, parse_list
from slotbench.mpy.pack import packed_twoslot
from slotbench.project import PROJECT_FILE
from slotbench.release.applications import build_application, read_written_bundle, write_bundle
from support.commands import RunCommand
from support.samples import NOW, PRODUCT, KeyRing, make_firmware


@pytest.fixture
def project(tmp_path: Path, ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / PROJECT_FILE).write_text(f'product = "{PRODUCT}"\nboard = "esp01s_1m"\n')
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "main.py").write_text("print(1)\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_pack_is_published_with_the_program(project: Path, slotbench: RunCommand) -> None:
    said = slotbench("ship", "--app", "app", "--twoslot", "--yes")
    assert said.code == 0 and f"with twoslot {__version__}, {len(packed_twoslot())} bytes" in said.out
    digest = hashlib.sha256(packed_twoslot()).hexdigest()
    (path,) = (project / "site").rglob(f"{digest}.file")
    assert path.read_bytes() == packed_twoslot()
    (document,) = (project / "site").rglob("*.application")
    shown = slotbench("release", "show", document).out
    assert f"{__version__}, without the loader" in shown
    again = slotbench("ship", "--app", "app", "--twoslot", "--yes")
    assert "nothing is left to do" in again.out


def test_it_needs_a_program_and_a_board_that_takes_it(project: Path, slotbench: RunCommand) -> None:
    refused = slotbench("ship", "--app", "app", "--twoslot", "--yes", "--board", "d1_mini")
    assert refused.code == 2 and "d1_mini has the loader" in refused.err
    (project / "a.bin").write_bytes(make_firmware(48 * 1024))
    alone = slotbench("ship", "a.bin", "--twoslot", "--yes", "--no-app")
    assert alone.code == 2 and "needs --app DIR" in alone.err


def test_it_is_built_and_published_in_single_steps(project: Path) -> None:
    bundle = build_bundle(project / "app", twoslot=packed_twoslot())
    assert [entry.path for entry in parse_list(bundle.file_list)] == ["main.py", TWOSLOT_PACK]
    assert bundle.blocks == build_bundle(project / "app").blocks, "it does not come into the folder"
    write_bundle(bundle, project / "made.files")
    assert read_written_bundle(project / "made.files").file_list == bundle.file_list


def test_the_room_for_two_of_them_is_counted() -> None:
    board = boards.load("esp01s_1m")

    def build(blocks: int, **more: bytes) -> None:
        files = {"main.py": b"", **{f"f{n}": bytes(4096) for n in range(blocks - 2)}}
        build_application(
            Bundle({**files, **{TWOSLOT_PACK: data for data in more.values()}}, 6), product=PRODUCT, boards=[board],
            version="1", counter=2, created=NOW)

    build(28)
    build(17, twoslot=packed_twoslot())
    with pytest.raises(BenchError, match="KB are missing"):
        build(20, twoslot=packed_twoslot())


def test_a_program_may_not_have_a_file_of_that_name(project: Path) -> None:
    (project / "app" / TWOSLOT_PACK).write_bytes(b"mine")
    with pytest.raises(BenchError, match="this is of twoslot"):
        build_bundle(project / "app")


def test_the_version_is_a_number_of_the_document() -> None:
    bundle = Bundle({"main.py": b"", TWOSLOT_PACK: b"any"}, 6)
    made = build_application(
        bundle, product=PRODUCT, boards=[boards.load("sonoff_1m"), boards.load("d1_mini")], version="1", counter=2,
        created=NOW)
    assert made.twoslot == 0x000100
    assert type(made).from_payload(made.to_payload()) == made
    assert b"twoslot" not in replace(made, twoslot=None).to_payload()
