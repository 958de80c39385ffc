"""The commands end to end. An error is one line and an exit code."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

import click
import pytest

import slotbench as slotbench_package
from slotbench import __version__, cli
from slotbench.cli.key_options import load_key
from slotbench.errors import BenchError
from slotbench.release import documents
from slotbench.release.publish import publish_release
from slotbench.release.store import Store
from support.commands import MakeRelease, RunCommand
from support.samples import NOW, SEQ, KeyRing, files_below

AddVerb: TypeAlias = Callable[[Callable[[], object]], None]
"""Makes `slotbench verb` run a function."""

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(slotbench_package.__file__).parents[1])}


@pytest.fixture
def add_verb(monkeypatch: pytest.MonkeyPatch) -> AddVerb:
    """Make `slotbench verb` run a function."""

    def add_verb(function: Callable[[], object]) -> None:
        module = ModuleType("verb_for_a_test")
        vars(module)["verb"] = click.command("verb")(function)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(cli._group.sections["Words"], "verb", (f"{module.__name__}:verb", ""))

    return add_verb


@pytest.mark.parametrize("code", [1, 2, 3])
def test_a_bench_error_is_one_line_and_its_exit_code(
    slotbench: RunCommand, add_verb: AddVerb, code: int,
) -> None:
    def fail() -> None:
        raise BenchError("it is\nwrong", where="here", cure="mend it", exit_code=code)

    add_verb(fail)
    ran = slotbench("verb")

    assert (ran.code, ran.out, ran.err) == (code, "", "slotbench: it is wrong: here; mend it\n")


def test_a_defect_is_exit_code_3_and_a_traceback_with_vv(slotbench: RunCommand, add_verb: AddVerb) -> None:
    add_verb(lambda: 1 / 0)

    ran = slotbench("verb")
    assert ran.code == 3
    assert ran.err == (
        "slotbench: defect in slotbench: ZeroDivisionError: division by zero; "
        "run it again with -vv and report it\n")
    assert "Traceback" not in slotbench("-v", "verb").err
    ran = slotbench("-vv", "verb")
    assert ran.code == 3
    assert "Traceback" in ran.err and "division by zero" in ran.err


def test_what_the_computer_refuses_is_no_defect(slotbench: RunCommand, add_verb: AddVerb) -> None:
    def fill() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "here")

    add_verb(fill)
    assert slotbench("verb").code == 2
    assert slotbench("verb").err == (
        "slotbench: No space left on device: here; check the path, its rights, and the space that is left\n")
    long = "a" * 300
    for command in (("release", "list", long, "--keys", long), ("keys", "development", long), ("release", "show", long)):
        ran = slotbench(*command)
        assert ran.code == 2 and "File name too long" in ran.err


def test_ctrl_c_is_exit_code_130(slotbench: RunCommand, add_verb: AddVerb) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    add_verb(interrupt)
    assert slotbench("verb").code == 130


def test_a_closed_pipe_is_exit_code_2(
    slotbench: RunCommand, add_verb: AddVerb, monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken() -> None:
        raise BrokenPipeError

    add_verb(broken)
    monkeypatch.setattr(sys, "stderr", open(os.devnull, "w", encoding="utf-8"))
    assert cli.run(["verb"]) == 2


def test_no_handler_is_left_on_the_logger(slotbench: RunCommand, add_verb: AddVerb) -> None:
    before = list(logging.getLogger("slotbench").handlers)
    slotbench("--version")
    assert logging.getLogger("slotbench").handlers == before


@pytest.mark.parametrize(("arguments", "line"), [
    (("nonsense",), "No such command 'nonsense'; see `slotbench --help`"),
    (("serve",), "Missing argument 'DIR': no slotbench.toml is in this folder or above it, so give it; or go to"),
    (("serve", ".", "--port", "70000"), "Invalid value for '--port'"),
    (("keys", "new", "k"), "Missing option '--product': no slotbench.toml is in this folder or above it, so give it; or go to"),
    (("keys", "new", "k", "--product", "No Name"), "'No Name' is not a name; use 1-32 characters of"),
    (("keys", "new", "k", "--product", "--spare"), "'--spare' is not a name; use 1-32 characters of"),
    (("explain", "x"), "'x' is not an integer"),
    (("release", "publish", "a", "--key", "k", "--keys", "k"), "give DIR with --refresh, FILE and DIR"),
    (("release", "publish", "a", "b", "--key", "k", "--keys", "k"), "Missing option '--image'"),
    (("release", "publish", "a", "--refresh", "--percent", "5", "--key", "k", "--keys", "k"),
     "--percent does not go with --refresh"),
    (("release", "publish", "a", "--refresh", "--image", "5", "--key", "k", "--keys", "k"),
     "--image does not go with --refresh"),
])
def test_a_usage_error_is_one_line_and_exit_code_2(
    slotbench: RunCommand, arguments: tuple[str, ...], line: str,
) -> None:
    ran = slotbench(*arguments)

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("slotbench: ") and ran.err.count("\n") == 1
    assert line in ran.err


def test_without_a_verb_the_help_is_shown(slotbench: RunCommand) -> None:
    ran = slotbench()

    assert ran.code == 2
    assert "\nReleases:\n" in ran.err


def test_help_and_version(slotbench: RunCommand) -> None:
    ran = slotbench("--version")
    assert (ran.code, ran.out) == (0, f"slotbench {__version__}\n")
    ran = slotbench("-h")
    assert ran.code == 0
    for verb in cli._group.places():
        assert f"\n  {verb} " in ran.out
        assert slotbench(verb, "--help").code == 0


def test_running_as_a_module_and_as_a_command() -> None:
    for command in (["-m", "slotbench"], ["-c", "from slotbench.cli import main; main()"]):
        ran = subprocess.run(
            [sys.executable, *command, "explain", "999"],
            env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert ran.stderr == "slotbench: no error has the code 999; `slotbench explain` lists them\n"


def test_explain_one_code(slotbench: RunCommand) -> None:
    ran = slotbench("explain", "31")

    assert ran.code == 0
    first, number, advice = ran.out.splitlines()
    assert first == "31 filesystem-elsewhere (release): filesystem starts elsewhere"
    assert number == "The number beside it: its start."
    assert "FLASH_1M" in advice


def test_explain_a_code_without_a_number_beside_it(slotbench: RunCommand) -> None:
    assert len(slotbench("explain", "0x16").out.splitlines()) == 2


def test_explain_lists_all_codes(slotbench: RunCommand) -> None:
    assert " 31  filesystem-elsewhere   release  filesystem starts elsewhere\n" in slotbench("explain").out


def test_keys_new(slotbench: RunCommand, tmp_path: Path) -> None:
    ran = slotbench("keys", "new", tmp_path / "k", "--product", "sensor", "--spare")

    assert ran.code == 0
    assert files_below(tmp_path / "k") == {
        "offline.pem", "offline-spare.pem", "online.pem", "sensor.keys"}
    assert "signs releases; keep it off the server (without a passphrase)" in ran.out
    assert documents.read_keys(tmp_path / "k" / "sensor.keys")[1].issued == NOW


@pytest.mark.parametrize("way", ["file", "environment"])
def test_keys_new_with_a_passphrase(
    slotbench: RunCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str,
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("correct horse\nsecond line\n")
    options = ("--passphrase-file", secret) if way == "file" else ()
    if way == "environment":
        monkeypatch.setenv("SLOTBENCH_PASSPHRASE", "correct horse")

    ran = slotbench("keys", "new", tmp_path / "k", "--product", "sensor", *options)

    assert ran.code == 0 and "(with the passphrase)" in ran.out
    path = tmp_path / "k" / "online.pem"
    assert b"ENCRYPTED" in path.read_bytes() and stat.S_IMODE(path.stat().st_mode) == 0o600
    monkeypatch.setenv("SLOTBENCH_PASSPHRASE", "correct horse")
    assert load_key(path, None).modulus


def test_keys_new_with_an_empty_passphrase_file(slotbench: RunCommand, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("\n")

    ran = slotbench(
        "keys", "new", tmp_path / "k", "--product", "sensor", "--passphrase-file", tmp_path / "secret")

    assert ran.code == 2 and "first line is empty: " in ran.err
    assert not (tmp_path / "k").exists()


def test_the_passphrase_is_asked_for_on_a_terminal(ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    key = ring.load("online")
    ring.online.write_bytes(key.to_pem(b"secret"))
    requested_range = []
    monkeypatch.delenv("SLOTBENCH_PASSPHRASE", raising=False)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(click, "prompt", lambda text, **_: requested_range.append(text) or "secret")

    assert load_key(ring.online, None).modulus == key.modulus
    assert requested_range == [f"Passphrase of {ring.online}"]


def test_release_from_firmware_to_site(
    slotbench: RunCommand, tmp_path: Path, ring: KeyRing, firmware_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    release, site_folder = tmp_path / "sensor-7.release", tmp_path / "www"

    ran = slotbench(
        "release", "build", firmware_file, "--product", "sensor", "--board", "d1_mini",
        "--board", "nodemcu", "--counter", "7", "--channel", "beta", "--channel", "stable",
        "--notes", "hello", "--floor", "0x5")
    assert (ran.code, ran.err) == (0, "")
    first, inspected, rest = ran.out.partition("\n")[0], *ran.out.partition("\n")[2].split("sensor-7", 1)
    assert first == f"{firmware_file}: an image of the bench, which no chip runs"
    assert inspected == slotbench("inspect", firmware_file).out.partition("\n")[2], "as inspect says it"
    assert "sensor-7" + rest == (
        "sensor-7.release: sensor 1.25.0, counter 7; sign it next\n"
        "no preflight: a bench image, which no chip runs\n")
    ran = slotbench("release", "sign", release, "--key", ring.offline, "--keys", ring.document)
    assert (ran.code, ran.err) == (0, "")
    ran = slotbench(
        "release", "publish", release, site_folder, "--image", firmware_file, "--key", ring.online,
        "--keys", ring.document, "--channel", "beta", "--percent", "10", "--cohort", "lab",
        "--days", "3")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"{site_folder}: sensor/beta is counter 7 for 10 % of the boards and cohorts lab, head seq {SEQ}\n"
    ran = slotbench(
        "release", "publish", "--refresh", site_folder, "--key", ring.online, "--keys", ring.document)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"{site_folder}: sensor/beta is counter 7 for 10 % of the boards and cohorts lab, head seq {SEQ + 1}\n"

    said = json.loads(slotbench(
        "release", "show", site_folder / "heads/sensor/beta.head", "--json", "--keys", ring.document).out)["result"]
    assert (said["seq"], said["percent"], said["cohorts"]) == (SEQ + 1, 10, ["lab"])
    assert said["signature"] == "valid"
    said = json.loads(slotbench("release", "show", release, "--json").out)["result"]
    assert (said["boards"], said["floor"], said["notes"]) == (["d1_mini", "nodemcu"], 5, "hello")


def test_release_show_prints_words(slotbench: RunCommand, firmware_file: Path) -> None:
    ran = slotbench("release", "show", firmware_file)

    assert ran.code == 0
    assert ran.out == (
        f"{firmware_file}: an image of the bench, which no chip runs\n  length   101292 bytes\n"
        f"  details  slotbench inspect {firmware_file}\n")


def test_release_build_with_options_and_output(
    slotbench: RunCommand, tmp_path: Path, firmware_file: Path,
) -> None:
    ran = slotbench(
        "release", "build", firmware_file, "--product", "sensor", "--board", "d1_mini", "--counter", "7",
        "--version", "2.0", "--fs-start", "0x100000", "--fs-version", "0x20001", "--mpy-abi", "6",
        "--fs-upgrade", "-o", tmp_path / "r")

    assert ran.code == 0
    said = json.loads(slotbench("release", "show", tmp_path / "r", "--json").out)["result"]
    assert (said["version"], said["fs_version"], said["mpy_abi"]) == ("2.0", 0x20001, 6)
    assert said["fs_upgrade"] is True and said["created"] == NOW


@pytest.mark.parametrize(("output", "line"), [
    (".", "this is a folder: .; give the name of a file in it"),
    ("missing/dir", "no such folder: missing; make it, or check the path"),
    ("firmware.bin", "this file is no release and is not overwritten: firmware.bin; give another file with -o"),
    ("signed.release", "a signed release is not overwritten: signed.release; give another file with -o"),
])
def test_release_build_overwrites_nothing_of_worth(
    slotbench: RunCommand, tmp_path: Path, firmware_file: Path, make_release: MakeRelease,
    monkeypatch: pytest.MonkeyPatch, output: str, line: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    make_release().rename("signed.release")
    before = files_below(tmp_path)
    build = (
        "release", "build", firmware_file, "--product", "sensor", "--board", "d1_mini", "--counter", "7", "-o")

    ran = slotbench(*build, output)

    assert (ran.code, files_below(tmp_path)) == (2, before)
    assert ran.err.startswith(f"slotbench: {line}")
    assert slotbench(*build, "new.release").code == 0 and slotbench(*build, "new.release").code == 0


@pytest.mark.parametrize("version", ["-1", " 1", "1 "])
def test_release_build_refuses_what_is_no_version(
    slotbench: RunCommand, firmware_file: Path, version: str,
) -> None:
    ran = slotbench(
        "release", "build", firmware_file, "--product", "sensor", "--board", "d1_mini", "--counter", "7",
        "--version", version)
    assert ran.code == 2 and "is not a version: it begins with - or has blanks" in ran.err


def test_release_list_tells_nothing_from_something(
    slotbench: RunCommand, tmp_path: Path, ring: KeyRing,
) -> None:
    ran = slotbench("release", "list", tmp_path / "TYPO", "--keys", ring.document)
    assert (ran.code, ran.out) == (2, "") and "no such folder: " in ran.err
    ran = slotbench("release", "list", tmp_path, "--keys", ring.document, "--json")
    assert ran.code == 1 and "no release of sensor is here: " in ran.err
    said = json.loads(ran.out)
    assert (said["ok"], said["result"], said["verb"]) == (False, None, "release list")
    assert said["error"] == {
        "what": "no release of sensor is here", "where": str(tmp_path), "exit_code": 1,
        "cure": "check the path, or publish one with `slotbench release publish`"}


def test_release_publish_paused(
    slotbench: RunCommand, tmp_path: Path, ring: KeyRing, firmware_file: Path, make_release: MakeRelease,
) -> None:
    ran = slotbench(
        "release", "publish", make_release(), tmp_path / "www", "--image", firmware_file, "--key", ring.online,
        "--keys", ring.document, "--paused")

    who = "no board while paused (100 % of the boards when resumed)"
    assert ran.out == f"{tmp_path / 'www'}: sensor/stable is counter 7 for {who}, head seq {SEQ}\n"


@pytest.fixture
def site_folder(site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes) -> Path:
    publish_release(site, make_release(), ring.document, [firmware], ring.load("online"), NOW)
    return site.root


def test_serve_until_ctrl_c(site_folder: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "slotbench", "serve", site_folder, "--port", "0"],
        env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert line.startswith(f"Serving {site_folder} at http://127.0.0.1:")
        url = line.split(" at ")[1].split()[0]
        with urllib.request.urlopen(f"{url}/heads/sensor/stable.head", timeout=60) as response:
            assert response.read() == (site_folder / "heads/sensor/stable.head").read_bytes()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()
        process.communicate()

    assert process.returncode == 130, "as of every command that Ctrl-C ends"
    line = next(line for line in errors.splitlines() if '"GET /heads/sensor/stable.head HTTP/1.1" 200' in line)
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d slotbench: 127\.0\.0\.1 ", line), "each line has a time"
    assert errors.endswith("slotbench: stopped; boards find no releases until the same command runs again\n")
    assert "Traceback" not in errors


def test_serve_on_a_port_in_use(slotbench: RunCommand, site_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = slotbench("serve", site_folder, "--port", port)

    assert ran.code == 2
    assert ran.err == (
        f"slotbench: cannot listen (Address already in use): 127.0.0.1:{port}; "
        "choose another --port or --host\n")


@pytest.mark.parametrize(("exists", "what"), [
    (False, "no such folder"), (True, "nothing is published here"),
])
def test_serve_a_folder_without_releases(
    slotbench: RunCommand, tmp_path: Path, exists: bool, what: str,
) -> None:
    folder = tmp_path / "www"
    if exists:
        folder.mkdir()

    ran = slotbench("serve", folder)

    cure = "publish a release into it with `slotbench release publish`"
    assert (ran.code, ran.out, ran.err) == (2, "", f"slotbench: {what}: {folder}; {cure}\n")
