"""The examples of the guide: nginx before the server, before the cockpit, and units of systemd."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPErrorProcessor, Request, build_opener, urlopen

import pytest

from slotbench.fleet.access_tokens import AccessRole, make_token
from slotbench.fleet.audit_log import Actor, list_audit
from slotbench.fleet.board_list import find_board
from slotbench.fleet.cockpit.app import Cockpit, create_cockpit
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.recorder import BoardRecorder
from slotbench.formats import identity
from slotbench.formats.release import Release
from slotbench.release.identities import Identities
from slotbench.release.publish import publish_release
from slotbench.release.store import Store
from slotbench.server import BackgroundServer, BoardAuthenticator, create_app
from support.board_client import SECRET
from support.commands import MakeRelease
from support.guides.page import Block, blocks
from support.guides.reader import SITES, parse
from support.mqtt.brokers import free_port
from support.samples import NOW, KeyRing
from support.web_servers.debian import nginx_folders, find_program, running

GUIDE = "host/docs/fleet.md"


def of(language: str) -> list[Block]:
    return [block for block in blocks(GUIDE) if block.language == language]


class KeepsRedirects(HTTPErrorProcessor):
    """An answer is an answer, whatever its status."""

    def http_response(self, request: Request, response):  # type: ignore[no-untyped-def]
        return response


@pytest.fixture
def nginx(tmp_path: Path):  # type: ignore[no-untyped-def]
    """Run nginx with a part of a configuration; its URL."""
    program = find_program("nginx", "nginx-light")

    def nginx(text: str, port: int):  # type: ignore[no-untyped-def]
        folder = tmp_path / "nginx"
        folder.mkdir()
        (folder / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error; events {{}}\n"
            f"http {{ access_log off; {nginx_folders(folder)}\n{text} }}\n")
        return running([program, "-p", folder, "-e", folder / "error", "-c", folder / "nginx.conf"], port, folder)

    return nginx


def test_boards_prove_who_they_are_through_nginx_which_sends_the_bytes(
    nginx, site: Store, ring: KeyRing, make_release: MakeRelease, firmware: bytes, recorder: BoardRecorder,  # type: ignore[no-untyped-def]
    database: FleetDatabase, tmp_path: Path,
) -> None:
    head = publish_release(site, make_release(7), ring.document, [firmware], ring.load("online"), NOW)
    Identities({"lamp-7": SECRET}).save(tmp_path / "boards.json")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    boards = BoardAuthenticator(
        tmp_path / "boards.json", require=True, public_url=url, clock=lambda: NOW, observer=recorder.observe)
    text = of("nginx")[1].text.replace("listen 80;", f"listen 127.0.0.1:{port};").replace(f"{SITES}/twoslot/site", str(site.root))
    with BackgroundServer(create_app(site.root, boards)) as server:
        with nginx(text.replace("http://127.0.0.1:8266", server.url), port):
            path = "/heads/sensor/stable.head"
            with pytest.raises(HTTPError) as refused:
                urlopen(Request(url + path, headers={"Authorization": 'Twoslot id="lamp-7"'}))
            refused.value.close()
            nonce = re.findall('nonce="([0-9a-f]+)"', refused.value.headers["WWW-Authenticate"])[0]
            proof = identity.IdentityProof(nonce=nonce, nc=1, report=1, about=5, running=5, mac="")
            mac = identity.compute_mac(SECRET, proof.message("GET", f"127.0.0.1:{port}", path))
            header = f'Twoslot id="lamp-7", nonce="{nonce}", nc=1, report="1/5", running="5", mac="{mac}"'
            with urlopen(Request(url + path, headers={
                    "Authorization": header, "X-Forwarded-For": "198.51.100.7"})) as answer:
                assert answer.status == 200
            payload = site.path(f"releases/{head.release}.release").read_bytes().splitlines()[0]
            image = Release.from_payload(payload).images["any"].url
            with urlopen(f"{url}/{image}") as answer:
                assert answer.read() == firmware and "immutable" in answer.headers["Cache-Control"]
    recorder.flush()
    with database.reading() as connection:
        found = find_board(connection, "lamp-7", NOW, 3600)
    assert found is not None and found.address == "127.0.0.1", "nginx says who asks, and believes nobody else"


def test_the_cockpit_is_used_through_nginx(nginx, database: FleetDatabase, site: Store) -> None:  # type: ignore[no-untyped-def]
    with database.writing() as connection:
        token = make_token(connection, Actor("somebody"), NOW, "anna", AccessRole.VIEWER)
    app = create_cockpit(Cockpit(
        database=database, site=site.root, clock=lambda: NOW, public_url="https://fleet.example.org"))
    port = free_port()
    block = of("nginx")[0].text
    with BackgroundServer(app) as server:
        proxied = block.replace("http://127.0.0.1:8270", server.url).replace("$scheme", "https")
        with nginx(f"server {{ listen 127.0.0.1:{port};\n{proxied} }}", port) as url:
            opener = build_opener(KeepsRedirects)
            name = {"Host": "fleet.example.org", "X-Forwarded-For": "198.51.100.7"}
            form = urlencode({"token": token}).encode()
            with opener.open(Request(f"{url}/login", form, name)) as answer:
                assert answer.status == 303 and answer.headers["Set-Cookie"].startswith("__Host-twoslot=")
                cookie = answer.headers["Set-Cookie"].partition(";")[0]
            with opener.open(Request(f"{url}/", headers=name | {"Cookie": cookie})) as answer:
                assert answer.status == 200 and b"Your fleet begins here" in answer.read()
            with opener.open(Request(f"{url}/", headers={"Host": "evil.example", "Cookie": cookie})) as answer:
                assert answer.status == 421
    with database.reading() as connection:
        assert list_audit(connection)[0].address == "127.0.0.1", "what a browser says of itself does not count"


@pytest.mark.parametrize("block", of("ini"), ids=["server", "rollouts"])
def test_a_unit_of_systemd_is_right(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = re.sub(r"\\\n\s*", "", block.text).partition("ExecStart=")[2].splitlines()[0]
    program, _, arguments = command.partition(" ")
    assert program == f"{SITES}/twoslot/.venv/bin/slotbench"
    (tmp_path / "slotbench.toml").write_text('product = "lamp"\nboard = "d1_mini"\n')
    monkeypatch.chdir(tmp_path)
    parse(arguments.split())
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    here = block.text.replace(program, sys.executable).replace("User=twoslot", "User=root")
    unit = tmp_path / "twoslot-test.service"
    unit.write_text(here)
    ran = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, timeout=60, check=False)
    said = [line for line in ran.stderr.splitlines() if unit.name in line]
    assert ran.returncode == 0 and not said, ran.stderr
