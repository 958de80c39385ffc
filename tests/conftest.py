"""Rules for every test: hardware only on request, nothing left to chance or to the wall clock."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slotbench.errors import BenchError
from slotbench.mpy import CACHE
from slotbench.release.keys import SigningKey
from slotbench.vboard.micropython.installation import find_installation
from slotbench.vboard.vm import DeviceVM
from slotbench.vboard.vms import VMS
from support.mqtt.brokers import Mosquitto, missing

pytest_plugins = ["support.sampling", "support.cpu", "support.workers", "pytester"]

# Every command is a process of its own, and would compile the same package again.
os.environ.setdefault(CACHE, str(Path(__file__).parents[1] / ".cache"))
# Boards that tests make are not remembered where the developer's own are.
_STATE = tempfile.TemporaryDirectory(prefix="slotbench-state-")
os.environ["XDG_STATE_HOME"] = _STATE.name

_REQUIRED = "TWOSLOT_REQUIRE_TOOLS"
"""Set where a missing tool, or the MicroPython VM, is a failure and not a reason to skip."""


_generate = SigningKey.generate
_generated: list[SigningKey] = []


@pytest.fixture(autouse=True)
def generated_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a test each new key is another one; the next test gets the same ones. Each takes up to a second."""
    numbers = itertools.count()

    def generate() -> SigningKey:
        number = next(numbers)
        if number == len(_generated):
            _generated.append(_generate())
        return _generated[number]

    monkeypatch.setattr(SigningKey, "generate", generate)


@pytest.fixture(scope="session")
def micropython() -> None:
    """The real VM is here, or the test is skipped."""
    try:
        find_installation()
    except BenchError as error:
        if os.environ.get(_REQUIRED):
            pytest.fail(f"{_REQUIRED} is set, and {error}")
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def mqtt() -> None:
    """mosquitto and umqtt.simple are here, or the test is skipped."""
    if reason := missing():
        if os.environ.get(_REQUIRED):
            pytest.fail(f"{_REQUIRED} is set, and there is no {reason}")
        pytest.skip(f"needs {reason}")


@pytest.fixture
def mosquitto(mqtt: None, tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that runs."""
    broker = Mosquitto(tmp_path)
    yield broker
    broker.stop()


@pytest.fixture(params=list(VMS))
def vm(request: pytest.FixtureRequest) -> Callable[..., DeviceVM]:
    """What runs the board's Python: the test is run on each of them."""
    if request.param == "micropython":
        request.getfixturevalue("micropython")
    return VMS[request.param]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--port", help="serial port of a board for the tests marked hardware; it is overwritten")
    parser.addoption("--replay", metavar="ID", help="only this run of the power-cut proof, as a failure prints it")


_LONG = (
    "guides/test_commands.py", "serial/test_deploy.py", "powercut/test_proof.py", "chip/test_core_build.py", "chip/test_update.py",
    "chip/test_push.py", "e2e/test_demo", "e2e/test_board_cli.py", "gates/test_bootstrap.py")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        # First, so that no core waits for one of them at the end.
        items.sort(key=lambda item: not any(name in item.nodeid for name in _LONG))
    if config.getoption("--replay"):
        others = [item for item in items if item.name != "test_replay"]
        items[:] = [item for item in items if item.name == "test_replay"]
        config.hook.pytest_deselected(items=others)
    if config.getoption("--port"):
        return
    for item in items:
        if item.get_closest_marker("hardware"):
            item.add_marker(pytest.mark.skip(reason="needs a board: --port"))
