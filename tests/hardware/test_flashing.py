"""A real board behind --port: set up, read back, reset. What is on it is backed up first and put back.

    tools/test tests/hardware --port /dev/ttyUSB0
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from slotbench import data_path
from slotbench.flashing.apply import SetupPlan, apply_plan, plan_twoslot, plan_whole_flash
from slotbench.flashing.esptool_link import connected_board
from slotbench.flashing.plan import Firmware
from slotbench.flashing.survey import choose_board, survey_board
from slotbench.formats import maptable
from slotbench.vboard.firmware import build

pytestmark = pytest.mark.hardware


@pytest.fixture(scope="module")
def port(request: pytest.FixtureRequest) -> str:
    return str(request.config.getoption("--port"))


@pytest.fixture(scope="module")
def backup(port: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[bytes]:
    """The whole flash; it is what the board has again in the end."""
    with connected_board(port) as link:
        data = link.read(0, link.flash_bytes)
    kept = tmp_path_factory.mktemp("backup") / "flash.bin"
    kept.write_bytes(data)
    print(f"backup of the board: {kept}")
    yield data
    write(port, plan_whole_flash(data))


def write(port: str, plan: SetupPlan) -> list[bool]:
    written: list[bool] = []
    with connected_board(port) as link:
        apply_plan(link, plan, on_step=lambda step: None, on_done=lambda step, was: written.append(was))
    return written


def test_what_is_read_twice_is_the_same(port: str, backup: bytes) -> None:
    with connected_board(port) as link:
        assert link.read(0, 0x20000) == backup[:0x20000]
        assert link.holds(0, backup[:0x10000])


def test_the_plan_is_written_and_found_again(port: str, backup: bytes) -> None:
    loader = Path(data_path("device", "slotboot", "slotboot.bin")).read_bytes()
    first = Firmware(data=build("1.0.0", size=96 * 1024), product="test", version="1.0.0", counter=1)
    with connected_board(port) as link:
        board = choose_board(link, None)
        found = survey_board(link, board)
    plan = plan_twoslot(board, first, loader, sdk=found.sdk, sdk_start=found.sdk_start)
    write(port, plan)
    assert write(port, plan)[:-1] == [False] * (len(plan.writes) - 1), "nothing is to be written again"
    with connected_board(port) as link:
        sector = link.read(0, 4096)
        assert maptable.unpack_table(sector[maptable.OFFSET :]) == board.device_map()
        kept = link.read(board.filesystem.start, 0x10000)
        assert kept == backup[board.filesystem.start : board.filesystem.start + 0x10000]
