"""Options whose default is the project's: the command line wins, and without both the cure is said."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import click
import pytest

from slotbench import cli
from slotbench.cli.parameter_types import PATH
from slotbench.cli.project_options import ProjectOption, is_given, project_option
from slotbench.project import PROJECT_FILE
from slotbench.release.identities import Identities
from support.commands import CommandResult, RunCommand, all_verbs
from support.samples import NOW, PRODUCT, KeyRing, make_firmware, write_ring


@pytest.fixture
def try_verb(monkeypatch: pytest.MonkeyPatch, slotbench: RunCommand, tmp_path: Path) -> Callable[..., CommandResult]:
    """Run a verb with such options in a folder of a project; `text` is its slotbench.toml."""

    @click.command()
    @project_option("--keys", "keys_path", field="keys", type=PATH, required=True)
    @project_option("--board", "boards", field="board", multiple=True, required=True)
    @project_option("--channel", field="channel", default="stable")
    @project_option("--server", field="server")
    @click.pass_context
    def verb(ctx: click.Context, keys_path: Path, boards: tuple[str, ...], channel: str, server: str | None) -> None:
        click.echo(f"{keys_path} {boards} {channel} {server} {is_given(ctx, 'channel')}")

    module = ModuleType("verb_for_a_test")
    vars(module)["verb"] = verb
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(cli._group.sections["Words"], "verb", (f"{module.__name__}:verb", ""))

    def run(text: str | None, *arguments: str) -> CommandResult:
        if text is not None:
            (tmp_path / PROJECT_FILE).write_text(text)
        monkeypatch.chdir(tmp_path)
        return slotbench("verb", *arguments)

    return run


LAMP = 'product = "lamp"\nboard = "d1_mini"\n'


def test_the_project_says_what_is_not_given(try_verb: Callable[..., CommandResult]) -> None:
    assert try_verb(LAMP + 'channel = "beta"\n').out == "keys/lamp.keys ('d1_mini',) beta None False\n"


def test_options_win(try_verb: Callable[..., CommandResult]) -> None:
    ran = try_verb(LAMP, "--keys", "other", "--board", "a", "--board", "b", "--channel", "c", "--server", "http://d")
    assert ran.out == "other ('a', 'b') c http://d True\n"


def test_without_a_project_the_cure_is_to_make_one(try_verb: Callable[..., CommandResult]) -> None:
    ran = try_verb(None)
    assert (ran.code, ran.err) == (
        2, "slotbench: Missing option '--keys': no slotbench.toml is in this folder or above it, so give it; or go to "
        "the folder of your project; or make one: slotbench init NAME; see `slotbench verb --help`\n")
    assert try_verb(None, "--keys", "k", "--board", "b").out == "k ('b',) stable None False\n"


def test_a_mistake_in_it_is_said_where_it_is_needed(try_verb: Callable[..., CommandResult]) -> None:
    ran = try_verb(LAMP + 'sever = "http://a"\n')
    assert (ran.code, ran.err) == (
        2, "slotbench: the field sever is not known: slotbench.toml:3; rename it to server\n")
    assert try_verb(LAMP + 'sever = "http://a"\n', "--help").code == 0


FIELDS_OF = {
    "--port": "port", "--product": "product", "--board": "board", "--server": "server", "--keys": "keys",
    "--identities": "identities", "--site": "site", "--offline-key": "offline_key", "--online-key": "online_key",
    "--hawkbit": "hawkbit"}
WITHOUT = {
    ("init", "--port"), ("init", "--board"), ("init", "--server"),  # it makes the project
    ("serve", "--port"),  # a TCP port; that of the project's server is taken by itself
    ("deploy", "--port"), ("status", "--port"), ("inspect", "--port"), ("watch", "--port"),  # one of two ways
    ("status", "--board"), ("inspect", "--board"), ("unflash", "--board"), ("board run", "--board"),  # found by the map
    ("push", "--board"), ("push", "--product"),  # what the board says
    ("demo", "--board"), ("doctor", "--port"),
    ("fleet list", "--board"), ("fleet list", "--product"),  # it chooses among boards of all kinds
}
"""Options of such a name that take nothing from the project, and why."""


def test_each_verb_takes_from_the_project_what_it_has() -> None:
    missing = set()
    for verb, command in all_verbs().items():
        for option, field in FIELDS_OF.items():
            for parameter in command.params:
                if option in parameter.opts and not verb.startswith("prove "):
                    if not isinstance(parameter, ProjectOption):
                        missing.add((verb, option))
                    else:
                        assert parameter.project_field == field, verb
    assert missing == WITHOUT


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a project with two releases is kept, from the first test that makes one."""
    return tmp_path_factory.mktemp("shipped") / "project"


