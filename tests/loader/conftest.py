"""What the tests of the loader's machine code need, and how a failure is repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.chip.requirements import require_core, skip_or_fail
from support.loader.qemu import Qemu, missing_packages
from support.repeating import add_to


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item):  # type: ignore[no-untyped-def]
    outcome = yield
    add_to(outcome.get_result(), {})


@pytest.fixture(scope="session")
def cross_tools() -> None:
    """The cross compiler and QEMU; without them the test is skipped, and where they must be there it fails."""
    if missing := missing_packages():
        reason = f"needs the Debian packages {' '.join(missing)} (.ci/run installs them)"
        skip_or_fail(reason)


@pytest.fixture(scope="session")
def core() -> Path:
    """The compiled core of the emulated chip."""
    return require_core()


@pytest.fixture(scope="session")
def qemu(cross_tools: None, tmp_path_factory: pytest.TempPathFactory) -> Qemu:
    return Qemu(tmp_path_factory.mktemp("qemu"))


@pytest.fixture
def scratch(cross_tools: None, tmp_path: Path) -> Path:
    """A folder for what the cross compiler makes."""
    return tmp_path
