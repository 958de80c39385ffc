"""What the tests of the emulated chip need."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.chip.requirements import require_core, skip_or_fail
from support.chip.started import started_boards
from support.loader.qemu import CROSS, PACKAGES, QEMU, missing_packages
from support.repeating import add_to

__all__ = ["started_boards"]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item):  # type: ignore[no-untyped-def]
    outcome = yield
    add_to(outcome.get_result(), {})


@pytest.fixture(scope="session")
def core() -> Path:
    """The compiled core; without a C compiler the test is skipped, and where there must be one it fails."""
    return require_core()


@pytest.fixture
def folder(core: Path, tmp_path: Path) -> Path:
    """A folder for programs; there is a core and a cross compiler."""
    missing = [package for package in missing_packages() if package != PACKAGES[QEMU]]
    if missing:
        skip_or_fail(f"needs the Debian packages {' '.join(missing)} for {CROSS}gcc (.ci/run installs them)")
    return tmp_path


@pytest.fixture
def with_qemu(folder: Path) -> Path:
    """The same, and QEMU."""
    if missing := missing_packages():
        skip_or_fail(f"needs the Debian packages {' '.join(missing)} (.ci/run installs them)")
    return folder
