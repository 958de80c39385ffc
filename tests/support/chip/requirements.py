"""What tests of the emulated chip need on this computer: without it they are skipped, or fail where it must be there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from slotbench.errors import BenchError
from slotbench.vboard.chip import core_library


def skip_or_fail(reason: str) -> None:
    """Skip the test; fail it when TWOSLOT_REQUIRE_TOOLS is set."""
    if os.environ.get("TWOSLOT_REQUIRE_TOOLS"):
        pytest.fail(reason)
    pytest.skip(reason)


def require_core() -> Path:
    """The compiled core; `skip_or_fail` says what to install when there is no C compiler."""
    try:
        return core_library()
    except BenchError as error:
        skip_or_fail(str(error))
        raise
