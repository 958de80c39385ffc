"""`slotbench deploy` and the commands at the REPL, on a virtual board's port, through unmodified mpremote and ampy."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from slotbench import cli
from slotbench.cli import deploy as command
from slotbench.errors import BenchError
from slotbench.formats.keys import pack_pinned
from slotbench.repl import access, board_content, deploy, package
from slotbench.repl.transports import parse_reports
from slotbench.vboard.factory import BOOT_LINE
from slotbench.vboard.live.folder import BoardFolder
from support.live.bench import QUIET
from support.serial.bench import SerialBench, plain_folder, put_package
from support.serial.clients import mpremote, slotbench
from support.testbed import put_keys
from support.vboard.littlefs import files_in

GIVEN = ("--product", "lamp", "--board", "generic_4m", "--server", "http://updates.lan")
BOOT = b"# mine\nimport gc\n"


@pytest.fixture
def folder(tmp_path: Path) -> BoardFolder:
    """That of a board with a boot.py and a main.py of its user's."""
    # Compiled before the board's thread runs: CPython 3.11 does not parse in two threads at once.
    package.package_files()
    folder = plain_folder(tmp_path / "board")
    (folder.files_path / "boot.py").write_bytes(BOOT)
    (folder.files_path / "main.py").write_text(f"print('lamp on')\n{QUIET}")
    return folder


@pytest.fixture
def has_package(folder: BoardFolder) -> None:
    """An interrupted deploy left twoslot's own files on it: a deploy copies what the test is about."""
    put_package(folder)


@pytest.fixture
def bench(micropython: None, folder: BoardFolder) -> Iterator[SerialBench]:
    """That board."""
    with SerialBench(folder, vm="micropython") as running:
        running.wait_for("lamp on")
        yield running


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return put_keys(tmp_path / "keys") / "lamp.keys"


def wanted(boot: bytes = BOOT) -> dict[str, bytes]:
    """What is on the board then, but for settings and keys."""
    return {
        **{f"/{path}": data for path, data in (package.package_files() | package.hook_file()).items()},
        "/boot.py": BOOT_LINE.encode() + b"\n" + boot,
    }


def test_deploy_and_undo(bench: SerialBench, keys: Path) -> None:
    before = dict(bench.board.files)
    said = slotbench("deploy", "--port", bench.port, *GIVEN, "--keys", keys, "--dry-run")
    assert f"+{BOOT_LINE}" in said and "nothing was written" in said
    assert bench.board.files == before
    bench.wait_for("lamp on", 2)
    said = slotbench("deploy", "--port", bench.port, *GIVEN, "--keys", keys)
    assert "compared by hash; the board was restarted" in said
    files = bench.board.files
    assert {path: files.get(path) for path in wanted()} == wanted()
    assert files["/twoslot.keys"] == files["/twoslot.keys2"] == pack_pinned(keys.read_bytes())
    assert files["/main.py"] == before["/main.py"] and "/twoslot.secret" not in files
    assert json.loads(files["/twoslot.json"]) == {
        "product": "lamp", "board": "generic_4m", "channel": "stable", "server": "http://updates.lan", "mpy_abi": 6}
    assert files_in(bench.flash(0x100000, 0xFB000)) == files
    facts = json.loads(slotbench("status", "--port", bench.port, "--json"))["result"]
    assert (facts["slot"], facts["version"], facts["confirmed"]) == ("A", "1.0.0", True)
    assert "nothing since the last start" in slotbench("log", "--port", bench.port)
    assert "refused: 1 not-connected" in mpremote(bench.port, "exec", "import twoslot; twoslot.check()")
    assert "1 not-connected (link): not connected to a network" in slotbench("log", "--port", bench.port)
    assert "nothing was written" in slotbench("deploy", "--port", bench.port)
    changed = ("--channel", "beta", "--cohort", "lab", "--mqtt", "broker.lan:1884", "--ntp", "time.lan")
    slotbench("deploy", "--port", bench.port, *changed)
    settings = json.loads(files["/twoslot.json"])
    assert (settings["channel"], settings["product"]) == ("beta", "lamp"), "settings that are not given stay"
    assert (settings["cohort"], settings["mqtt"], settings["ntp"]) == ("lab", "broker.lan:1884", "time.lan")
    said = slotbench("deploy", "--port", bench.port, "--undo")
    assert f"-{BOOT_LINE}" in said
    assert bench.board.files == before


