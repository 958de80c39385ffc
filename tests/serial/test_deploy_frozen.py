"""`slotbench deploy` to boards whose firmware has twoslot frozen: what it leaves out, keeps and takes away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from slotbench import __version__, boards
from slotbench.formats.descriptor import SlotDescriptor
from slotbench.images.frozen import version_module
from slotbench.repl import package
from support.live.bench import QUIET
from support.serial.bench import SerialBench, plain_folder
from support.serial.clients import slotbench
from support.testbed import put_keys

GIVEN = ("--product", "lamp", "--board", "generic_4m", "--server", "http://updates.lan")
TWOSLOT = ("twoslot/__init__.py", version_module(__version__))
PROFILE = boards.load("generic_4m")


@pytest.fixture
def make(micropython: None, tmp_path: Path) -> Iterator[Callable[..., SerialBench]]:
    """Makes a board with twoslot frozen in slot A, and with `files`."""
    with ExitStack() as stack:
        def make(files: dict[str, bytes]) -> SerialBench:
            folder = plain_folder(tmp_path / "board", frozen=TWOSLOT)
            for path, data in {**files, "main.py": f"print('lamp on')\n{QUIET}".encode()}.items():
                (folder.files_path / path).parent.mkdir(parents=True, exist_ok=True)
                (folder.files_path / path).write_bytes(data)
            bench = stack.enter_context(SerialBench(folder, vm="micropython"))
            bench.wait_for("lamp on")
            return bench

        yield make


def put_other(bench: SerialBench, twoslot: int) -> None:
    """A firmware in slot B with this twoslot."""
    page = SlotDescriptor(
        slot=1, counter=2, length=4096, sha256=bytes(32), fs_start=PROFILE.fs_start, product="lamp", version="2",
        twoslot=twoslot).pack()
    bench.board.flash.poke(PROFILE.slots[1].descriptor.start, page)


def package_on(bench: SerialBench) -> set[str]:
    return {path for path in bench.board.files if path.startswith("/twoslot/")}


def test_only_what_is_not_frozen_is_put_there(make: Callable[..., SerialBench], tmp_path: Path) -> None:
    bench = make({})
    keys = put_keys(tmp_path / "keys") / "lamp.keys"
    said = slotbench("deploy", "--port", bench.port, *GIVEN, "--keys", keys)
    assert f"twoslot {__version__} is frozen into the firmware that runs" in said
    assert "the boot journal knows these keys now" in said and "runs its boot hook" in said
    assert set(bench.board.files) == {
        "/boot.py", "/main.py", "/twoslot.json", "/twoslot.keys", "/twoslot.keys2", "/twoslot_boot.py"}
    hook = bench.board.files["/twoslot_boot.py"]
    bench.board.files["/twoslot_boot.py"] = hook.replace(__version__.encode(), b"0.0.9", 1)
    shown = slotbench("status", "--port", bench.port)
    assert f"{__version__}, frozen" in shown
    assert f"its version is 0.0.9, that of twoslot {__version__}: run `slotbench deploy`" in shown
    said = slotbench("deploy", "--port", bench.port, "--undo")
    assert f"twoslot {__version__} stays in the firmware" in said and set(bench.board.files) == {"/main.py"}


def test_files_stay_until_the_firmware_in_both_slots_has_twoslot(make: Callable[..., SerialBench]) -> None:
    bench = make(package.package_files())
    put_other(bench, 0)
    before = package_on(bench)
    said = slotbench("deploy", "--port", bench.port, *GIVEN)
    assert "it stays until the firmware in both slots has twoslot frozen" in said
    assert package_on(bench) == before

    put_other(bench, 0x010402)
    said = slotbench("deploy", "--port", bench.port)
    assert "twoslot's files were taken away: the firmware in both slots has it" in said
    assert package_on(bench) == set() and not {"/twoslot", "/twoslot.part"} & bench.board.folders
    assert f"{__version__}, frozen" in slotbench("status", "--port", bench.port)
