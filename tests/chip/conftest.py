"""What the tests of the emulated chip need."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from slotbench.errors import BenchError
from slotbench.vboard.chip import core_library
from support.loader.qemu import CROSS, PACKAGES, QEMU, missing_packages
from support.repeating import add_to


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item):  # type: ignore[no-untyped-def]
    outcome = yield
    add_to(outcome.get_result(), {})


def _without(reason: str) -> None:
    if os.environ.get("TWOSLOT_REQUIRE_TOOLS"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def core() -> Path:
    """The compiled core; without a C compiler the test is skipped, and where there must be one it fails."""
    try:
        return core_library()
    except BenchError as error:
        _without(str(error))
        raise


@pytest.fixture
def folder(core: Path, tmp_path: Path) -> Path:
    """A folder for programs; there is a core and a cross compiler."""
    missing = [package for package in missing_packages() if package != PACKAGES[QEMU]]
    if missing:
        _without(f"needs the Debian packages {' '.join(missing)} for {CROSS}gcc (.ci/run installs them)")
    return tmp_path


@pytest.fixture
def with_qemu(folder: Path) -> Path:
    """The same, and QEMU."""
    if missing := missing_packages():
        _without(f"needs the Debian packages {' '.join(missing)} (.ci/run installs them)")
    return folder
