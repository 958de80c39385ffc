"""`slotbench fleet list`, `show` and `name`."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import re
import select
import socket
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

import slotbench as slotbench_package
from slotbench import fleet
from slotbench.cli import _EchoHandler
from slotbench.cli.cockpit_server import kept_fleet, listening_server
from slotbench.cli.invocation import Invocation
from slotbench.errors import BenchError
from slotbench.fleet import database_url
from slotbench.fleet.access_tokens import count_tokens
from slotbench.fleet.audit_log import Actor, record_action
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.recorder import BoardRecorder
from slotbench.release.publish import Rollout, publish_release
from slotbench.release.store import Store
from support.commands import CommandResult, MakeRelease, RunCommand
from support.fleet import fill, proven, url_of
from support.mqtt.brokers import free_port
from support.samples import NOW, PRODUCT, KeyRing, make_firmware

LIMIT_S = 60


@pytest.fixture
def url(database: FleetDatabase) -> str:
    return url_of(database)


def test_an_empty_fleet_tells_what_to_type(slotbench: RunCommand, url: str) -> None:
    ran = slotbench("fleet", "list", "--database", url)
    assert ran.code == 0 and "slotbench deploy --identities boards.json" in ran.out


def test_boards_are_listed_searched_and_filtered(slotbench: RunCommand, url: str, database: FleetDatabase) -> None:
    fill(
        database, 6, report=lambda n: 2 if n == 3 else 1, last_seen=lambda n: NOW - 20 * 3600 * (n == 4),
        board=lambda n: "d1_mini" if n == 2 else "")
    ran = slotbench("fleet", "list", "--database", url, "--limit", 2)
    assert ran.out.splitlines() == [
        "well      lamp-000000 (Lamp 0) attic  counter 5  just now",
        "well      lamp-000001 (Lamp 1) kitchen  counter 5  just now",
        "2 of 6 that match; 6 boards: 1 trouble, 1 late, 4 well",
        "The next ones: --after 'lamp-000001'"]
    for arguments, found in {
        ("--state", "trouble"): [3], ("--state", "late"): [4], ("--search", "KITCHEN lamp"): [1, 3, 5],
        ("--search", "100%"): [], ("--running", 6): [], ("--after", "lamp-000003"): [4, 5],
        ("--board", "d1_mini"): [2], ("--search", "d1"): [2], ("--gave-up", 5): [3], ("--gave-up", 6): [],
        ("--product", "other"): [], ("--channel", "stable", "--state", "late"): [4],
    }.items():
        said = json.loads(slotbench("fleet", "list", "--database", url, "--json", *arguments).out)["result"]
        assert [board["device_id"] for board in said["boards"]] == [f"lamp-{n:06}" for n in found], arguments
        assert said["total"] == 6


def test_a_board_is_named_and_shown(slotbench: RunCommand, url: str, recorder: BoardRecorder) -> None:
    recorder.observe(proven(at=NOW - 7200))
    recorder.flush()
    ran = slotbench("fleet", "name", "lamp-7", " Reading  lamp", "--place", "kitchen", "--database", url)
    assert (ran.code, ran.out) == (0, "lamp-7: named Reading lamp, place kitchen\n")
    ran = slotbench("fleet", "show", "lamp-7", "--database", url)
    assert ran.out.splitlines() == [
        "Reading lamp is well.", "It runs counter 5 of sensor/stable.", "It was heard 2 hours ago, from 192.168.1.20.",
        "It confirmed counter 5.",
        "  2025-06-15 15:06 UTC  was named: name 'Reading lamp', place 'kitchen'",
        "  2025-06-15 13:06 UTC  proved for the first time who it is, with counter 5"]
    said = json.loads(slotbench("fleet", "show", "lamp-7", "--database", url, "--json").out)["result"]
    assert said["board"]["place"] == "kitchen" and said["board"]["state"] == "well" and len(said["history"]) == 2


@pytest.mark.parametrize(("arguments", "said"), [
    (("show", "lamp-9"), "no such board has proved who it is"),
    (("name", "lamp-9", "x"), "no such board has proved who it is"),
    (("name", "lamp-9", "\x1b[2J"), "has at most 64 characters that can be printed"),
    (("name", "lamp-9", "x" * 65), "has at most 64 characters that can be printed"),
    (("name", "lamp-9"), "give a NAME, --place or both"),
])
def test_what_cannot_be_done_is_said(slotbench: RunCommand, url: str, arguments: tuple[str, ...], said: str) -> None:
    ran = slotbench("fleet", *arguments, "--database", url)
    assert ran.code == 2 and said in ran.err


def test_without_the_extra_it_says_what_to_install(
    slotbench: RunCommand, url: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fleet, "find_spec", lambda name: None)
    ran = slotbench("fleet", "list", "--database", url)
    assert ran.code == 2 and "pip install 'twoslot[fleet]'" in ran.err


def test_without_a_project_the_database_is_asked_for(
    slotbench: RunCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = slotbench("fleet", "list")
    assert ran.code == 2 and "no project is here, and no --database" in ran.err
    ran = slotbench("serve", tmp_path, "--database", "sqlite:///x")
    assert ran.code == 2


@pytest.fixture
def offered(
    site: Store, ring: KeyRing, make_release: MakeRelease, firmware: bytes, database: FleetDatabase,
) -> list[object]:
    """A release that is offered to nobody yet, among boards; the arguments of verbs that sign."""
    publish_release(
        site, make_release(7), ring.document, [firmware], ring.load("online"), NOW, rollout=Rollout(percent=0))
    fill(database, 40)
    return [site.root, "--keys", ring.document, "--key", ring.online]


def test_a_rollout_is_started_paused_resumed_aborted(
    slotbench: RunCommand, url: str, offered: list[object], site: Store, ring: KeyRing,
) -> None:
    def rollout(verb: str, *arguments: object) -> str:
        ran = slotbench("fleet", "rollout", verb, *offered, "--database", url, *arguments)
        assert ran.code == 0, ran.err
        return ran.out.strip()

    what = "rollout 1: sensor/stable counter 7 is"
    assert rollout("start", "--steps", "10,100", "--soak", "2h") == f"{what} running at 10 %"
    assert "10 % of the boards" in slotbench("release", "list", site.root, "--keys", ring.document).out
    assert rollout("pause") == f"{what} paused at 10 %"
    assert rollout("resume") == f"{what} running at 10 %"
    ran = slotbench("fleet", "rollout", "list", "--database", url)
    assert ran.out.splitlines() == [
        f"{what} running at 10 %; of 40 boards 0 began, 0 confirmed, 0 failed, 0 silent",
        "  100 % follows in 2 hours at the earliest, once 80 % of this step's boards confirmed it"]
    said = json.loads(rollout("abort", "--json"))["result"]
    assert said["rollout"]["state"] == "aborted" and said["signed_here"]
    ran = slotbench("fleet", "rollout", "pause", *offered, "--database", url)
    assert ran.code == 2 and "no rollout is under way" in ran.err


def test_without_the_key_a_rollout_waits_for_the_process_that_has_it(
    slotbench: RunCommand, url: str, offered: list[object], ring: KeyRing,
) -> None:
    public = [offered[0], "--keys", ring.document]
    ran = slotbench("fleet", "rollout", "start", *public, "--database", url)
    assert ran.out.startswith("rollout 1: sensor/stable counter 7 is running at 0 %\nThe process with the online key")
    ran = slotbench("fleet", "run", *public, "--database", url, "--once")
    assert ran.code == 2 and "give --key FILE or --signer COMMAND" in ran.err
    ran = slotbench("fleet", "run", *offered, "--database", url, "--once")
    assert (ran.code, ran.out) == (0, "")
    assert "at 1 %" in slotbench("fleet", "rollout", "list", "--database", url).out


def test_a_board_is_listed_and_taken_from_the_list(
    slotbench: RunCommand, url: str, offered: list[object], site: Store, ring: KeyRing,
) -> None:
    def install(*arguments: object) -> str:
        ran = slotbench("fleet", "install", *arguments, "--database", url)
        assert ran.code == 0, ran.err
        return ran.out.strip()

    def audience() -> str:
        return slotbench("release", "list", site.root, "--keys", ring.document).out

    assert install("lamp-000003", *offered[:3]).startswith("lamp-000003: asked; the process with the online key")
    assert install("lamp-000004", *offered) == (
        "lamp-000004: the head of sensor/stable lists it; it updates at its next check")
    assert "0 % of the boards and devices lamp-000003, lamp-000004" in audience()
    assert install("lamp-000003", *offered, "--cancel") == "lamp-000003: the head of sensor/stable lists it no more"
    assert json.loads(install("lamp-000004", *offered, "--cancel", "--json"))["result"]["is_signed"]
    assert "0 % of the boards, head" in audience()
    for arguments, said in (
        (("lamp-9",), "no such board has proved"), (("lamp-000003", "--cancel"), "nobody asked to install anything"),
        (("lamp\"",), "is not a device id; use 1-64 printable ASCII characters"),
    ):
        ran = slotbench("fleet", "install", *arguments, *offered, "--database", url)
        assert ran.code == 2 and said in ran.err, ran.err


@pytest.mark.parametrize(("arguments", "said"), [
    (("--steps", "50,10"), "do not rise to 100"), (("--soak", "soon"), "'soon' is no duration"),
    (("--window", "9-17"), "is no window"), (("--channel", "beta"), "nothing is published for sensor in the channel"),
])
def test_a_plan_that_makes_no_sense_is_refused(
    slotbench: RunCommand, url: str, offered: list[object], arguments: tuple[str, ...], said: str,
) -> None:
    ran = slotbench("fleet", "rollout", "start", *offered, "--database", url, *arguments)
    assert ran.code == 2 and said in ran.err, ran.err


def test_no_rollout_yet_says_what_to_type(slotbench: RunCommand, url: str) -> None:
    assert "slotbench fleet rollout start" in slotbench("fleet", "rollout", "list", "--database", url).out


def test_who_did_what_is_listed(slotbench: RunCommand, url: str, database: FleetDatabase) -> None:
    assert slotbench("fleet", "audit", "--database", url).out == "Nobody did anything yet.\n"
    with database.writing() as connection:
        for number in range(3):
            record_action(connection, Actor("anna", "10.0.0.9"), NOW + number, "name", f"lamp-{number}", "name 'x'")
        record_action(connection, Actor("the rollout itself"), NOW + 3, "rollout done", "sensor/stable counter 7")
    ran = slotbench("fleet", "audit", "--database", url, "--limit", 2)
    assert ran.out.splitlines() == [
        "2025-06-15 15:06 UTC  the rollout itself  rollout done  sensor/stable counter 7",
        "2025-06-15 15:06 UTC  anna from 10.0.0.9  name  lamp-2: name 'x'", "Older ones: --before 3"]
    said = json.loads(slotbench("fleet", "audit", "--database", url, "--before", 3, "--json").out)["result"]
    assert [entry["subject"] for entry in said["entries"]] == ["lamp-1", "lamp-0"]


def test_logins_are_made_listed_and_taken_away(slotbench: RunCommand, url: str) -> None:
    def token(*arguments: str) -> CommandResult:
        return slotbench("fleet", "token", *arguments, "--database", url)

    assert "No login yet" in token("list").out
    made = token("new", "anna", "--role", "operator")
    assert made.code == 0 and made.out.startswith("1.") and made.err == "The token of anna (operator), shown this once\n"
    assert json.loads(token("new", "bert", "--json").out)["result"]["role"] == "viewer"
    assert token("list").out == "anna  operator  since 2025-06-15\nbert  viewer  since 2025-06-15\n"
    assert token("remove", "bert").out == "bert: taken away\n"
    ran = token("remove", "bert")
    assert ran.code == 2 and "there is no login of that name" in ran.err


def test_serve_has_a_cockpit_whose_first_login_is_in_a_private_file(
    tmp_path: Path, site: Store, ring: KeyRing, make_release: MakeRelease, firmware: bytes,
) -> None:
    publish_release(site, make_release(7), ring.document, [firmware], ring.load("online"), NOW)
    command = [
        sys.executable, "-u", "-m", "slotbench", "serve", str(site.root), "--port", "0", "--cockpit", "0", "--database",
        f"sqlite:///{tmp_path}/house.sqlite"]
    environment = {**os.environ, "PYTHONPATH": str(Path(slotbench_package.__file__).parents[1])}
    for is_first in (True, False):
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        ) as server:
            try:
                assert server.stdout is not None
                lines = [server.stdout.readline() for _ in range(3 if is_first else 2)]
                cockpit = re.findall(r"Cockpit: (http://127\.0\.0\.1:\d+)/", "".join(lines))[0]
                with urlopen(f"{cockpit}/login") as page:
                    assert b"Log in with a token" in page.read()
                with pytest.raises(HTTPError) as refused:
                    urlopen(lines[0].split()[3] + "/login")
                assert refused.value.code == 404, "the pages are not where boards ask"
                refused.value.close()
            finally:
                server.terminate()
        token = tmp_path / "house.token"
        if is_first:
            assert f"The token of its first login is in {token}" in "".join(lines)
            assert token.stat().st_mode & 0o777 == 0o600 and token.read_text().startswith("1.")
            token.unlink()
        else:
            assert not token.exists(), "it is made once"


def test_ship_serves_with_the_cockpit_of_the_project_and_opens_it(tmp_path: Path, ring: KeyRing) -> None:
    (tmp_path / "slotbench.toml").write_text(
        f'product = "{PRODUCT}"\nboard = "generic_4m"\nserver = "http://127.0.0.1:{free_port()}"\n')
    (tmp_path / "a.bin").write_bytes(make_firmware(48 * 1024))
    opened, browser = tmp_path / "opened", tmp_path / "browser"
    os.mkfifo(opened)
    browser.write_text(f'#!/bin/sh\necho "$1" >{opened}\n')
    browser.chmod(0o700)
    command = [sys.executable, "-u", "-m", "slotbench", "ship", "a.bin", "--yes", "--serve", "--open"]
    environment = {
        **os.environ, "PYTHONPATH": str(Path(slotbench_package.__file__).parents[1]), "BROWSER": str(browser)}
    pipe = os.open(opened, os.O_RDWR | os.O_NONBLOCK)
    with subprocess.Popen(
        command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as server:
        try:
            assert select.select([pipe], [], [], LIMIT_S)[0], "no browser was asked for"
            cockpit = os.read(pipe, 100).decode().strip()
            token = (tmp_path / "fleet.token").read_text().strip()
            asked = Request(f"{cockpit}/api/releases", headers={"Authorization": f"Bearer {token}"})
            with urlopen(asked, timeout=LIMIT_S) as page:
                assert json.load(page)["releases"][0]["counter"] == 2
        finally:
            server.terminate()
        assert server.stdout is not None
        assert f"Cockpit: {cockpit}/\nThe token of its first login is in {tmp_path}/fleet.token" in server.stdout.read()
    os.close(pipe)


def test_a_first_login_is_not_made_where_nobody_hears_of_it(tmp_path: Path) -> None:
    service = kept_fleet(tmp_path, database_url(tmp_path), is_wanted=True, key=None, keys_path=None)
    assert service is not None
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(BenchError, match="cannot listen"):
        listening_server(
            tmp_path, taken.getsockname(), project=None, boards=None, fleet=service, cockpit_place=("127.0.0.1", 0))
    with service.database.reading() as connection:
        assert count_tokens(connection) == 0
    assert not (tmp_path / "fleet.token").exists()
    service.database.close()


def test_nothing_is_opened_where_there_is_no_cockpit(
    slotbench: RunCommand, site: Store, ring: KeyRing, make_release: MakeRelease, firmware: bytes,
) -> None:
    publish_release(site, make_release(7), ring.document, [firmware], ring.load("online"), NOW)
    ran = slotbench("serve", site.root, "--port", 0, "--open")
    assert ran.code == 2 and "nothing is served to people here; run it in a project" in ran.err


def test_each_line_of_the_log_is_an_object(slotbench: RunCommand, tmp_path: Path) -> None:
    ran = slotbench("serve", tmp_path / "none", "--json-log")
    assert ran.code == 2 and ran.err.startswith("slotbench: "), "an error of the command line is for people"
    invocation = Invocation(json_log=True)
    record = logging.LogRecord("slotbench.server", logging.WARNING, "", 0, "%s: refused\n\"x\"", ("lamp-7",), None)
    with contextlib.redirect_stderr(io.StringIO()) as said:
        _EchoHandler(invocation).emit(record)
    line = json.loads(said.getvalue())
    assert said.getvalue().count("\n") == 1
    assert (line["level"], line["logger"], line["message"]) == ("warning", "slotbench.server", "lamp-7: refused\n\"x\"")
    assert line["time"].endswith("+00:00")


def test_boards_are_served_without_a_database_that_cannot_be_opened(
    tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "fleet.sqlite").write_text("this is no database\n" * 100)
    url = database_url(tmp_path)
    assert kept_fleet(tmp_path, url, is_wanted=False, key=None, keys_path=None) is None
    assert "what boards prove is not kept: the database cannot be used (file is not a database)" in caplog.text
    with pytest.raises(BenchError):
        kept_fleet(tmp_path, url, is_wanted=True, key=None, keys_path=None)
