"""The board's littlefs in its flash: the VM's own C code reads and writes it, as the firmware's does."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from slotbench.formats.littlefs import read_superblock
from slotbench.formats.littlefs_tree import read_tree
from slotbench.mpy import compile_package, sources
from slotbench.mpy.native import NATIVE_MODULE
from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.flash.nor import SECTOR, NorFlash
from slotbench.vboard.micropython import MicroPythonVM
from slotbench.vboard.network.base import NoNetwork
from slotbench.vboard.package import source_of
from slotbench.vboard.signals import PowerCut
from slotbench.vboard.soc import Soc
from support.sampling import Sampler
from support.vboard.littlefs import files_in

pytestmark = pytest.mark.usefixtures("micropython")

PLACE, BLOCKS = 0x100000, 251
SIZE = BLOCKS * SECTOR
STATVFS_ON_A_CHIP = (4096, 4096, 251, 248, 248, 0, 0, 0, 0, 255)
"""Official 1.24.0 and 1.26.0 on the emulated chip, 2 MB visible, with boot.py and a file of 5 bytes."""


class VmBoard:
    """A chip of 2 MB with these files, which outlive its VMs."""

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.flash = NorFlash(0x200000)
        self.soc = Soc(self.flash, sdk_save_every=0)
        self.soc.chip_size = self.flash.size
        self.files = files if files is not None else {}

    @contextmanager
    def running(self) -> Iterator[MicroPythonVM]:
        vm = MicroPythonVM(self.soc, self.files, NoNetwork())
        try:
            yield vm
        finally:
            vm.close()

    def stored(self) -> dict[str, bytes]:
        return files_in(self.flash.peek(PLACE, SIZE))


def test_geometry_and_room_are_those_of_a_chip() -> None:
    board = VmBoard({"/boot.py": b"#" * 227})
    with board.running() as vm:
        vm.exec("import os\nwith open('/x', 'w') as f: f.write('hallo')")
        assert vm.eval("os.statvfs('/')") == STATVFS_ON_A_CHIP
        assert vm.eval("list(os.ilistdir('/'))") == [("boot.py", 0x8000, 0, 227), ("x", 0x8000, 0, 5)]
    found = read_superblock(board.flash.peek(PLACE, 2 * SECTOR))
    assert found is not None and (found.version, found.blocks) == (0x00020001, BLOCKS)


def test_what_the_program_writes_is_in_the_flash_and_wears_it() -> None:
    board = VmBoard({"/main.py": b"pass\n"})
    with board.running() as vm:
        before, worn = board.flash.operations, sum(board.flash.wear)
        vm.exec("with open('/big', 'w') as f: f.write(b'x' * 9000)")
        assert board.flash.erases and sum(board.flash.wear[PLACE // SECTOR :]) > worn
        assert board.flash.operations > before
        assert board.stored() == {"/main.py": b"pass\n", "/big": b"x" * 9000} == board.files
        vm.exec("import os\nos.rename('/big', '/small')\nos.mkdir('/d')\nos.rename('/small', '/d/moved')")
        assert board.files.keys() == {"/main.py", "/d/moved"} and vm.runtime.folders == {"/d"}
    assert board.flash.clock.us > 45_000, "an erase takes its time"


def test_times_of_files_are_the_boards() -> None:
    board = VmBoard()
    with board.running() as vm:
        vm.exec("import machine, os\nmachine.RTC().datetime((2026, 1, 2, 4, 3, 4, 5, 0))\nopen('/x', 'w').close()")
    written = struct.pack("<Q", 1_767_323_045 * 10**9)[4:]
    assert written in board.flash.peek(PLACE, 2 * SECTOR), "in nanoseconds since 1970, as a chip writes it"


def test_the_package_is_there_as_bytecode_and_stays_source_in_the_files() -> None:
    files = {f"/twoslot/{name}": content for name, content in sources().items()}
    board = VmBoard(dict(files))
    compiled = {f"/twoslot/{name}": mpy for name, mpy in compile_package(sources()).items() if name != NATIVE_MODULE}
    with board.running() as vm:
        assert board.stored() == {path.replace(".py", ".mpy"): mpy for path, mpy in compiled.items()}
        vm.exec("with open('/note', 'w') as f: f.write('1')")
        assert board.files == {**files, "/note": b"1"}
        other = b"M\x06\x00\x1f another version"
        vm.exec(f"with open('/twoslot/agent.mpy', 'w') as f: f.write({other!r})")
    assert board.files["/twoslot/agent.mpy"] == other and "/twoslot/agent.py" not in board.files
    with board.running():
        assert board.stored()["/twoslot/agent.mpy"] == other


def test_native_code_of_the_chip_is_refused_by_another_processor() -> None:
    """Then a board goes on with bytecode: patch/blocks.py expects this very error."""
    native = compile_package(sources())[NATIVE_MODULE]
    with VmBoard({"/native.mpy": native}).running() as vm:
        for _ in range(2):
            with pytest.raises(ValueError, match="incompatible .mpy"):
                vm.exec("import native")
    with pytest.raises(ValueError, match="incompatible .mpy file"):
        source_of("/twoslot/native.mpy", native)


def test_what_a_programmer_writes_between_two_starts_is_there() -> None:
    board, other = VmBoard({"/a": b"1"}), VmBoard({"/b": b"2", "/twoslot/x.mpy": b"M"})
    with board.running(), other.running():
        pass
    board.flash.poke(PLACE, other.flash.peek(PLACE, SIZE))
    with board.running() as vm:
        assert vm.eval("open('/b').read()") == "2"
    assert board.files == other.files


def test_what_a_host_changes_is_there_at_the_next_line() -> None:
    board = VmBoard({"/a": b"1"})
    with board.running() as vm:
        board.files["/d/b"] = b"2"
        del board.files["/a"]
        assert vm.eval("[__import__('os').listdir(), open('/d/b').read()]") == [["d"], "2"]


def test_a_filesystem_that_cannot_be_mounted_is_left_alone() -> None:
    board = VmBoard()
    noise = random.Random(1).randbytes(2 * SECTOR)
    board.flash.poke(PLACE, noise)
    with board.running() as vm, pytest.raises(OSError) as caught:
        vm.exec("open('/a', 'w')")
    assert caught.value.args == (19,) and board.flash.peek(PLACE, 2 * SECTOR) == noise


def test_no_program_sees_the_benchs_own_folder() -> None:
    board = VmBoard({"/a": b""})
    with board.running() as vm:
        vm.exec_streamed("import os\nprint(os.listdir('/'), [e[0] for e in os.ilistdir()])")
        assert vm.output == "['a'] ['a']\n"


CUTS = (CutMode.BEFORE, CutMode.TORN, CutMode.WEAK)
STEPS = """\
import os
for n in range(8):
    with open('/log%d' % (n & 1), 'w') as f:
        f.write(bytes([65 + n]) * (n * 700))
    if n == 3:
        os.mkdir('/d')
    if n > 3:
        os.rename('/log%d' % (n & 1), '/d/log%d' % (n & 1))
