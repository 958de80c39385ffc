"""twoslot from a `.frozen` place on the MicroPython VM: hook, settings and keys are files."""

from __future__ import annotations

from pathlib import Path

import pytest

from slotbench import __version__
from slotbench.images.frozen import version_module
from slotbench.vboard.micropython import MicroPythonVM
from support.testbed import BUSY_MAIN, HOURS_MS, make_testbed, runs_confirmed, update_to

pytestmark = pytest.mark.usefixtures("micropython")
TWOSLOT = ("twoslot/__init__.py", version_module(__version__))


def without_package(files: dict[str, bytes]) -> None:
    for path in [path for path in files if path.startswith("/twoslot/")]:
        del files[path]


def test_it_updates_is_shadowed_by_files_and_refuses_a_release_that_lacks_it(tmp_path: Path) -> None:
    testbed = make_testbed(tmp_path, vm=MicroPythonVM, main=BUSY_MAIN, frozen=TWOSLOT)
    testbed.publish(2, frozen=TWOSLOT)
    board = testbed.board(edit=without_package)
    update_to(board, 2)
    assert board.evaluate("twoslot.__path__").endswith("/.frozen/twoslot")
    assert board.evaluate("twoslot.status()")["twoslot"] == f"{__version__} frozen"

    testbed.publish(3, allow_older=True)
    board.run(HOURS_MS)
    assert runs_confirmed(board, 2) and board.evaluate("twoslot._log[-1][1:]") == (49, 0)

    board.power_off()
    with_files = testbed.board(flash=board.flash)
    update_to(with_files, 3)
    assert with_files.evaluate("twoslot.status()")["twoslot"] == f"{__version__} files"
