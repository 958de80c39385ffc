"""Changes of the device package that a board would not forgive are noticed on the desk."""

from __future__ import annotations

from functools import partial

import pytest

from slotbench.prove import memory
from slotbench.prove.testbed import TestBed, without_main
from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.micropython import MicroPythonVM

pytestmark = pytest.mark.usefixtures("micropython")


@pytest.fixture(scope="module")
def testbed(tmp_path_factory: pytest.TempPathFactory) -> TestBed:
    return memory.new_testbed(tmp_path_factory.mktemp("world"))


def changed(testbed: TestBed, edits: dict[str, tuple[str, str]]) -> VirtualBoard:
    """A board of the test bed whose modules were edited: (old, new)."""
    def edit(files: dict[str, bytes]) -> None:
        without_main(files)
        for module, (old, new) in edits.items():
            path = f"/twoslot/{module}.py"
            source = files[path].decode()
            assert source.count(old) == 1
            files[path] = source.replace(old, new).encode()

    return testbed.board(vm=partial(MicroPythonVM, heap=memory.LARGE), edit=edit)


def test_an_f_string_in_the_block_loop(testbed: TestBed) -> None:
    put = "    n = bytes_of_block(progress, block)\n    if _differs"
    plain, counted = memory.blocks(changed(testbed, {}))
    worse, _ = memory.blocks(changed(testbed, {"image/writer": (put, f"    f'block {{block}} of many'\n{put}")}))
    assert counted > 10
    assert worse > plain, "the gate compares this figure, to the byte"


def test_a_leak(testbed: TestBed) -> None:
    """Something that is kept after each look at the server."""
    kept = ("    _agent = _threshold = None\n", "    _agent = _threshold = None\n    _log.append((0, 0, bytearray(512)))\n")
    idle = [memory.idle(changed(testbed, edits)) for edits in ({}, {"__init__": kept})]
    assert idle[1] >= idle[0] + 512


def test_a_missing_method_ends_the_update(testbed: TestBed) -> None:
    board = testbed.board(vm=MicroPythonVM, edit=without_main)
    board.power_on()
    assert "AttributeError" in board.run_line("'a=b'.partition('=')")
    board.power_off()
