"""Firmware with frozen modules: what `inspect` and `release build` say of it, what they refuse, and what the
release and the descriptor tell of the twoslot inside.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slotbench import __version__, boards
from slotbench.boards.images import fitting_slots, stock_image
from slotbench.errors import BenchError
from slotbench.flashing.plan import Firmware, factory_writes
from slotbench.formats import FormatError
from slotbench.formats.descriptor import SlotDescriptor
from slotbench.formats.release import Release
from slotbench.formats.twoslot_version import NONE, UNKNOWN, pack_version, twoslot_words
from slotbench.images import identify
from slotbench.images.frozen import version_module
from slotbench.release.build import build_release
from support.commands import RunCommand
from support.micropython_images import FROZEN, micropython_image

BOARD = boards.load("d1_mini")
TWOSLOT = (*FROZEN, "twoslot/__init__.py", "twoslot/boot/trial.py", version_module("1.4.2"))
HOOK = "twoslot_boot"


@pytest.mark.parametrize(("text", "number"), [
    ("0.1.0", 0x100), ("1.4.2", 0x010402), ("32767.255.255", 0x7FFFFFFF), ("0.0.2", 2)])
def test_a_version_is_a_number(text: str, number: int) -> None:
    assert pack_version(text) == number and twoslot_words(number) == f"{text}, frozen into it"


@pytest.mark.parametrize("text", ["", "1.2", "1.2.3-dev", "1.256.0", "32768.0.0", "0.0.0", "0.0.1", "1.2.3.4"])
def test_what_is_no_version_of_twoslot(text: str) -> None:
    with pytest.raises(FormatError, match="is no version of twoslot"):
        pack_version(text)


@pytest.mark.parametrize(("frozen", "number"), [
    (FROZEN, NONE), (TWOSLOT, 0x010402), (TWOSLOT[:-1], UNKNOWN),
    ((*TWOSLOT, version_module("1.4.3")), UNKNOWN), ((*FROZEN, version_module("1.4.2")), NONE),
    ((*FROZEN, "twoslot/__init__.py", version_module("1.256.0")), UNKNOWN),
    ((*FROZEN, "lib/twoslot/__init__.py"), NONE), ((*FROZEN, "twoslot_boot.py"), NONE)])
def test_which_twoslot_is_inside(frozen: tuple[str, ...], number: int) -> None:
    found = identify(micropython_image(frozen=frozen))
    assert (found.twoslot, found.has_twoslot) == (number, number != NONE)


def test_the_version_of_this_bench_can_be_frozen() -> None:
    frozen = (*FROZEN, "twoslot/__init__.py", version_module(__version__))
    assert identify(micropython_image(frozen=frozen)).twoslot == pack_version(__version__)


@pytest.mark.parametrize(("frozen", "texts", "hides"), [
    (FROZEN, (), False), (("boot.py", *FROZEN), (), True), (("boot.py", *FROZEN), (HOOK,), False),
    (("boot.py", *TWOSLOT), ("/" + HOOK, "import " + HOOK, f'("{HOOK}"'), True),
    (("lib/boot.py", *FROZEN), (), False)])
def test_a_frozen_boot_file_without_the_hook(frozen: tuple[str, ...], texts: tuple[str, ...], hides: bool) -> None:
    assert identify(micropython_image(frozen=frozen, texts=texts)).hides_hook is hides


def test_an_image_that_keeps_the_hook_from_running_fits_no_board() -> None:
    """Such a release would be on trial without deadline and without proof."""
    image = micropython_image(frozen=("boot.py", *TWOSLOT))
    assert fitting_slots(image, BOARD) == ""
    with pytest.raises(BenchError, match="frozen boot.py runs instead of the file and does not run the boot hook"):
        build_release(image, product="lamp", boards=[BOARD], counter=2, created=1)
    with pytest.raises(BenchError, match="frozen boot.py"):
        factory_writes(BOARD, Firmware(data=image, product="lamp", version="1", counter=1))
    assert stock_image(micropython_image(frozen=("boot.py", *TWOSLOT), texts=(HOOK,)), BOARD).has_twoslot


@pytest.mark.parametrize(("frozen", "number"), [(FROZEN, 0), (TWOSLOT, 0x010402), (TWOSLOT[:-1], 1)])
def test_release_and_descriptor_tell_of_it(frozen: tuple[str, ...], number: int) -> None:
    image = micropython_image(frozen=frozen)
    release = build_release(image, product="lamp", boards=[BOARD], counter=2, created=1)
    assert json.loads(release.to_payload())["twoslot"] == number
    assert Release.from_payload(release.to_payload()) == release

    writes = factory_writes(BOARD, Firmware(
        data=image, product="lamp", version="1", counter=1, twoslot=identify(image).twoslot))
    page = next(data for offset, data, _ in writes if offset == BOARD.slots[0].descriptor.start)
    assert SlotDescriptor.unpack(page).twoslot == number


def test_a_release_from_before_says_nothing_of_it() -> None:
    payload = build_release(
        micropython_image(), product="lamp", boards=[BOARD], counter=2, created=1).to_payload()
    before = Release.from_payload(payload.replace(b',"twoslot":0', b""))
    assert before.twoslot is None and b"twoslot" not in before.to_payload()
    with pytest.raises(FormatError, match="'0.1.0' is not an integer"):
        Release.from_payload(payload.replace(b'"twoslot":0', b'"twoslot":"0.1.0"'))


def test_build_says_what_inspect_says_and_warns_of_a_frozen_main(slotbench: RunCommand, tmp_path: Path) -> None:
    firmware, out = tmp_path / "firmware.bin", tmp_path / "lamp-2.release"
    firmware.write_bytes(micropython_image(frozen=(*TWOSLOT, "main.py")))
    inspected = slotbench("inspect", firmware).out.splitlines()[1:]
    ran = slotbench(
        "release", "build", firmware, "--product", "lamp", "--board", "d1_mini", "--counter", 2, "--no-preflight",
        "-o", out)
    assert ran.code == 0 and set(inspected) < set(ran.out.splitlines())
    words = [" ".join(line.split()) for line in inspected]
    assert "twoslot 1.4.2, frozen into it" in words
    assert "main.py frozen: runs instead of the file on the board" in words
    assert "frozen 9 modules: _boot.py, " in " ".join(words) and "twoslot/ (3), main.py" in " ".join(words)
    assert "warning: main.py is frozen, and runs instead of main.py on the boards\n" in ran.out
    shown = slotbench("release", "show", out).out
    assert any(line.split() == ["twoslot", "1.4.2,", "frozen", "into", "it"] for line in shown.splitlines())


def test_a_virtual_board_of_such_a_firmware_has_no_files_of_twoslot(slotbench: RunCommand, tmp_path: Path) -> None:
    firmware = tmp_path / "firmware.bin"
    for name, frozen in (("one", TWOSLOT), ("two", FROZEN)):
        firmware.write_bytes(micropython_image(frozen=frozen))
        assert slotbench("board", "new", tmp_path / name, "--image", firmware).code == 0
    assert not (tmp_path / "one" / "files" / "twoslot").exists()
    assert (tmp_path / "one" / "files" / "twoslot_boot.py").exists()
    assert (tmp_path / "two" / "files" / "twoslot" / "agent.py").exists()


def test_build_refuses_a_frozen_boot_file_without_the_hook(slotbench: RunCommand, tmp_path: Path) -> None:
    firmware = tmp_path / "firmware.bin"
    firmware.write_bytes(micropython_image(frozen=("boot.py", *TWOSLOT)))
    ran = slotbench(
        "release", "build", firmware, "--product", "lamp", "--board", "d1_mini", "--counter", 2, "--no-preflight",
        "-o", tmp_path / "lamp-2.release")
    assert ran.code == 1 and "frozen boot.py" in ran.err and '__import__("twoslot_boot")' in ran.err
    assert not (tmp_path / "lamp-2.release").exists()
    said = slotbench("inspect", firmware)
    assert said.code == 0 and "does NOT run the boot hook" in said.out
