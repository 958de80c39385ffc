"""`slotbench ship --app`: a program alone, beside a firmware or together with one, and typed again after anything."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from slotbench.cli import preflight as preflight_command
from slotbench.formats.head import NO_RELEASE, Head
from slotbench.formats.release import Preflight
from slotbench.project import PROJECT_FILE, require_project
from slotbench.prove.chip import program_preflight
from slotbench.prove.chip.preflight import PreflightReport
from slotbench.release import documents
from slotbench.release.applications import trusted_applications
from slotbench.release.heads import last_head
from slotbench.release.publish import unusable_releases
from slotbench.release.store import Store
from support.commands import CommandResult, RunCommand
from support.killed import changes_of, killed_at
from support.samples import NOW, PRODUCT, KeyRing, files_below, make_firmware
from support.sampling import Sampler

Ship: TypeAlias = Callable[..., CommandResult]
SMALL = make_firmware(48 * 1024)
OTHER = make_firmware(48 * 1024, seed=2)


@pytest.fixture
def project(tmp_path: Path, ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with a program in `app`, and the current one."""
    (tmp_path / PROJECT_FILE).write_text(f'product = "{PRODUCT}"\nboard = "generic_4m"\n')
    (tmp_path / "a.bin").write_bytes(SMALL)
    (tmp_path / "b.bin").write_bytes(OTHER)
    program(tmp_path, "lamp.shine(1)\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def program(folder: Path, body: str) -> None:
    (folder / "app").mkdir(exist_ok=True)
    (folder / "app" / "main.py").write_text(f"import lamp\n{body}")
    (folder / "app" / "lamp.py").write_text("def shine(n):\n    return n\n")


@pytest.fixture
def ship(project: Path, slotbench: RunCommand) -> Ship:
    return lambda *arguments: slotbench("ship", *arguments, "--yes")


def offered() -> Head | None:
    """The head of stable. All that it offers is there."""
    project = require_project()
    keys, site = documents.read_keys(project.keys)[1], Store(project.site)
    head = last_head(site, keys, "stable")
    assert head is None or unusable_releases(site, keys, [head]) == []
    return head


def counters() -> tuple[int, int]:
    head = offered()
    assert head is not None
    return head.counter, head.app_counter


def at(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    monkeypatch.setattr("time.time", lambda: float(NOW + seconds))


def test_a_program_alone_is_offered_and_the_plan_is_said(ship: Ship, project: Path) -> None:
    ran = ship("--app", "app")
    assert (ran.code, ran.err) == (0, "")
    head = offered()
    assert head is not None and (head.release, head.app_counter, head.percent) == (NO_RELEASE, 2, 100)
    size = sum(len(path.read_bytes()) for path in (project / "site" / "files").iterdir())
    assert ran.out.splitlines() == [
        f"app: 2 files, {size} bytes, 2 of the board's 251 blocks, twice",
        "plan: sensor app-2, application counter 2, for generic_4m",
        "  build      releases/sensor-app-2.application",
        "  preflight  left out: no firmware is known; give --for FIRMWARE",
        "  sign       with keys/offline.pem",
        "  publish    in site with keys/online.pem: stable offers it to 100 % of the boards; offered until now: nothing",
        f"site: sensor/stable is application 2 for 100 % of the boards, head seq {head.seq}",
        "boards install it at their next check; have one do it now: slotbench update"]


def test_one_changed_line_is_one_new_file_and_a_new_counter(
    ship: Ship, project: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ship("--app", "app").code == 0
    before = files_below(project / "site" / "files")
    assert ship("--app", "app").out.endswith("nothing is left to do\nboards install it at their next check; have one do "
                                             "it now: slotbench update; serve it: slotbench serve\n")
    at(monkeypatch, 1)
    program(project, "lamp.shine(2)\n")
    assert ship("--app", "app").code == 0
    assert counters() == (0, 3) and len(files_below(project / "site" / "files") - before) == 1
    at(monkeypatch, 2)
    program(project, "lamp.shine(1)\n")
    assert ship("--app", "app").code == 0 and counters() == (0, 4), "an older program is a new application"


def test_a_program_beside_the_firmware_of_the_channel(ship: Ship, project: Path) -> None:
    assert ship("a.bin").code == 0
    assert "the application needs a firmware from counter 9, and that of the channel" in ship("--app", "app", "--needs", "9").err
    ran = ship("--app", "app")
    assert ran.code == 0 and counters() == (2, 2)
    assert "left out: a bench image, which no chip runs" in ran.out
    assert "offered until now: counter 2 for 100 % of the boards" in ran.out
    assert ship("b.bin").code == 0 and counters() == (3, 2)


def test_both_in_one_go_switch_together(ship: Ship, project: Path) -> None:
    ran = ship("a.bin", "--app", "app", "--version", "1.4", "--percent", "10")
    head = offered()
    assert ran.code == 0 and head is not None and (head.counter, head.app_counter, head.percent) == (2, 2, 10)
    made = trusted_applications(Store(project / "site"), documents.read_keys(require_project().keys)[1])[head.app]
    assert (made.version, made.firmware_low) == ("1.4", 2)
    assert ship("a.bin", "--app", "app", "--version", "1.4", "--percent", "50").code == 0
    head = offered()
    assert head is not None and (head.counter, head.app_counter, head.percent) == (2, 2, 50)


def test_the_project_file_names_the_program(ship: Ship, project: Path, slotbench: RunCommand) -> None:
    with (project / PROJECT_FILE).open("a") as file:
        file.write('app = "app"\n')
    (project / "below").mkdir()
    assert ship("a.bin").code == 0 and counters() == (2, 2)
    assert ship("b.bin", "--no-app").code == 0 and counters() == (3, 2)
    ran = slotbench("ship", "--no-app", "--yes")
    assert ran.code == 2 and "give a firmware .bin, or --app DIR with your program, or both" in ran.err


def test_more_boards_get_it_and_fewer_are_refused(ship: Ship, project: Path) -> None:
    assert ship("--app", "app", "--percent", "10").code == 0
    ran = ship("--app", "app", "--percent", "50", "--cohort", "lab")
    head = offered()
    assert "10 % of the boards become 50 %; the cohorts lab get it too" in ran.out
    assert head is not None and (head.app_counter, head.percent, head.cohorts) == (2, 50, ("lab",))
    ran = ship("--app", "app", "--percent", "20")
    assert ran.code == 2 and "the channel stable is at 50 %, 20 % would exclude boards" in ran.err


def test_a_password_in_it_is_warned_of_before_anything_is_written(
    project: Path, slotbench: RunCommand,
) -> None:
    program(project, 'PSK = "tulip-42"\n')
    (project / "app" / "conf.json").write_text('{"token": "tulip-42"}')
    ran = slotbench("ship", "--app", "app", "--dry-run")
    assert ran.code == 0 and ran.err.splitlines() == [
        "warning: app/conf.json:1 looks like a password or token (token), and an application travels in clear; write it "
        "into a file outside of the program, such as /data/secrets.json, over the cable, and read it there. If it is "
        "none, add --not-secret conf.json",
        "warning: app/main.py:2 looks like a Wi-Fi password (PSK), and an application travels in clear; slotbench deploy "
        "--wifi NAME puts it on the board, outside of the program. If it is none, write `# not secret` behind it"]
    assert not (project / "site").exists() and not (project / "releases").exists()
    program(project, 'PSK = "tulip-42"  # not secret\n')
    assert slotbench("ship", "--app", "app", "--dry-run", "--not-secret", "conf.json").err == ""


def test_a_syntax_error_costs_nothing_and_has_its_line(ship: Ship, project: Path) -> None:
    program(project, "if lamp\n")
    ran = ship("--app", "app")
    assert ran.code == 1 and "SyntaxError" in ran.err and "app/main.py:2; correct this line" in ran.err
    assert not (project / "site").exists()


def test_json_has_both(project: Path, slotbench: RunCommand) -> None:
    ran = slotbench("ship", "a.bin", "--app", "app", "--yes", "--json")
    result = json.loads(ran.out)["result"]
    assert (result["counter"], result["application"]["counter"], result["application"]["files"]) == (2, 2, 2)
    assert result["head"]["app_counter"] == 2 and result["changed"]
    ran = slotbench("ship", "--app", "app", "--yes", "--json")
    result = json.loads(ran.out)["result"]
    assert (result["counter"], result["release"], result["application"]["stage_before"]) == (None, None, "offered")


def test_a_program_that_crashes_on_the_chip_is_not_signed(
    ship: Ship, project: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The chip itself is in tests/chip/test_program_preflight.py."""
    report = PreflightReport("", "generic_4m", "1.26.0")
    report.add("main.py goes on", False, "it crashed")
    report.crash = ["ValueError: burnt out"]
    monkeypatch.setattr(preflight_command, "reason_for_none", lambda board, image: None)
    monkeypatch.setattr(program_preflight, "program_preflight", lambda *given, **options: report)
    ran = ship("--app", "app", "--for", "a.bin")
    assert ran.code == 1 and "ValueError: burnt out" in ran.out
    assert "its preflight failed, so it is not signed: releases/sensor-app-2.application" in ran.err
    assert json.loads((project / "releases" / "sensor-app-2.preflight.json").read_bytes())["result"] == "failed"
    assert not (project / "site").exists()
    program(project, "lamp.shine(3)\n")
    report.checks, report.crash, report.result = [], [], Preflight.PASSED
    assert ship("--app", "app", "--for", "a.bin").code == 0 and counters() == (0, 2)


def test_killed_at_any_step_it_can_be_typed_again(
    ship: Ship, project: Path, monkeypatch: pytest.MonkeyPatch, sampler: Sampler,
) -> None:
    """A killed run leaves the old offer or all of the new one; typed again, the command is done, and counted once."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # no power is cut: this is about the order
    command = ["ship", "--app", "app", "--yes"]
    assert ship("--app", "app").code == 0
    program(project, "lamp.shine(2)\n")
    changed = [project / "site", project / "releases", project / "keys"]
    for path in changed:
        shutil.copytree(path, project / "before" / path.name)
    changes = changes_of(command)
    assert len(changes) > 20, "a run changes more than this"
    assert counters() == (0, 3)
    for step, change in sampler.draw("changes of ship --app", enumerate(changes, 1), 5, kind=lambda each: each[1]):
        for path in changed:
            shutil.rmtree(path)
            shutil.copytree(project / "before" / path.name, path)
        assert killed_at(step, command), change
        assert counters() in ((0, 2), (0, 3)), step
        assert ship("--app", "app").code == 0 and counters() == (0, 3), step