"""


def states() -> list[dict[str, bytes]]:
    """The files after each step."""
    files: dict[str, bytes] = {"/keep": b"k" * 5000}
    found = [dict(files)]
    for n in range(8):
        files[f"/log{n & 1}"] = b""
        found.append(dict(files))
        files[f"/log{n & 1}"] = bytes([65 + n]) * (n * 700)
        found.append(dict(files))
        if n > 3:
            files[f"/d/log{n & 1}"] = files.pop(f"/log{n & 1}")
            found.append(dict(files))
    return found


def test_a_cut_leaves_files_as_they_were_before_or_after(sampler: Sampler) -> None:
    known = states()
    whole = VmBoard({"/keep": b"k" * 5000})
    with whole.running() as vm:
        first = whole.flash.operations
        vm.exec(STEPS)
    assert whole.files == known[-1]
    cuts = [(at, mode) for at in range(first, whole.flash.operations) for mode in CUTS]
    for at, mode in sampler.draw("cuts in files on the MicroPython VM", cuts, 5, kind=lambda cut: cut[1]):
        print(f"cut {at}:{mode.value}:{at} of {first} to {whole.flash.operations}")
        cut_files(Cut(at, mode, at), known)


def cut_files(cut: Cut, known: list[dict[str, bytes]]) -> None:
    """Cut the power of a board that writes files; it starts again and goes on with what is there."""
    board = VmBoard({"/keep": b"k" * 5000})
    with board.running() as vm:
        board.flash.arm(cut)
        with pytest.raises(PowerCut):
            vm.exec(STEPS)
    left = dict(board.files)
    assert left in known
    board.soc.power_on()
    board.soc.chip_size = board.flash.size
    with board.running() as vm:
        vm.exec("with open('/after', 'w') as f: f.write('1')")
    board.soc.power_off()
    now = dict(board.files)
    assert now.pop("/after") == b"1"
    assert now == left or cut.mode is CutMode.WEAK and now in known
    tree = read_tree(board.flash.sectors(PLACE, SIZE))
    assert tree.files == board.files == board.stored(), "the bench reads it as the driver does"
