"""Changes of the device package that a board would not forgive are noticed on the desk."""

from __future__ import annotations

from functools import partial

import pytest

from slotbench.prove import memory
from slotbench.prove.scene import Scene
from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.micropython import MicroPythonVM

pytestmark = pytest.mark.usefixtures("micropython")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("scene"))


def changed(scene: Scene, **edits: tuple[str, str]) -> VirtualBoard:
    """A board of the scene whose modules were edited: (old, new)."""
    board = scene.board(partial(MicroPythonVM, heap=memory.LARGE), main=None)
    for module, (old, new) in edits.items():
        path = f"/twoslot/{module}.py"
        source = board.files[path].decode()
        assert source.count(old) == 1
        board.files[path] = source.replace(old, new).encode()
    return board


def test_an_f_string_in_the_block_loop(scene: Scene) -> None:
    put = "    n = size(w, block)\n    if _differs"
    plain, counted = memory.blocks(changed(scene))
    worse, _ = memory.blocks(changed(scene, writer=(put, f"    f'block {{block}} of many'\n{put}")))
    assert counted > 10
    assert worse > plain, "the gate compares this figure, to the byte"


def test_a_leak(scene: Scene) -> None:
    """Something that is kept after each look at the server."""
    kept = ("    _agent = _threshold = None\n", "    _agent = _threshold = None\n    _log.append((0, 0, bytearray(512)))\n")
    idle = [memory.idle(changed(scene, **edits)) for edits in ({}, {"__init__": kept})]
    assert idle[1] >= idle[0] + 512


def test_a_missing_method_ends_the_update(scene: Scene) -> None:
    board = scene.board(MicroPythonVM, main=None)
    board.power_on()
    assert "AttributeError" in board.repl("'a=b'.partition('=')")
    board.power_off()
