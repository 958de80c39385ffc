"""The README's commands run as printed, in its order; the calls and files it names exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from slotbench.vboard import firmware
from support.mqtt.brokers import Mosquitto, missing
from support.printed_commands import commands, type_all

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BROKER = "192.168.1.10"
"""Where the README's MQTT broker is."""
NOT_RUN_HERE = (
    "tools/test",  # it is what runs this
    ". .venv/bin/activate",  # the tests run inside it
    "slotbench --help",
)


def readme_commands() -> list[str]:
    """Those of README that this file runs."""
    here = README.replace(section("On a real board"), "").replace(section("Push while developing"), "")
    return [command for command in commands(here) if command not in NOT_RUN_HERE]


def section(title: str) -> str:
    """One whose commands tests/serial/test_transcript.py or tests/e2e/test_push_readme.py types."""
    start = README.index(f"## {title}\n")
    return README[start:README.index("\n## ", start)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a reader types: a folder with a firmware.bin in it."""
    (tmp_path / "firmware.bin").write_bytes(firmware.build("2.0.0", size=96 * 1024))
    return tmp_path


def test_the_commands_of_the_readme_run_as_printed(folder: Path, request: pytest.FixtureRequest) -> None:
    typed = readme_commands()
    if missing():
        type_all([command for command in typed if BROKER not in command], folder, {})
    # Without a broker this skips the rest by name, or fails where nothing may be skipped.
    broker: Mosquitto = request.getfixturevalue("mosquitto")
    type_all(typed, folder, {BROKER: broker.address})


@pytest.mark.parametrize("command", ["slotbench fly", "slotbench release show --loud x", "tools/no-such-tool"])
def test_the_gate_notices_what_does_not_run(command: str, folder: Path) -> None:
    with pytest.raises(AssertionError):
        type_all([command], folder, {})


def test_there_are_commands() -> None:
    assert len(readme_commands()) > 8


@pytest.mark.parametrize("call", sorted(set(re.findall(r"`twoslot\.(\w+)\(", README))))
def test_a_call_of_the_readme_exists(call: str) -> None:
    package = (ROOT / "device" / "twoslot" / "__init__.py").read_text(encoding="utf-8")
    assert re.search(rf"^(?:async )?def {call}\(", package, re.M)


PATHS = sorted(set(re.findall(r"`((?:device|host|tests|tools|boards)/[\w./]+)`", README)))


@pytest.mark.parametrize("path", PATHS)
def test_a_path_of_the_readme_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_a_link_of_the_readme_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()
