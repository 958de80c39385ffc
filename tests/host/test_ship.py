"""`slotbench ship`: what it plans, what it does, and that it can be typed again after whatever happened."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pytest

from slotbench import cli
from slotbench.formats.head import Head
from slotbench.formats.release import Preflight
from slotbench.project import PROJECT_FILE, require_project
from slotbench.prove.chip.preflight import PreflightReport
from slotbench.release import documents, shipping
from slotbench.release.heads import last_head
from slotbench.release.publish import unusable_releases
from slotbench.release.rollout import trusted_releases
from slotbench.release.shipping import ReleasePaths
from slotbench.release.store import Store
from support.commands import CommandResult, RunCommand
from support.killed import changes_of, killed_at
from support.samples import NOW, PRODUCT, KeyRing, files_below, make_firmware
from support.sampling import Sampler

Ship: TypeAlias = Callable[..., CommandResult]

SMALL = make_firmware(72 * 1024)
OTHER = make_firmware(72 * 1024, seed=2)
DAY_S = 86400


@pytest.fixture
def project(tmp_path: Path, ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder, and the current one: the keys of `ring`, an empty site, two firmwares."""
    (tmp_path / PROJECT_FILE).write_text(f'product = "{PRODUCT}"\nboard = "generic_4m"\n')
    (tmp_path / "a.bin").write_bytes(SMALL)
    (tmp_path / "b.bin").write_bytes(OTHER)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def ship(project: Path, slotbench: RunCommand) -> Ship:
    return lambda *arguments: slotbench("ship", *arguments, "--yes")


def offered(channel: str = "stable") -> Head | None:
    """The head of the channel. All that it offers is there."""
    project = require_project()
    keys, site = documents.read_keys(project.keys)[1], Store(project.site)
    head = last_head(site, keys, channel)
    assert head is None or unusable_releases(site, keys, [head]) == []
    return head