@pytest.mark.usefixtures("has_package")
def test_a_board_keeps_its_secret_until_it_gets_another(bench: SerialBench, keys: Path, tmp_path: Path) -> None:
    """The file on this computer has it first; lost, it is read back over the cable."""
    known = tmp_path / "identities.json"
    give = ("deploy", "--port", bench.port, *GIVEN, "--keys", keys, "--identities", known)
    slotbench(*give, "--dry-run")
    assert not known.exists()
    device_id = bench.board.soc.unique_id.hex()
    assert f"{device_id}: its secret is in {known}" in slotbench(*give)

    def secret() -> str:
        entry = json.loads(known.read_text())[device_id]
        assert entry["chip"] == device_id
        here = entry["secret"]
        assert json.loads(bench.board.files["/twoslot.secret"]) == {"secret": here}
        return str(here)

    first = secret()
    assert len(bytes.fromhex(first)) == 32 and known.stat().st_mode & 0o777 == 0o600
    assert "nothing was written" in slotbench(*give)
    known.unlink()
    slotbench(*give)
    assert secret() == first
    slotbench(*give, "--new-identity")
    assert secret() != first
    slotbench("deploy", "--port", bench.port, "--undo")
    assert not [name for name in bench.board.files if "twoslot" in name]


@pytest.mark.usefixtures("has_package")
def test_the_cable_puts_keys_right_that_somebody_changed(bench: SerialBench, keys: Path) -> None:
    """Files and journal name an epoch of the attacker's; the next deploy with the right keys mends both."""
    give = ("deploy", "--port", bench.port, *GIVEN, "--keys", keys)
    assert "the boot journal knows these keys now" in slotbench(*give)
    right = hashlib.sha256(keys.read_bytes().split(b"\n")[0]).digest()[:16]
    cell = bench.board.cell
    assert cell is not None and (cell.key_epoch, cell.keys_digest) == (1, right)
    assert "nothing was written" in slotbench(*give)
    place = bench.board.profile.journal.start
    forged = replace(cell, sequence=cell.sequence + 9, key_epoch=(1 << 31) - 1, keys_digest=b"?" * 16)
    bench.board.flash.poke(place + 31 * 256, forged.pack())
    assert "the boot journal knows these keys now" in slotbench(*give)
    cell = bench.board.cell
    assert cell is not None and (cell.key_epoch, cell.keys_digest) == (1, right)


@pytest.mark.usefixtures("has_package")
def test_a_developers_board_gets_the_public_part_of_a_key_and_its_mark(bench: SerialBench, tmp_path: Path) -> None:
    slotbench("keys", "development", tmp_path / "keys")
    public = tmp_path / "keys" / "development.pub"
    given = ("--product", "lamp", "--server", "http://updates.lan", "--development-key", public)
    slotbench("deploy", "--port", bench.port, "--board", "d1_mini_dev", *given)
    assert bench.board.files["/twoslot.devkey"] == public.read_bytes()
    assert json.loads(bench.board.files["/twoslot.json"])["development"] is True
    own = tmp_path / "desk.toml"
    own.write_text('title = "Desk"\nbased_on = "generic_4m"\ndevelopment = true\nverified_on_hardware = false\n')
    slotbench("deploy", "--port", bench.port, *given, "--board", own)
    assert json.loads(bench.board.files["/twoslot.json"])["board"] == "desk"
    slotbench("deploy", "--port", bench.port, "--undo")
    assert "/twoslot.devkey" not in bench.board.files


