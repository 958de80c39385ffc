"""`slotbench doctor`: each thing that usually goes wrong is found, with its cure; what is read is not changed."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from slotbench.doctor import State, computer
from slotbench.doctor.site_url import ask_site
from slotbench.formats.head import Head
from slotbench.project import project_text
from slotbench.release import documents
from slotbench.release.expiry import warn_of_site
from slotbench.release.store import Store, head_name
from slotbench.server import BackgroundServer, create_app
from support.commands import MakeRelease, RunCommand
from support.samples import NOW, PRODUCT, KeyRing, files_below

DAY_S = 86400
Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture
def project(
    tmp_path: Path, ring: KeyRing, make_release: MakeRelease, site: Store, firmware_file: Path, slotbench: RunCommand,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A project whose site offers counter 7 for thirty days, and whose server nobody has started."""
    published = slotbench(
        "release", "publish", make_release(), site.root, "--image", firmware_file, "--key", ring.online, "--keys",
        ring.document)
    assert published.code == 0, published.err
    values = {
        "product": PRODUCT, "board": "generic_4m", "site": "www", "keys": f"keys/{PRODUCT}.keys",
        "server": "http://127.0.0.1:1"}
    (tmp_path / "slotbench.toml").write_text(project_text(values))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("slotbench.cli.doctor.check_port", lambda port: iter(()))
    return tmp_path


def diagnoses(slotbench: RunCommand, *arguments: str) -> dict[str, list[dict[str, str]]]:
    """What is found, by its check."""
    said = json.loads(slotbench("doctor", "--json", *arguments).out)
    found: dict[str, list[dict[str, str]]] = {}
    for each in said["result"]:
        found.setdefault(each["check"], []).append(each)
    return found


def test_a_sound_project_passes_and_nothing_is_changed(slotbench: RunCommand, project: Path) -> None:
    before = {name: (project / name).stat().st_mtime_ns for name in files_below(project)}
    ended = slotbench("doctor", "--no-server")
    assert ended.code == 0, ended.out + ended.err
    assert "ok       site: sensor/stable is counter 7" in ended.out
    assert "warning  offline key: sensor has one offline key" in ended.out and "--add-offline" in ended.out
    assert "has no passphrase" in ended.out and "slotbench keys passphrase" in ended.out
    assert {name: (project / name).stat().st_mtime_ns for name in files_below(project)} == before


def test_what_is_wrong_ends_it_with_1_and_has_a_cure(slotbench: RunCommand, project: Path) -> None:
    (project / "keys" / "online.pem").chmod(0o644)
    ended = slotbench("doctor", "--json")
    said = json.loads(ended.out)
    assert ended.code == 1 and not said["ok"] and said["error"]["what"].startswith("2 of ")
    wrong = {each["check"]: each for each in said["result"] if each["state"] == "wrong"}
    assert wrong["modes"]["cure"].startswith("chmod 600 ")
    assert "does not answer (Connection refused)" in wrong["server"]["what"] and "slotbench serve" in wrong["server"]["cure"]
    assert all(each["cure"] for each in said["result"] if each["state"] != "ok")


@pytest.mark.parametrize(("days", "state", "words"), [
    (20, "ok", "is counter 7"), (24, "warning", "expires in 6 days"), (29.5, "warning", "expires in 12 hours"),
    (31, "wrong", "expired on")])
def test_heads_that_expire(
    slotbench: RunCommand, project: Path, monkeypatch: pytest.MonkeyPatch, days: float, state: str, words: str,
) -> None:
    """And wherever else a head is read."""
    monkeypatch.setattr("time.time", lambda: NOW + days * DAY_S)
    (site,) = diagnoses(slotbench, "--no-server")["site"]
    assert site["state"] == state and words in site["what"]
    head = project / "www" / head_name(PRODUCT, "stable")
    for command in (("release", "list"), ("release", "show", head)):
        said = slotbench(*command)
        assert (words in said.err and "--refresh" in said.err) is (state != "ok"), said.err


def test_a_key_in_the_served_folder(slotbench: RunCommand, project: Path) -> None:
    text = (project / "slotbench.toml").read_text()
    (project / "slotbench.toml").write_text(text + '\nonline_key = "www/online.pem"\n')
    (project / "www" / "online.pem").write_bytes((project / "keys" / "online.pem").read_bytes())
    (project / "www" / "online.pem").chmod(0o600)
    found = diagnoses(slotbench, "--no-server")
    assert any("is in the folder that is served" in each["what"] for each in found["modes"])


def test_a_clock_that_is_off(slotbench: RunCommand, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: NOW - 3 * DAY_S)
    (clock,) = diagnoses(slotbench, "--no-server")["clock"]
    assert clock["state"] == "wrong" and "before what was signed" in clock["what"]
    assert computer.check_clock(NOW, 0, NOW + 2.0 * DAY_S).state is State.WRONG
    assert computer.check_clock(1_000_000, 0, None).state is State.WRONG
    assert computer.check_clock(NOW, NOW, NOW + 30.0).state is State.OK