@pytest.fixture
def in_project(
    tmp_path: Path, ring: KeyRing, slotbench: RunCommand, monkeypatch: pytest.MonkeyPatch, shipped: Path,
) -> RunCommand:
    """Run verbs below a project with two releases."""
    if shipped.exists():
        shutil.copytree(shipped, tmp_path, dirs_exist_ok=True)
    else:
        (tmp_path / PROJECT_FILE).write_text(f'product = "{PRODUCT}"\nboard = "generic_4m"\n')
        (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    if not shipped.exists():
        for seed in (1, 2):
            Path("firmware.bin").write_bytes(make_firmware(48 * 1024, seed=seed))
            monkeypatch.setattr("time.time", lambda: float(NOW + seed))
            assert slotbench("ship", "firmware.bin", "--yes").code == 0
        shutil.copytree(tmp_path, shipped)
    monkeypatch.setattr("time.time", lambda: float(NOW + 9))
    return slotbench


@pytest.mark.parametrize(("command", "said"), [
    ("release list", "counter 3  1.25.0  stable: 100 % of the boards"),
    ("release show ../releases/sensor-3.release", "valid, by the offline key"),
    ("release pause", "../site: sensor/stable is counter 3 for no board while paused"),
    ("release promote --cohort lab", "counter 3 for 100 % of the boards and cohorts lab"),
    ("release withdraw", "../site: sensor/stable is counter 2"),
    ("release publish --refresh", "../site: sensor/stable is counter 3"),
    ("release build firmware.bin --counter 9 --channel stable", "sensor-9.release: sensor 1.25.0, counter 9"),
    ("release sign ../releases/sensor-3.release", "signed by key"),
    ("release publish ../releases/sensor-3.release --image firmware.bin", "../site: sensor/stable is counter 3"),
    ("keys rotate --online", "../keys/sensor.keys: epoch 2"),
    ("keys development", "../keys/development.pem: signs what you push"),
    ("board new lamp1 --server http://127.0.0.1:1", "sensor 1.0.0 in slot A"),
])
def test_a_verb_below_a_project_needs_no_more(in_project: RunCommand, command: str, said: str) -> None:
    ran = in_project(*command.split())
    assert ran.code == 0, ran.err
    assert said in ran.out


def test_the_only_port_on_usb_is_taken_and_said(
    in_project: RunCommand, monkeypatch: pytest.MonkeyPatch,
) -> None:
    for ports, said in (
        ([], "no board is plugged in on USB; give it, or write it into ../slotbench.toml: port = "),
        (["/dev/ttyUSB0", "/dev/ttyUSB1"], "several are there (/dev/ttyUSB0, /dev/ttyUSB1); give it"),
        (["/dev/no-such-port"], "port /dev/no-such-port: the only one on USB\nslotbench: no such serial port"),
    ):
        monkeypatch.setattr("slotbench.cli.project_options.usb_ports", lambda: ports)
        for verb in ("status", "check", "backup file.bin", "deploy", "inspect"):
            ran = in_project(*verb.split())
            assert ran.code == 2 and said in ran.err, ran.err


def test_keys_of_another_product_win(in_project: RunCommand, ring: KeyRing, tmp_path: Path) -> None:
    other = tmp_path / "other.keys"
    write_ring({name: getattr(ring, name) for name in ("offline", "online", "stranger")}, other, product="other")
    ran = in_project("board", "new", "lamp1", "--keys", other, "--server", "http://127.0.0.1:1")
    assert ran.code == 0 and "other 1.0.0 in slot A" in ran.out


def test_the_server_knows_a_new_virtual_board(slotbench: RunCommand, ring: KeyRing, tmp_path: Path) -> None:
    """A file that is none is refused before a folder is made."""
    path = tmp_path / "boards.json"
    command = ("--keys", ring.document, "--server", "http://127.0.0.1:1", "--identities", path)
    for name in ("lamp1", "lamp2"):
        assert slotbench("board", "new", tmp_path / name, *command).code == 0
    made = {
        json.loads((tmp_path / name / "board.json").read_text())["unique_id"]:
        (tmp_path / name / "files" / "twoslot.secret").read_bytes() for name in ("lamp1", "lamp2")}
    known = Identities.load(path)
    assert {name: known.secret_file(name) for name in known.secrets} == made
    assert known.chips == {name: name for name in made}
    path.write_text("[]")
    ran = slotbench("board", "new", tmp_path / "lamp3", *command)
    assert ran.code == 2 and "not a JSON object" in ran.err and not (tmp_path / "lamp3").exists()


def test_a_release_that_is_not_there_is_named(
    slotbench: RunCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / PROJECT_FILE).write_text(f'product = "{PRODUCT}"\nboard = "generic_4m"\n')
    monkeypatch.chdir(tmp_path)
    ran = slotbench("release", "publish", "none.release")
    assert (ran.code, ran.err) == (2, "slotbench: no such file: none.release; check the path\n")


def test_the_project_follows_a_rotation(in_project: RunCommand, tmp_path: Path) -> None:
    """With the new online key in slotbench.toml, the next commands sign."""
    before = (tmp_path / PROJECT_FILE).read_text()
    ran = in_project("keys", "rotate", "--online")
    assert ran.code == 0 and "../slotbench.toml: online_key is keys/online-2.pem now" in ran.out
    assert (tmp_path / PROJECT_FILE).read_text() == before + 'online_key = "keys/online-2.pem"\n'
    assert in_project("release", "publish", "--refresh").code == 0
    ran = in_project("keys", "rotate", "--add-offline")
    assert ran.code == 0 and "slotbench.toml" not in ran.out


def test_rollouts_tell_their_heads_as_json(in_project: RunCommand) -> None:
    for number, verb in enumerate(("pause", "resume", "promote --cohort lab", "publish --refresh", "withdraw")):
        ran = in_project("release", *verb.split(), "--json")
        said = json.loads(ran.out)
        assert (ran.code, said["verb"], said["ok"]) == (0, f"release {verb.split()[0]}", True)
        (head,) = said["result"]["heads"]
        assert head["paused"] is (number == 0) and head["counter"] == (2 if verb == "withdraw" else 3)
    said = json.loads(in_project("release", "withdraw", "--json").out)
    assert (said["ok"], said["result"]) == (False, None) and "no older release" in said["error"]["what"]


def test_a_broker_is_named_without_the_site(in_project: RunCommand) -> None:
    ran = in_project("release", "notify", "127.0.0.1:1")
    assert ran.code == 1 and "boards were not notified: Connection refused: 127.0.0.1:1" in ran.err
    ran = in_project("release", "notify")
    assert ran.code == 2 and "give [SITE] BROKER[:PORT]" in ran.err
