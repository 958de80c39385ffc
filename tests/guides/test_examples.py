"""What the guides show of files: programs run on a virtual board, settings load, server files are taken."""

from __future__ import annotations

import ast
import configparser
import os
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from slotbench import cli
from slotbench.server import create_app
from slotbench.vboard.chip.machine import Machine
from slotbench.vboard.firmware import build
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.live.wiring import load_wiring
from support.chip.requirements import require_core
from support.guides.page import ROOT, Block, blocks, pages, prerequisites, section
from support.guides.reader import SITES, Reader
from support.mqtt.brokers import free_port

ALL = [block for page in pages() for block in blocks(page)]


def of(language: str) -> list[Block]:
    return [block for block in ALL if block.language == language]


def ids(block: Block) -> str:
    return f"{block.page}:{block.line}"


def test_blocks_are_of_kinds_that_are_tested() -> None:
    assert {block.language for block in ALL} == {"sh", "text", "", "python", "json", "nginx", "ini"}
    assert [block.page for block in ALL if not block.language] == ["README.md"], "the map of the flash"


@pytest.mark.parametrize("block", [b for b in of("python") if b.text.startswith("# main.py")], ids=ids)
def test_a_program_runs_on_a_board(block: Block, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "board"
    assert cli.run(["board", "new", str(folder)]) == 0
    (folder / "files" / "main.py").write_text(block.text)
    capsys.readouterr()
    assert cli.run(["board", "run", str(folder), "--speed", "max", "--for", "60"]) == 0
    said, errors = capsys.readouterr()
    assert "boot: slot A" in said and not errors
    assert "Traceback" not in said and "Error" not in said, said


PROGRAMS_HERE = ("# ship.py\n",)


@pytest.mark.parametrize("block", [b for b in of("python") if b.text.startswith(PROGRAMS_HERE)], ids=ids)
def test_a_program_runs_here(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    """Twice, as the page says; and it is as short as it promises."""
    assert len(block.text.splitlines()) <= 12
    (tmp_path / "firmware.bin").write_bytes(build("2.0.0", size=96 * 1024))
    monkeypatch.chdir(tmp_path)
    assert cli.run(["init", "lamp"]) == 0
    for _ in range(2):
        capsys.readouterr()
        exec(compile(block.text, block.page, "exec"), {"__name__": "__main__"})
        assert capsys.readouterr().out.splitlines() == [
            "an image of the bench, which no chip runs", "counter 2 for 10 % of the boards"]
    assert len(list((tmp_path / "site" / "releases").iterdir())) == 1


@pytest.mark.parametrize("block", [b for b in of("python") if b.text.startswith("# wiring.py")], ids=ids)
def test_a_wiring_names_parts(block: Block, tmp_path: Path) -> None:
    require_core()
    (tmp_path / "wiring.py").write_text(block.text)
    pins = Machine(NorFlash(0x400000)).pins
    for part in load_wiring(tmp_path, is_own=True).parts:
        pins.attach(part)
        assert part.state() is not None
    assert len(pins.parts) >= 2


MANIFESTS = [b for b in of("python") if not b.text.startswith(("# main.py", "# wiring.py", *PROGRAMS_HERE))]


@pytest.mark.parametrize("block", MANIFESTS, ids=ids)
def test_a_manifest_includes_what_is_there(block: Block, tmp_path: Path) -> None:
    assert cli.run(["deploy", "--to-folder", str(tmp_path)]) == 0
    assert block.text.startswith("# manifest.py")
    assert {ast.unparse(call.func) for call in ast.walk(ast.parse(block.text)) if isinstance(call, ast.Call)} <= {
        "include", "module", "package"}
    path = re.search(r'"/path/to/package/(.+)"', block.text)
    assert path is not None and (tmp_path / path[1]).is_file()
    listed = (tmp_path / path[1]).parent
    assert (listed / "twoslot" / "agent.py").is_file() and not list(listed.rglob("constants.py"))


def settings_rows() -> list[list[str]]:
    text = section(ROOT / "device/docs/settings.md", "All settings")
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in re.findall(r"^\| \d.*$", text, re.M)]


def test_the_table_of_settings_is_that_of_the_device() -> None:
    tree = ast.parse((ROOT / "device/twoslot/settings.py").read_text(encoding="utf-8"))
    keys = next(node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_KEYS")
    assert isinstance(keys, ast.Tuple)
    names = [ast.literal_eval(entry.elts[0]) for entry in keys.elts if isinstance(entry, ast.Tuple)]
    assert [(int(row[0]), row[1]) for row in settings_rows()] == list(enumerate(names, 1))


@pytest.mark.parametrize("block", of("json"), ids=ids)
def test_settings_are_taken_by_a_board(block: Block, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A board with them says that it has no network, and not that it cannot read its settings (70)."""
    folder = tmp_path / "board"
    assert cli.run(["board", "new", str(folder)]) == 0
    (folder / "files" / "twoslot.json").write_text(block.text)
    (folder / "files" / "main.py").write_text("import twoslot\ntwoslot.check()\n")
    capsys.readouterr()
    assert cli.run(["board", "run", str(folder), "--speed", "max", "--for", "10"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^twoslot: .*\b1\b", said, re.M) and "refused: 70" not in said, said


SERVER_PAGE = "host/docs/server.md"


@pytest.fixture
def hosted(tmp_path: Path) -> Reader:
    """Somebody who published a site and copied it to where a server has it, as the guide says."""
    (tmp_path / "firmware.bin").write_bytes(build("2.0.0", size=64 * 1024))
    reader = Reader(tmp_path, usb=lambda: "", broker=lambda: "")
    releases = [block for block in prerequisites(SERVER_PAGE) if block.page == "host/docs/releases.md"]
    copied = [block for block in blocks(SERVER_PAGE) if block.section == "Host it behind nginx"]
    reader.read([*releases, *copied])
    return reader


@pytest.fixture
def nginx() -> str:
    """Where nginx is, or the test is skipped."""
    found = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
    if found is None:
        reason = "needs the Debian package nginx-light (.ci/run installs it)"
        if os.environ.get("TWOSLOT_REQUIRE_TOOLS"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@contextmanager
def serving(program: str, folder: Path, text: str) -> Iterator[str]:
    """nginx with this configuration on a free port of this computer; its URL."""
    port = free_port()
    text = text.replace("listen 80;", f"listen 127.0.0.1:{port};").replace(SITES, f"{folder}{SITES}")
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/nginx.pid; events {{}}\n"
        f"http {{ access_log {folder}/access.log; {temporary} {text} }}\n")
    run = subprocess.Popen([program, "-p", folder, "-e", folder / "error.log", "-c", folder / "nginx.conf"])
    try:
        while True:
            assert run.poll() is None, (folder / "error.log").read_text()
            with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 5):
                break
        yield f"http://127.0.0.1:{port}"
    finally:
        run.terminate()
        run.communicate()


def test_a_board_updates_from_nginx(nginx: str, hosted: Reader) -> None:
    """Without patches, as one of another release: then blocks come by ranges."""
    block, _ = (block for block in of("nginx") if block.page == SERVER_PAGE)
    shutil.rmtree(f"{hosted.folder}{SITES}/twoslot/site/patches")
    with serving(nginx, hosted.folder, block.text) as url:
        new = f"slotbench board new lamp1 --keys keys/lamp.keys --server {url}"
        assert hosted.type(new)[0] == 0
        code, said = hosted.type("slotbench board run lamp1 --speed max --for 120")
    assert code == 0 and "boot: slot B, 2.0.0" in said, said
    code, said = hosted.type("slotbench status --dump lamp1/flash.bin")
    assert "confirmed  yes" in said and "version    2.0.0" in said, said
    log = (hosted.folder / "access.log").read_text()
    assert " 206 " in log


FOLDERS = {"blocks", "heads", "images", "keys", "patches", "releases"}
"""Of a site that has had two releases."""


def test_what_nginx_may_keep_is_what_the_server_of_the_bench_lets_be_kept(nginx: str, hosted: Reader) -> None:
    block, _ = (block for block in of("nginx") if block.page == SERVER_PAGE)
    names = [
        path.relative_to(hosted.folder / "site").as_posix() for path in (hosted.folder / "site").rglob("[!.]*.*")]
    assert {name.split("/")[0] for name in names} == FOLDERS
    app = create_app(hosted.folder / "site").test_client()
    with serving(nginx, hosted.folder, block.text) as url:
        for name in names:
            with urllib.request.urlopen(f"{url}/{name}", timeout=90) as answer:
                assert answer.headers["Cache-Control"] == app.get(f"/{name}").headers["Cache-Control"], name


def test_the_timer_signs_heads_again(hosted: Reader) -> None:
    service, timer = (block for block in of("ini") if block.page == SERVER_PAGE)
    command = re.sub(r"\\\n\s*", "", service.text).partition("ExecStart=")[2].splitlines()[0]
    program, _, arguments = command.partition(" ")
    assert program.startswith(SITES) and program.endswith("/slotbench")
    shutil.copytree(hosted.folder / "keys", f"{hosted.folder}{SITES}/twoslot/keys")
    code, said = hosted.type(f"slotbench {arguments}")
    assert code == 0 and "head seq 2" in said, said
    parsed = configparser.ConfigParser()
    parsed.read_string(timer.text)
    assert parsed["Timer"]["OnCalendar"] == "weekly"
