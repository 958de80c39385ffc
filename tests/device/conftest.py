"""Fixtures for the device package: it runs unmodified in the CPython VM of the virtual board."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from slotbench.vboard.vm import CPythonVM
from support.device.board import DeviceBoard
from support.device.site import Site


@pytest.fixture
def make_board() -> Iterator[Callable[..., DeviceBoard]]:
    """Boards that are put away at the end of the test."""
    made: list[DeviceBoard] = []

    def make(*args: Any, **settings: Any) -> DeviceBoard:
        made.append(DeviceBoard(*args, **settings))
        return made[-1]

    yield make
    for board in made:
        board.close()


@pytest.fixture
def board(make_board: Callable[..., DeviceBoard]) -> DeviceBoard:
    """A new board without a network."""
    return make_board()


@pytest.fixture
def vm(board: DeviceBoard) -> CPythonVM:
    """The board's first boot: slot A, an ordinary start."""
    return board.start()


@pytest.fixture(scope="module")
def shared_vm() -> Iterator[CPythonVM]:
    """A VM for tests that neither change the flash nor let time matter: pure functions of the package."""
    board = DeviceBoard()
    yield board.start()
    board.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A published release 6; for tests that publish nothing themselves."""
    made = Site(tmp_path_factory.mktemp("site"))
    made.publish()
    return made