def test_no_project_and_an_empty_one(
    slotbench: RunCommand, tmp_path: Path, ring: KeyRing, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert diagnoses(slotbench)["project"][0]["cure"] == "slotbench init NAME"
    (tmp_path / "slotbench.toml").write_text(project_text({"product": PRODUCT, "board": "generic_4m"}))
    found = diagnoses(slotbench)
    assert found["site"][0]["cure"] == "slotbench ship firmware.bin"
    assert "names no server" in found["address"][0]["what"]
    ring.document.unlink()
    assert diagnoses(slotbench)["keys"][0]["state"] == "wrong"


def test_tools_that_are_missing_or_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computer.importlib.metadata, "requires", lambda name: [
        "esptool>=99.0", "no-such-tool >= 1.0", "click>=8.2", 'pytest>=99; extra == "test"'])
    found = [each for each in computer.check_tools() if each.check == "tools"]
    assert [each.cure for each in found] == ["pip install --upgrade esptool", "pip install no-such-tool"]


def test_without_a_compiler_no_firmware_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    (found,) = [each for each in computer.check_tools() if each.check == "compiler"]
    assert found.state is State.WARNING and "ziglang" in found.cure
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    assert not [each for each in computer.check_tools() if each.check == "compiler"]


def test_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: [])
    (none,) = computer.check_port(None)
    assert none.state is State.WARNING and "data lines" in none.cure
    (absent,) = computer.check_port("/dev/ttyNOWHERE")
    assert absent.state is State.WRONG and "no such serial port" in absent.what
    master, slave = os.openpty()
    (there,) = computer.check_port(os.ttyname(slave))
    assert there.state is State.OK
    for descriptor in (master, slave):
        os.close(descriptor)


@contextmanager
def serving(answer: Callable[[str], Answer]) -> Iterator[str]:
    """A web server of somebody else's."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert "Accept-Encoding" not in self.headers
            status, headers, body = answer(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/twoslot"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("answer", "words", "cure"), [
    ((301, {"Location": "https://lamp.example/"}, b""), "redirects to https://lamp.example/", "ci.md"),
    ((404, {}, b"not here"), "answers 404 Not Found for sensor/stable", "copy its whole folder"),
    ((200, {}, b"<html>Welcome</html>"), "something that is no head", "check the path"),
    ((200, {"Content-Encoding": "gzip"}, b"\x1f\x8b"), "compresses what it sends (gzip)", "switch compression off"),
])
def test_servers_that_boards_cannot_use(answer: Answer, words: str, cure: str) -> None:
    asked: list[str] = []
    with serving(lambda path: (asked.append(path), answer)[1]) as url:
        found = ask_site(url, PRODUCT, "stable").finding
    assert found.state is State.WRONG and words in found.what and cure in found.cure
    assert asked == ["/twoslot/heads/sensor/stable.head"], "no redirect is followed"


def test_a_server_with_the_site_an_older_one_and_another(project: Path) -> None:
    path = project / "www" / head_name(PRODUCT, "stable")
    head = documents.read_head(path)[1]
    body = path.read_bytes()
    with serving(lambda asked: (200, {}, body)) as url:
        right = ask_site(url, PRODUCT, "stable", head)
        assert right.finding.state is State.OK and right.head == head and right.server_s is not None
        newer = Head(**{**{name: getattr(head, name) for name in head.__slots__}, "seq": head.seq + 1})
        assert "offers an older head" in ask_site(url, PRODUCT, "stable", newer).finding.what
        assert "serves a head of sensor/stable for sensor/beta" in ask_site(url, PRODUCT, "beta").finding.what


@pytest.mark.parametrize("redirects", [True, False])
def test_ship_asks_the_site_as_a_board_would(slotbench: RunCommand, project: Path, firmware_file: Path, redirects: bool) -> None:
    def answer(path: str) -> Answer:
        if redirects:
            return 308, {"Location": "https://elsewhere.example/"}, b""
        return 200, {}, (project / "www" / path.removeprefix("/twoslot/")).read_bytes()

    with serving(answer) as url:
        text = (project / "slotbench.toml").read_text()
        (project / "slotbench.toml").write_text(text.replace("http://127.0.0.1:1", url))
        ended = slotbench("ship", firmware_file, "--yes", "--no-preflight")
    assert ended.code == 0, ended.err
    assert ("redirects to https://elsewhere.example/" in ended.err) is redirects
    assert (f"{url} offers counter 7" in ended.out) is not redirects


def test_a_server_that_runs_for_weeks_warns_each_day(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    looks: list[str] = []

    def look() -> None:
        warn_of_site(project / "www", NOW + 25 * DAY_S)
        looks.append(caplog.text)
        if len(looks) == 2:
            raise KeyboardInterrupt

    with BackgroundServer(create_app(project / "www"), "127.0.0.1", 0) as server:
        with pytest.raises(KeyboardInterrupt):
            server.wait(look, 0.0)
    assert looks[1].count("the head of sensor/stable expires in 5 days") == 2 and "--refresh" in looks[1]
