"""Every listed incident has a test, and every test of an incident names a listed one."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from support.incidents import INCIDENTS, incidents, told_by

FILES = sorted(path for path in Path(__file__).parent.glob("test_incidents_*.py"))


@pytest.fixture(scope="module")
def tested() -> dict[str, set[str]]:
    """The incidents of each file."""
    return {path.name: told_by(_names(path)) for path in FILES}


def _names(path: Path) -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location(f"incidents_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return vars(module)


@pytest.mark.parametrize("incident", INCIDENTS)
def test_an_incident_has_a_test_of_its_name(tested: dict[str, set[str]], incident: str) -> None:
    where = [name for name, found in tested.items() if incident in found]
    assert where, f"{incident}: {INCIDENTS[incident]}"


def test_unknown_numbers_are_refused() -> None:
    """A test without a number covers no incident; a test with an unknown number is refused."""
    def arduino(case: int) -> None: ...

    assert told_by({"test_arduino_90_x": arduino, "test_arduino_9055_x": arduino, "test_arduino": arduino}) == set()
    assert told_by({"test_arduino_905_x": arduino, "helper_arduino_517_x": arduino}) == {"arduino_905"}
    assert told_by({"test_x": incidents("case", tasmota_619=1)(arduino)}) == {"tasmota_619"}
    with pytest.raises(ValueError, match="nobody_1"):
        incidents("case", nobody_1=1)