def test_ampy_does_the_same(micropython: None, tmp_path: Path, keys: Path) -> None:
    folder = plain_folder(tmp_path / "board")
    there = {path: data for path, data in wanted().items() if "rsa" not in path}
    for path, data in there.items():
        (folder.files_path / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        (folder.files_path / path.lstrip("/")).write_bytes(data)
    with SerialBench(folder, vm="micropython") as bench:
        bench.wait_for("boot: slot A")
        said = slotbench("deploy", "--port", bench.port, *GIVEN, "--keys", keys, "--via", "ampy")
        assert f"copying 4 of {len(wanted()) + 3} files" in said, "one module, settings, both copies of the keys"
        assert {path: bench.board.files.get(path) for path in wanted()} == wanted()
        slotbench("deploy", "--port", bench.port, "--undo", "--via", "ampy")
        assert sorted(bench.board.files) == ["/boot.py", "/main.py"]


def test_the_same_command_continues_after_a_pulled_cable(bench: SerialBench, keys: Path) -> None:
    command = ("deploy", "--port", bench.port, *GIVEN, "--keys", keys)
    halves = (BOOT, wanted()["/boot.py"])
    went_on = 0
    for count in (1_500, 9_000, 25_000, 40_000):
        bench.uart.pull_after = count
        said = slotbench(*command, fails=True)
        assert "run the same command again" in said
        assert bench.board.files["/boot.py"] in halves
        went_on += "continuing an interrupted deploy" in said
    assert bench.uart.pulls == 4 and went_on
    said = slotbench(*command)
    assert "continuing an interrupted deploy" in said and "compared by hash" in said
    assert {path: bench.board.files.get(path) for path in wanted()} == wanted()
    assert not [path for path in bench.board.files if "part" in path]


@pytest.mark.usefixtures("has_package")
def test_modules_of_an_older_twoslot_are_removed(bench: SerialBench, tmp_path: Path) -> None:
    old = tmp_path / "old.mpy"
    old.write_bytes(b"M")
    mpremote(
        bench.port, "fs", "mkdir", ":twoslot/old",
        "+", "fs", "cp", old, ":twoslot/", "+", "fs", "cp", old, ":twoslot/old/", "+", "fs", "cp", old, ":twoslot/boot/")
    assert len([path for path in bench.board.files if path.endswith("/old.mpy")]) == 3
    assert "no keys are pinned" in slotbench("deploy", "--port", bench.port, *GIVEN)
    assert not [path for path in bench.board.files if path.endswith("/old.mpy")]
    left = mpremote(bench.port, "fs", "ls", ":twoslot")
    assert "old" not in left and "boot/" in left


def test_impossible_requests_are_refused_in_one_line(bench: SerialBench, keys: Path) -> None:
    said = slotbench("deploy", "--port", bench.port, "--product", "lamp", fails=True)
    assert "give --board, --server" in said
    bench.wait_for("lamp on", 2)
    said = slotbench("deploy", "--port", bench.port, *GIVEN[2:], "--product", "door", "--keys", keys, fails=True)
    assert "the keys are for the product lamp" in said
    assert "twoslot is not on the board" in slotbench("status", "--port", bench.port, fails=True)
    for verb in (("deploy", *GIVEN), ("check",)):
        assert "no such serial port" in slotbench(*verb, "--port", "/dev/nowhere", fails=True)


class ScriptedTransport:
    """A client that reports what the test scripts."""

    def __init__(self, **facts: object) -> None:
        self._vm = ("vm", *({"name": "micropython", "version": (1, 28, 0), "mpy": 0x2706, "platform": "esp8266"}
                            | facts).values())

    def run_script(self, script: str) -> str:
        return f"noise\n@twoslot {self._vm!r}\n" + self.more

    more = ""

    def put_files(self, folder: str, files: object, progress: object = None) -> None:
        raise AssertionError("nothing is to be put")


class Recording:
    """A client of a board that obeys; it records the commands."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._said = [f"@twoslot {('file', path, hashlib.sha256(data).hexdigest())}" for path, data in files.items()]
        self.scripts: list[str] = []

    def run_script(self, script: str) -> str:
        self.scripts.append(script)
        return "\n".join(self._said)

    def put_files(self, folder: str, files: Mapping[str, bytes], progress: object = None) -> None:
        self.scripts.append(f"put {sorted(files)}")
        self.moves = files["moves"].decode().splitlines()


def test_boot_is_renamed_when_all_it_runs_is_in_place() -> None:
    files = {"boot.py": b"b", "twoslot_boot.py": b"h", "twoslot/a.mpy": b"a", "twoslot/boot/a.mpy": b"a"}
    client = Recording(files)
    found = board_content.BoardContent((1, 28, 0), 6, {"twoslot_boot.py": "", "twoslot/old/b.mpy": ""}, {}, None, {})
    assert deploy.install_files(client, found, files, "port") == 4
    _, put, install = client.scripts
    assert put == "put ['boot.py', 'moves', 'twoslot-a.mpy', 'twoslot-boot-a.mpy', 'twoslot_boot.py']"
    names = [re.fullmatch(r"(\S+)\t\S+\t[0-9a-f]{64}", line)[1] for line in client.moves]  # type: ignore[index]
    assert sorted(names[:-1]) == ["twoslot-a.mpy", "twoslot-boot-a.mpy", "twoslot_boot.py"]
    assert names[-1] == "boot.py"
    assert "['twoslot', 'twoslot/boot']" in install, "the folders there must be, outer ones first"
    assert "['twoslot/old/b.mpy']" in install and "['twoslot/old']" in install


def test_a_file_that_differs_from_what_was_written_is_reported() -> None:
    client = Recording({"boot.py": b"other"})
    found = board_content.BoardContent((1, 28, 0), 6, {}, {}, None, {})
    with pytest.raises(BenchError, match="1 files do not hold what was written, the first is boot.py"):
        deploy.install_files(client, found, {"boot.py": b"b"}, "port")


def test_a_stock_board_is_set_up_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    """It would run twoslot, and install nothing: nothing is copied."""
    board = ScriptedTransport()
    board.more = "@twoslot ('no loader',)\n"
    assert not board_content.read_board(board, "port").has_loader
    monkeypatch.setattr(access, "TRANSPORTS", {"mpremote": lambda port: board})
    monkeypatch.setattr(command, "held_board", lambda access: nullcontext(None))
    code = cli.run([
        "deploy", "--port", "/dev/ttyUSB0", "--keys", str(put_keys(tmp_path / "keys") / "lamp.keys"), "--board", "d1_mini",
        "--server", "http://192.168.1.10:8266"])
    assert code == 2 and (
        "this board has no loader, so it could install no firmware: /dev/ttyUSB0; slotbench flash --port /dev/ttyUSB0 "
        "--from-stock; its firmware and its files stay") in capsys.readouterr().err


@pytest.mark.parametrize(("facts", "words"), [
    ({"platform": "esp32"}, "not MicroPython on an ESP8266"),
    ({"name": "circuitpython"}, "not MicroPython"),
    ({"mpy": 5}, "loads .mpy format 5, twoslot has format 6"),
    ({"version": (1, 19, 1)}, "1.19.1 on the board is too old: twoslot needs 1.20 or later"),
    ({"version": (1, 18, 0), "mpy": 5}, "1.18.0 on the board is too old: twoslot needs 1.20 or later"),
])
def test_other_boards_are_refused(facts: dict[str, object], words: str) -> None:
    with pytest.raises(BenchError, match=words):
        board_content.read_board(ScriptedTransport(**facts), "port")
    assert board_content.read_board(ScriptedTransport(), "port").mpy_abi == 6
    assert board_content.read_board(ScriptedTransport(version=(1, 20, 0)), "port").version == (1, 20, 0)


@pytest.mark.parametrize("boot", [b"led = 2  # twoslot\n", b"print('import twoslot_boot')\n", b"    import twoslot_boot2\n"])
def test_a_line_of_the_user_stays(boot: bytes) -> None:
    line = BOOT_LINE.encode() + b"\n"
    assert deploy.add_boot_line(boot, BOOT_LINE) == line + boot
    assert deploy.remove_boot_line(line + boot) == boot


def test_a_byte_order_mark_goes() -> None:
    """MicroPython takes it for a syntax error."""
    line = BOOT_LINE.encode() + b"\n"
    for boot in (b"\xef\xbb\xbf# mine\n", b"\xef\xbb\xbf" + line + b"# mine\n", line + b"\xef\xbb\xbf# mine\n"):
        assert deploy.add_boot_line(boot, BOOT_LINE) == line + b"# mine\n"


def test_a_boot_file_that_cannot_run_is_refused_before_anything_is_written(bench: SerialBench) -> None:
    bench.board.files["/boot.py"] = b"a = 1\ndef broken(:\n"
    before = dict(bench.board.files)
    said = slotbench("deploy", "--port", bench.port, *GIVEN, fails=True)
    assert "MicroPython cannot compile boot.py:3" in said and "mpremote edit :boot.py" in said
    assert bench.board.files == before


@pytest.mark.usefixtures("has_package")
def test_a_deploy_tells_when_the_hook_does_not_run(bench: SerialBench) -> None:
    """Here a module of the same name comes first on the path."""
    bench.board.files["/twoslot_boot/__init__.py"] = b""
    said = slotbench("deploy", "--port", bench.port, *GIVEN, fails=True)
    assert "boot.py did not run the boot hook" in said


@pytest.mark.parametrize("boot", [None, b"x = 1\n", b"x = 1", b"\r\n# a\r\n", b"import twoslot_boot  # twoslot\nx\n"])
def test_the_line_in_boot_comes_and_goes(boot: bytes | None) -> None:
    with_line = deploy.add_boot_line(boot, BOOT_LINE)
    assert with_line.splitlines()[0] == BOOT_LINE.encode()
    assert deploy.add_boot_line(with_line, BOOT_LINE) == with_line
    kept = boot if boot is None or b"# twoslot" not in boot else b"x\n"
    assert deploy.remove_boot_line(with_line) == kept
    compile(with_line, "boot.py", "exec")


def test_reports_are_found_among_other_output() -> None:
    assert parse_reports("x\r\n@twoslot ('a', b'\\x00')\r\n>@twoslot (1,)") == [("a", b"\x00"), (1,)]


def test_a_board_on_cpython_runs_what_was_deployed(tmp_path: Path) -> None:
    package.package_files()
    folder = plain_folder(tmp_path / "board")
    put_package(folder)
    with SerialBench(folder) as bench:
        bench.wait_for("boot: slot A")
        slotbench("deploy", "--port", bench.port, *GIVEN)
        assert json.loads(slotbench("status", "--port", bench.port, "--json"))["result"]["version"] == "1.0.0"
