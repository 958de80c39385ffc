"""Where an update finds its modules, on the real MicroPython VM: mounted while it is under way, with room for it."""

from __future__ import annotations

import pytest

from slotbench import data_path
from slotbench.mpy import sources
from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.micropython.vm import MicroPythonVM
from support.testbed import MINUTES_MS, make_testbed

pytestmark = pytest.mark.usefixtures("micropython")

MAIN = "import time, twoslot\ntime.sleep(60)\nwhile True:\n    twoslot.tick()\n    time.sleep_ms(100)\n"
BEGIN = "import gc, os, sys, twoslot; twoslot.load_agent().begin(); twoslot._agent.step(); print(twoslot.__path__, '2s' in os.listdir('/'))"
END = "twoslot.check()"
SOURCE = "/twoslot/http/lines.py"


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> VirtualBoard:
    made = make_testbed(tmp_path_factory.mktemp("bed"), vm=MicroPythonVM, main=MAIN).board()
    made.power_on()
    made.run(MINUTES_MS // 2)
    return made


def said(board: VirtualBoard, line: str) -> str:
    lines: list[str] = []
    before, board.on_print = board.on_print, lines.append
    board.run_line(line)
    board.on_print = before
    return "".join(lines).strip()


def test_it_is_mounted_while_an_attempt_is_under_way(board: VirtualBoard) -> None:
    assert said(board, BEGIN) == "/2s True"
    assert said(board, "import twoslot.http.lines; print(sys.modules['twoslot.http'].__path__)") == "/2s/http"
    # A folder of what stays loaded, a module that is not there, and what a program sees of it.
    assert said(board, "import twoslot.recovery.counting; print(sys.modules['twoslot.recovery'].__path__)") == "/2s/recovery"
    assert said(board, "print(os.listdir('/2s'), os.stat('/2s')[0])") == "[] 16384"

    board.run_line(END)

    assert said(board, "print(twoslot.__path__, '2s' in os.listdir('/'))") == "/twoslot False"
    assert said(board, "print(sys.modules['twoslot.recovery'].__path__)") == "/twoslot/recovery"
    assert said(board, "import twoslot.recovery.safe_mode; print('found')") == "found"
    board.run_line("twoslot.drop('recovery')")


def test_a_large_application_has_no_room_for_it(board: VirtualBoard) -> None:
    board.run_line("own = bytearray(10240)")
    assert said(board, BEGIN) == "/twoslot False"
    board.run_line("own = None")
    board.run_line(END)
    assert said(board, BEGIN) == "/2s True"
    board.run_line(END)


def test_a_source_in_the_place_of_a_module_is_taken_after_one_attempt(board: VirtualBoard) -> None:
    """Last: from then on nothing is mounted until the next start."""
    board.run_line(f"os.remove('{SOURCE}'.replace('.py', '.mpy')); f = open('{SOURCE}', 'w'); f.write('mine = 7'); f.close()")

    assert said(board, BEGIN) == "/2s True"
    assert "ImportError" in said(board, "import twoslot.http.lines")
    assert said(board, "import twoslot.http.lines as lines; print(lines.mine)") == "7"
    assert said(board, BEGIN) == "/twoslot/ False"
    assert said(board, "print(sys.modules['twoslot.http'].__path__)") == "/twoslot/http"


def test_it_knows_all_folders() -> None:
    folders = {path.partition("/")[0] for path in sources() if "/" in path}
    text = data_path("device", "twoslot/modules.py").read_text("utf-8")
    assert f'path[1:] in "{" ".join(sorted(folders))}"' in text
    # It is looked for in that text: no other module's name may be in it.
    assert not [path for path in sources() if path.removesuffix(".py") in " ".join(folders)]
