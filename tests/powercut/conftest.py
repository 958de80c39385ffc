"""Scenarios are recorded once for all tests here."""

from __future__ import annotations

import pytest

from slotbench.prove.powercut.runner import PowerCutProof
from support.testbed import put_keys


@pytest.fixture(scope="session")
def proof(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> PowerCutProof:
    folder = tmp_path_factory.mktemp("powercut")
    put_keys(folder / "keys")
    return PowerCutProof(folder, by_content=not pytestconfig.getoption("--whole"))
