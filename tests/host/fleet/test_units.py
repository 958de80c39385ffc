"""The units of systemd in the guide of servers: heads are signed again by a timer, whose command is run here."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from slotbench.release import documents
from slotbench.release.publish import publish_release
from slotbench.release.rollout import Channel
from slotbench.release.store import Store
from support.commands import MakeRelease, RunCommand
from support.guides.page import Block, blocks
from support.guides.reader import SITES
from support.samples import NOW, KeyRing

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
