"""The units of systemd in the guides: their commands are run here, and end as systemd ends them."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import slotbench as slotbench_package
from slotbench.fleet.database import FleetDatabase
from slotbench.release import documents
from slotbench.release.identities import Identities
from slotbench.release.publish import publish_release
from slotbench.release.rollout import Channel
from slotbench.release.store import Store
from support.commands import MakeRelease, RunCommand
from support.guides.page import Block, blocks
from support.guides.reader import SITES
from support.samples import NOW, PRODUCT, KeyRing

PRODUCTION = [block for block in blocks("host/docs/fleet.md") if block.language == "ini"]
UNITS = [block for block in blocks("host/docs/server.md") if block.language == "ini"]


def commands(block: Block) -> list[str]:
    """The ExecStart lines of a unit."""
    return re.findall(r"^ExecStart=(.*)$", re.sub(r"\\\n\s*", "", block.text), re.M)


def test_systemd_takes_the_service_and_its_timer(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    service, timer = UNITS
    assert "OnCalendar=weekly" in timer.text, "a head lasts for 30 days"
    here = service.text.replace(f"{SITES}/twoslot/.venv/bin/slotbench", str(shutil.which("true")))
    (tmp_path / "twoslot-refresh.service").write_text(here.replace("User=twoslot", "User=root"))
    (tmp_path / "twoslot-refresh.timer").write_text(timer.text)
    ran = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / "twoslot-refresh.timer",
         tmp_path / "twoslot-refresh.service"], capture_output=True, text=True, timeout=60, check=False)
    said = [line for line in ran.stderr.splitlines() if "twoslot-refresh" in line]
    assert ran.returncode == 0 and not said, ran.stderr


def test_the_command_of_the_timer_signs_the_heads_again(
    slotbench: RunCommand, site: Store, ring: KeyRing, make_release: MakeRelease, firmware: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish_release(site, make_release(7), ring.document, [firmware], ring.load("online"), NOW)
    before = Channel(site, ring.document, ring.load("online")).pause(NOW)
    [command] = [line for block in UNITS for line in commands(block)]
    program, *arguments = shlex.split(command)
    assert program == f"{SITES}/twoslot/.venv/bin/slotbench"
    places = {
        f"{SITES}/twoslot/site": site.root, f"{SITES}/twoslot/keys/online.pem": ring.online,
        f"{SITES}/twoslot/keys/lamp.keys": ring.document}
    monkeypatch.setattr("time.time", lambda: float(NOW + 20 * 86400))
    ran = slotbench(*(places.get(word, word) for word in arguments))
    assert ran.code == 0, ran.err
    head = documents.read_head(site.path("heads/sensor/stable.head"))[1]
    assert (head.release, head.paused) == (before.release, True) and head.seq > before.seq
    assert (before.expires, head.expires) == (NOW + 30 * 86400, NOW + 50 * 86400)


@pytest.mark.parametrize(("block", "says"), [(PRODUCTION[0], "Serving "), (PRODUCTION[1], "Signing with ")], ids=[
    "server", "rollouts"])
def test_the_commands_of_production_run_until_systemd_ends_them(
    block: Block, says: str, site: Store, ring: KeyRing, make_release: MakeRelease, firmware: bytes,
    tmp_path: Path,
) -> None:
    publish_release(site, make_release(7), ring.document, [firmware], ring.load("online"), NOW)
    (tmp_path / "slotbench.toml").write_text(f'product = "{PRODUCT}"\nboard = "generic_4m"\nsite = "{site.root.name}"\n')
    Identities({"lamp-7": bytes(32)}).save(tmp_path / "boards.json")
    [command] = commands(block)
    words = [re.sub(r"^82\d\d$", "0", word) for word in shlex.split(command)[1:]]
    unit = configparser.ConfigParser()
    unit.read_string(block.text)
    environment = {**os.environ, "PYTHONPATH": str(Path(slotbench_package.__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "slotbench", *words], cwd=tmp_path, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        assert line.startswith(says), line + process.stderr.read()
        process.send_signal(signal.Signals[unit["Service"]["KillSignal"]])
        said = process.communicate()[1]
    assert process.returncode == int(unit["Service"]["SuccessExitStatus"]), said
    database = FleetDatabase.open(f"sqlite:///{tmp_path}/fleet.sqlite")
    assert database.size_bytes() > 0
    database.close()