def at(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    monkeypatch.setattr("time.time", lambda: float(NOW + seconds))


def test_a_firmware_is_offered_and_the_plan_is_said(ship: Ship) -> None:
    ran = ship("a.bin", "--notes", "first")
    assert (ran.code, ran.err) == (0, "")
    head = offered()
    assert head is not None and (head.counter, head.percent) == (2, 100)
    assert ran.out.splitlines() == [
        "a.bin: an image of the bench, which no chip runs", "plan: sensor 1.25.0, counter 2, for generic_4m",
        "  build      releases/sensor-2.release",
        "  preflight  left out: a bench image, which no chip runs",
        "  sign       with keys/offline.pem",
        "  publish    in site with keys/online.pem: stable offers it to 100 % of the boards; offered until now: nothing",
        f"site: sensor/stable is counter 2 for 100 % of the boards, head seq {head.seq}",
        "boards install it at their next check; have one do it now: slotbench update"]


def test_it_counts_up_by_itself(ship: Ship, monkeypatch: pytest.MonkeyPatch) -> None:
    for counter, name in enumerate(("a.bin", "b.bin", "a.bin"), 2):
        at(monkeypatch, counter)
        assert ship(name, "--version", "2").code == 0
        head = offered()
        assert head is not None and head.counter == counter
    assert ship("b.bin", "--counter", "9").code == 0
    assert "counter 10," in ship("a.bin", "--version", "3").out


def test_what_is_offered_already_is_not_done_again(ship: Ship, project: Path) -> None:
    assert ship("a.bin").code == 0
    before = files_below(project)
    ran = ship("a.bin")
    assert ran.code == 0 and "  publish    done before: stable offers it to 100 % of the boards\n" in ran.out
    assert ran.out.endswith("nothing is left to do\nboards install it at their next check; have one do it now: "
                            "slotbench update; serve it: slotbench serve\n")
    assert files_below(project) == before


def test_more_boards_are_a_new_head_of_the_same_release(ship: Ship, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ship("a.bin", "--percent", "10").code == 0
    first = offered()
    at(monkeypatch, 60)
    assert "10 % of the boards become 50 %" in ship("a.bin", "--percent", "50", "--cohort", "lab").out
    second = offered()
    assert first is not None and second is not None
    assert (second.release, second.percent, second.cohorts) == (first.release, 50, ("lab",))
    ran = ship("a.bin", "--percent", "20")
    assert (ran.code, ran.err) == (
        2, "slotbench: the channel stable is at 50 %, 20 % would exclude boards; "
        "slotbench release promote --percent 20 --shrink\n")


def test_a_head_that_ends_soon_and_a_damaged_site_are_mended(
    ship: Ship, project: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ship("a.bin").code == 0
    next((project / "site" / "images").iterdir()).unlink()
    at(monkeypatch, 5)
    assert "files are missing in the site" in ship("a.bin").out
    assert offered() is not None
    at(monkeypatch, 24 * DAY_S)
    assert "the head expires 2025-07-15" in ship("a.bin").out
    head = offered()
    assert head is not None and head.expires == NOW + 54 * DAY_S


def test_a_release_of_one_channel_is_offered_in_another(ship: Ship) -> None:
    assert ship("a.bin", "--channel", "beta").code == 0 and offered() is None
    ran = ship("a.bin")
    assert "releases/sensor-2.release, done before" in ran.out or "done before\n  preflight" in ran.out
    beta, stable = offered("beta"), offered()
    assert beta is not None and stable is not None and stable.release == beta.release


def test_a_withdrawn_release_is_not_taken_again(
    ship: Ship, slotbench: RunCommand, monkeypatch: pytest.MonkeyPatch,
) -> None:
    for second, name in enumerate(("a.bin", "b.bin")):
        at(monkeypatch, second)
        assert ship(name).code == 0
    at(monkeypatch, 2)
    assert slotbench("release", "withdraw", "site", "--key", "keys/online.pem", "--keys", "keys/sensor.keys").code == 0
    at(monkeypatch, 3)
    assert "counter 4," in ship("b.bin").out


@pytest.mark.parametrize(("arguments", "what"), [
    (("--counter", "2"), "counter 2 belongs to another release; leave --counter out"),
    (("--counter", "1"), "counter 1 is below 2, which the channel stable offers; leave --counter out"),
    (("--product", "other"), "the keys are for the product sensor, not other: keys/sensor.keys; give the keys"),
    (("--board", "native_512k"), "cure"),
    (("--offline-key", "keys/online.pem"), "is an online key: keys/online.pem; use an offline key"),
    (("--online-key", "keys/offline.pem"), "is an offline key: keys/offline.pem; use an online key"),
    (("--site", PROJECT_FILE), "folder cannot be written"),
])
def test_what_cannot_be_is_refused_and_changes_nothing(ship: Ship, project: Path, arguments: tuple[str, str], what: str) -> None:
    assert ship("a.bin").code == 0
    before = files_below(project / "site")
    ran = ship("b.bin", *arguments)
    assert ran.code in (1, 2) and (what == "cure" or what in ran.err), ran.err
    assert files_below(project / "site") == before


def test_a_wrong_clock_is_named_before_anything_is_signed(
    ship: Ship, project: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    at(monkeypatch, -30 * DAY_S)
    ran = ship("a.bin")
    assert ran.code == 2 and "this computer's clock says 2025-05-16" in ran.err and "set the clock" in ran.err
    at(monkeypatch, 0)
    assert ship("a.bin").code == 0
    for off in (-60, 500 * DAY_S):
        at(monkeypatch, off)
        ran = ship("b.bin")
        assert ran.code == 1 and "set the clock of this computer" in ran.err
    assert not (project / "releases" / "sensor-3.release").exists()


def test_a_dry_run_writes_nothing_and_a_no_does_not_either(
    project: Path, slotbench: RunCommand, monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = files_below(project)
    ran = slotbench("ship", "a.bin", "--dry-run")
    assert ran.code == 0 and ran.out.endswith("dry run: nothing was written\n")
    ran = slotbench("ship", "a.bin")
    assert ran.code == 2 and "nobody can be asked whether to go on: this is no terminal; add --yes" in ran.err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.confirm", lambda *words, **settings: False)
    ran = slotbench("ship", "a.bin")
    assert (ran.code, ran.out.splitlines()[-1]) == (1, "nothing was written")
    assert files_below(project) == before


def test_its_json(ship: Ship, slotbench: RunCommand) -> None:
    assert slotbench("ship", "a.bin", "--json").code == 2
    said = json.loads(ship("a.bin", "--json").out)["result"]
    assert (said["counter"], said["stage_before"], said["changed"], said["head"]["percent"]) == (2, "new", True, 100)
    said = json.loads(slotbench("ship", "a.bin", "--dry-run", "--json").out)["result"]
    assert (said["stage_before"], said["changed"]) == ("offered", False)


def test_a_preflight_is_said_and_a_failed_one_ends_it(
    ship: Ship, project: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    results = [Preflight.FAILED, Preflight.PASSED]
    monkeypatch.setattr("slotbench.cli.ship.reason_for_none", lambda board, image: None)
    monkeypatch.setattr("slotbench.cli.preflight.reason_for_none", lambda board, image: None)

    def preflight(image: bytes, board: object, *, fs_version: int) -> PreflightReport:
        report = PreflightReport("0" * 64, "generic_4m", "1.25.0")
        if results.pop(0) is Preflight.FAILED:
            report.add("it starts", False, "it does not")
        return report

    monkeypatch.setattr("slotbench.prove.chip.preflight.preflight", preflight)
    ran = ship("a.bin")
    assert ran.code == 1 and "its preflight failed, so it is not signed: releases/sensor-2.release" in ran.err
    assert offered() is None
    # Interrupted after the preflight: it is not repeated.
    sign = shipping.sign

    def interrupt(*rest: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shipping, "sign", interrupt)
    ran = ship("a.bin")
    assert ran.code == 130 and "  preflight  on the emulated chip" in ran.out and results == []
    monkeypatch.setattr(shipping, "sign", sign)
    ran = ship("a.bin")
    assert ran.code == 0 and "  preflight  done before\n" in ran.out
    head = offered()
    assert head is not None and head.counter == 2


def require_whole(step: int) -> None:
    """Assert that one release is offered, all of it, and that nothing is left lying about."""
    project = require_project()
    keys = documents.read_keys(project.keys)[1]
    head = offered()
    assert head is not None and head.counter == 2, step
    assert len(trusted_releases(Store(project.site), keys)) == 1, step
    for folder in (project.site, project.releases):
        assert not list(folder.rglob("*.tmp")), step


def test_killed_at_any_step_it_can_be_typed_again(
    ship: Ship, project: Path, monkeypatch: pytest.MonkeyPatch, sampler: Sampler,
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # no power is cut: this is about the order
    assert ship("a.bin", "--dry-run").code == 0
    folders = [project / "site", project / "releases", project / "keys" / f"{PRODUCT}.published"]
    command = ["ship", "a.bin", "--yes"]
    changes = changes_of(command)
    assert len(changes) > 20, "a run changes more than this"
    require_whole(0)
    for step, change in sampler.draw("changes of ship", enumerate(changes, 1), 8, kind=lambda each: each[1]):
        for path in folders:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        assert killed_at(step, command), change
        offered()  # nothing, or all of it
        assert ship("a.bin").code == 0, step
        require_whole(step)


def test_on_a_full_disk_it_says_so_and_can_be_typed_again(
    ship: Ship, project: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = os.fsync
    left = 0

    def full(descriptor: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    for room in range(100):
        left = room
        ran = ship("a.bin")
        if ran.code == 0:
            break
        assert ran.code == 2 and "make room on this disk, and run the same command again" in ran.err
    assert 3 < room < 20
    left = 100
    assert ship("a.bin").code == 0
    require_whole(room)


def test_a_wrong_passphrase_costs_nothing(
    ship: Ship, project: Path, ring: KeyRing, monkeypatch: pytest.MonkeyPatch,
) -> None:
    (project / "keys" / "offline.pem").write_bytes(ring.load("offline").to_pem(b"right"))
    monkeypatch.setenv("SLOTBENCH_PASSPHRASE", "wrong")
    ran = ship("a.bin")
    assert (ran.code, ran.err) == (2, "slotbench: wrong passphrase: keys/offline.pem; give the right one\n")
    assert not (project / "releases").exists() and not (project / "site").exists()
    monkeypatch.setenv("SLOTBENCH_PASSPHRASE", "right")
    assert ship("a.bin").code == 0


def test_a_passphrase_is_typed_once_for_both_keys_and_again_after_a_mistake(
    ship: Ship, project: Path, ring: KeyRing, monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("offline", "online"):
        (project / "keys" / f"{name}.pem").write_bytes(ring.load(name).to_pem(b"right"))
    typed, asked = ["wrong", "right"], []

    def prompt(text: str, **settings: object) -> str:
        asked.append(text)
        return typed.pop(0)

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.prompt", prompt)
    ran = ship("a.bin")
    assert ran.code == 0 and ran.err == "wrong passphrase: keys/offline.pem; type it again\n"
    assert asked == ["Passphrase of keys/offline.pem"] * 2


def test_a_firmware_that_was_shipped_is_known_again(ship: Ship, project: Path) -> None:
    place = ReleasePaths(site=Store(project / "site"), keys_path=project / "keys" / "sensor.keys", releases=project / "releases")
    assert shipping.find_shipped(place, SMALL) is None
    assert ship("a.bin", "--version", "7").code == 0
    found = shipping.find_shipped(place, SMALL)
    assert found is not None and (found.counter, found.version) == (2, "7")
    assert shipping.find_shipped(place, OTHER) is None
    assert replace(found, counter=3) != found


@pytest.mark.parametrize("other", ["a.bin", "b.bin"])
def test_of_two_at_once_the_second_is_told_to_look_again(
    ship: Ship, project: Path, monkeypatch: pytest.MonkeyPatch, other: str,
) -> None:
    """The other one publishes while the first is asked whether to go on."""
    def agrees(is_agreed: bool) -> bool:
        monkeypatch.setattr("slotbench.cli.ship.agrees", lambda is_agreed: True)
        assert cli.run(["ship", other]) == 0
        return True

    monkeypatch.setattr("slotbench.cli.ship.agrees", agrees)
    ran = ship("a.bin")
    assert ran.code == 1 and ran.err == (
        "slotbench: another command published meanwhile: site; run the same command again, for a new plan\n")
    at(monkeypatch, 1)
    assert ship("a.bin").code == 0
    head = offered()
    assert head is not None and head.counter == (2 if other == "a.bin" else 3)
