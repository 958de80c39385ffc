"""The README's commands run as printed, in its order; the calls and files it names exist."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slotbench import cli
from slotbench.vboard import firmware

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BROKER = "192.168.1.10"
"""Where the README's MQTT broker is."""
NOT_RUN_HERE = (
    "tools/test",  # it is what runs this
    ". .venv/bin/activate",  # the tests run inside it
    "slotbench --help",
)


def commands() -> list[str]:
    """Indented lines of the README that begin with a command of ours, without their comments."""
    here = README.replace(section("On a real board"), "").replace(section("Push while developing"), "")
    lines = re.findall(r"^    ((?:tools/|slotbench |\. )[^\n]*)$", here, re.M)
    return [line.split("  #")[0].strip() for line in lines if not line.startswith("tools/  ")]


def section(title: str) -> str:
    """One whose commands tests/serial/test_transcript.py or tests/e2e/test_push_readme.py types."""
    start = README.index(f"## {title}\n")
    return README[start:README.index("\n## ", start)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a reader types: a folder with a firmware.bin in it."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "firmware.bin").write_bytes(firmware.build("2.0.0", size=96 * 1024))
    return folder


@pytest.fixture
def there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(folder)
    yield folder


@pytest.mark.parametrize("command", [c for c in commands() if c not in NOT_RUN_HERE])
def test_a_command_of_the_readme_runs_as_printed(
    command: str, there: Path, request: pytest.FixtureRequest
) -> None:
    if BROKER in command:
        command = command.replace(BROKER, request.getfixturevalue("mosquitto").address)
    run_as_printed(command)


@pytest.mark.parametrize("command", ["slotbench fly", "slotbench release show --loud x", "tools/no-such-tool"])
def test_the_gate_notices_what_does_not_run(command: str, there: Path) -> None:
    with pytest.raises(AssertionError):
        run_as_printed(command)


def run_as_printed(command: str) -> None:
    tool, *arguments = shlex.split(command)
    if tool == "tools/demo":
        assert (ROOT / tool).is_file()
        # The demo in full length has its own test; here its arguments must be right.
        fast = [] if "--fast" in arguments else ["--fast"]
        assert cli.run(["demo", *arguments, *fast]) == 0
    elif arguments[:1] == ["serve"]:
        serve(arguments)
    elif tool == "slotbench":
        assert cli.run(arguments) == 0
    else:
        assert (ROOT / tool).is_file(), f"{tool} is not there"


def serve(arguments: list[str]) -> None:
    """Start it on a free port instead of its own, see it answer, stop it as a person does."""
    command = [sys.executable, "-m", "slotbench", *arguments, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert "http://127.0.0.1:" in run.stdout.readline()
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=20)


def test_there_are_commands() -> None:
    assert len(commands()) > 8


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
