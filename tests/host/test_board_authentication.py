"""A board proves its identity by a secret (`server.board_authenticator`, `release.identities`).

Nothing replays, nothing altered is accepted, and a server that does not require identities still serves every board.
"""

from __future__ import annotations

import json
import logging
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from flask.testing import FlaskClient

from slotbench.errors import BenchError
from slotbench.formats import identity
from slotbench.release.identities import Identities, parse_secret
from slotbench.server import BackgroundServer, BoardAuthenticator, create_app, create_boards_app
from slotbench.server.app import boards_json
from slotbench.server.board_authenticator import LIFE_S
from support.board_client import HEAD, HOST, SECRET, BoardClient
from support.commands import RunCommand
from support.samples import NOW

Serving: TypeAlias = Callable[..., tuple[FlaskClient, BoardAuthenticator]]
"""Starts a server with one head; `require` is its --require-identity."""


@pytest.fixture
def identities_file(tmp_path: Path) -> Path:
    file = tmp_path / "identities.json"
    Identities({"lamp-7": SECRET}).save(file)
    return file


@pytest.fixture
def clock() -> list[float]:
    return [float(NOW)]


@pytest.fixture
def serving(tmp_path: Path, identities_file: Path, clock: list[float]) -> Serving:
    """Start a server that has one head."""
    (tmp_path / "www/heads/sensor").mkdir(parents=True)
    (tmp_path / "www/heads/sensor/stable.head").write_bytes(b"a head\n")

    def serving(require: bool = True) -> tuple[FlaskClient, BoardAuthenticator]:
        boards = BoardAuthenticator(identities_file, require=require, clock=lambda: clock[0])
        return create_app(tmp_path / "www", boards).test_client(), boards

    return serving


def test_a_board_with_its_secret_is_served(serving: Serving) -> None:
    client, boards = serving()
    board = BoardClient(client)
    first = board.get()
    assert (first.status_code, first.data) == (401, b"") and board.nonce

    assert board.get().status_code == 200
    assert board.get(running=6).status_code == 200
    assert boards.list_boards() == {
        "lamp-7": {"running": 6, "report": "confirmed", "report_counter": 5, "seen": NOW}}


def test_what_a_board_says_of_its_program_is_proved_too(serving: Serving) -> None:
    client, boards = serving()
    seen: list[tuple[int, int, int] | None] = []
    boards.observer = lambda request: seen.append(request.app)
    board = BoardClient(client)
    board.get()
    board.get(app=(3, 2, 4))
    forged = board.proof(nc=2, app=(3, 2, 4)).replace('app="3/2/4"', 'app="4/1/4"')
    assert board.send(HEAD, forged).status_code == 403
    board.get(nc=3)
    assert seen == [(3, 2, 4), None]


def test_a_replayed_request_is_rejected(serving: Serving) -> None:
    client, boards = serving()
    board = BoardClient(client)
    board.get()
    board.get()
    heard = board.proof()
    assert board.send(HEAD, heard).status_code == 401, "the same again"
    board.get()
    board.get()
    late = board.proof(nc=1)
    assert board.send(HEAD, late).status_code == 401, "a lower count of the same challenge"


def test_a_superseded_challenge_is_rejected(serving: Serving) -> None:
    """A request that was held back and arrives after the board got a new challenge."""
    client, _ = serving()
    held, board = BoardClient(client), BoardClient(client)
    held.get()
    board.get()
    assert board.get().status_code == 200
    assert held.get().status_code == 401


@pytest.mark.parametrize("wrong", [
    {"told": 9}, {"method": "HEAD"}, {"host": "evil.example"}],
    ids=["another counter", "another method", "another host"])
def test_an_altered_request_is_rejected(serving: Serving, wrong: dict[str, Any]) -> None:
    client, boards = serving()
    board = BoardClient(client)
    board.get()
    assert board.get(**wrong).status_code == 403
    assert boards.list_boards() == {}


def test_a_proof_is_valid_for_one_path(serving: Serving) -> None:
    client, _ = serving()
    board = BoardClient(client)
    board.get()
    board.nc = 1
    assert board.send(HEAD, board.proof("/keys/sensor.keys")).status_code == 403


@pytest.mark.parametrize(("device_id", "secret"), [("lamp-7", bytes(32)), ("lamp-8", SECRET)])
def test_a_wrong_secret_or_device_id_is_refused(serving: Serving, device_id: str, secret: bytes) -> None:
    client, boards = serving()
    board = BoardClient(client, device_id, secret)
    board.get()
    assert board.get().status_code == 403
    assert boards.list_boards() == {}


def test_a_challenge_expires(serving: Serving, clock: list[float]) -> None:
    client, _ = serving()
    board = BoardClient(client)
    board.get()
    clock[0] += LIFE_S - 1
    assert board.get().status_code == 200
    clock[0] += 2
    assert board.get().status_code == 401
    assert board.get().status_code == 200


def test_a_challenge_does_not_outlive_the_server(serving: Serving) -> None:
    client, _ = serving()
    board = BoardClient(client)
    board.get()
    board.client, _ = serving()
    assert board.get().status_code == 401
    assert board.get().status_code == 200


@pytest.mark.parametrize("nonce", ["0" * 48, "f" * 48, "0", "f" * 64])
def test_an_invented_challenge_is_rejected(serving: Serving, nonce: str) -> None:
    client, _ = serving()
    board = BoardClient(client)
    board.nonce = nonce
    assert board.get().status_code == 401


@pytest.mark.parametrize("header", [
    "", "Basic YTpi", "Twoslot", 'Twoslot id=""', 'Twoslot id="lamp-7", nonce="00"', 'twoslot id="lamp-7"',
    'Twoslot id="lamp-7", nonce="00", nc=-1, report="1/5", running="5", mac="' + "0" * 64 + '"'])
def test_another_header_gets_a_challenge_or_anonymous_service(serving: Serving, header: str) -> None:
    client, _ = serving()
    assert client.get(HEAD, headers={"Authorization": header}).status_code == 401
    open_client, boards = serving(require=False)
    assert open_client.get(HEAD, headers={"Authorization": header}).status_code == 200
    assert boards.list_boards() == {}


def test_an_open_server_still_authenticates_boards(serving: Serving) -> None:
    client, boards = serving(require=False)
    board = BoardClient(client)
    assert board.get().status_code == 401
    assert board.get().status_code == 200
    assert list(boards.list_boards()) == ["lamp-7"]


@pytest.mark.parametrize(("device_id", "secret"), [("lamp-7", bytes(32)), ("lamp-8", SECRET)])
def test_an_open_server_serves_but_does_not_list_an_unproven_board(
    serving: Serving, device_id: str, secret: bytes, caplog: pytest.LogCaptureFixture,
) -> None:
    client, boards = serving(require=False)
    board = BoardClient(client, device_id, secret)
    board.get()
    assert board.get().status_code == 200
    assert boards.list_boards() == {}
    assert f"{device_id} " in caplog.text and "not authenticated" in caplog.text


def test_boards_are_listed_for_this_computer_only(serving: Serving) -> None:
    client, boards = serving()
    board = BoardClient(client)
    board.get()
    board.get(report="3/9")

    listed = create_boards_app(boards).test_client().get("/boards")

    assert listed.json == {"lamp-7": {"running": 5, "report": "unproven", "report_counter": 9, "seen": NOW}}


def test_boards_are_not_listed_where_boards_ask(serving: Serving, tmp_path: Path) -> None:
    """Neither to this computer: a reverse proxy on it looks like that."""
    client, _ = serving(require=False)
    assert client.get("/boards").status_code == 404
    assert create_app(tmp_path).test_client().get("/boards").status_code == 404


@pytest.mark.parametrize(("host", "status"), [
    ("127.0.0.1:4711", 200), ("localhost", 200), ("[::1]:80", 200), ("rebound.example:4711", 404), ("", 404), ("127.0.0.1.example", 404),
])
def test_a_page_whose_name_was_made_to_point_here_sees_no_list(serving: Serving, host: str, status: int) -> None:
    client = create_boards_app(serving()[1]).test_client()
    assert client.get("/boards", headers={"Host": host}).status_code == status


def test_the_list_has_a_port_of_its_own_on_loopback(serving: Serving, tmp_path: Path) -> None:
    _, boards = serving()
    with BackgroundServer(create_app(tmp_path / "www", boards), local_app=create_boards_app(boards)) as server:
        assert server.local_port != server.port and server.local_url == f"http://127.0.0.1:{server.local_port}"
        with urlopen(f"{server.local_url}/boards") as response:
            assert response.read() == b"{}\n"
        for url in (f"{server.local_url}/heads/sensor/stable.head", f"{server.url}/boards"):
            with pytest.raises(HTTPError) as refused:
                urlopen(url)
            refused.value.close()
            assert refused.value.code in (401, 404)


def test_no_request_waits_while_the_boards_are_listed(serving: Serving, tmp_path: Path) -> None:
    client, boards = serving()
    ids = [f"lamp-{number:03}" for number in range(500)]
    Identities(dict.fromkeys(ids, SECRET)).save(tmp_path / "identities.json")
    members = [BoardClient(client, device_id) for device_id in ids]
    for member in (each for each in members for _ in range(2)):
        member.get()
    pieces = boards_json(boards)
    listed = next(pieces)
    assert members[7].get(running=6).status_code == 200, "a board is answered in the middle of the list"
    found = json.loads(listed + "".join(pieces))
    assert list(found) == ids and found["lamp-007"]["running"] == 5
    assert json.loads("".join(boards_json(BoardAuthenticator(tmp_path / "identities.json")))) == {}


def test_a_change_is_logged_once(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    client, _ = serving()
    board = BoardClient(client)
    with caplog.at_level(logging.INFO):
        for running in (5, 5, 6):
            board.get()
            board.get(running=running)
    assert [r.message for r in caplog.records if "runs" in r.message] == [
        "lamp-7 runs 5, its report: confirmed 5", "lamp-7 runs 6, its report: confirmed 5"]


def test_an_unknown_report_is_listed_as_unknown(serving: Serving) -> None:
    client, boards = serving()
    board = BoardClient(client)
    board.get()
    assert board.get(report="99/5").status_code == 200
    assert boards.list_boards()["lamp-7"]["report"] == "unknown"


def test_the_identities_file_is_reloaded_when_it_changes(serving: Serving, identities_file: Path) -> None:
    client, _ = serving()
    board = BoardClient(client, "lamp-8")
    board.get()
    assert board.get().status_code == 403
    Identities({"lamp-7": SECRET, "lamp-8": SECRET}).save(identities_file)
    assert board.get().status_code == 200


def test_a_damaged_identities_file_keeps_the_loaded_secrets(
    serving: Serving, identities_file: Path, caplog: pytest.LogCaptureFixture,
) -> None:
    client, _ = serving()
    board = BoardClient(client)
    board.get()
    identities_file.write_bytes(b"{")
    assert board.get().status_code == 200
    assert "the loaded secrets stay in use" in caplog.text


@pytest.mark.parametrize("text", [
    b"", b"[]", b'{"a": 5}', b'{"a": "00"}', b'{"\\"": "%s"}' % (b"0" * 64), b'{"": "%s"}' % (b"0" * 64)])
def test_a_file_that_is_not_an_identities_file_is_refused(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "identities.json"
    file.write_bytes(text)
    with pytest.raises(BenchError, match="identities.json; give the file that") as caught:
        Identities.load(file)
    assert caught.value.exit_code == 2


def test_only_the_owner_can_read_the_identities_file(
    identities_file: Path, caplog: pytest.LogCaptureFixture,
) -> None:
    assert stat.S_IMODE(identities_file.stat().st_mode) == 0o600
    identities_file.chmod(0o644)
    Identities.load(identities_file)
    assert "can be read by others; run chmod 600 on it" in caplog.text


def test_each_board_has_its_own_secret() -> None:
    known = Identities({}).with_board("a", "1a", None).with_board("b", "1b", None)
    assert len(set(known.secrets.values())) == 2
    assert parse_secret(known.secret_file("a")) == known.secrets["a"]


def test_a_known_secret_is_kept() -> None:
    known = Identities({}).with_board("a", "1a", SECRET)
    assert known.secrets["a"] == SECRET
    assert known.with_board("a", "1a", bytes(32)).secrets["a"] == SECRET, "what is known here counts more"
    assert known.with_board("a", "1a", SECRET, renew=True).secrets["a"] != SECRET


def test_a_secret_belongs_to_its_chip(tmp_path: Path) -> None:
    """A board at this port calls itself by the name of another: it gets nothing, unless it takes its place."""
    Identities({}).with_board("lamp-7", "1a", SECRET).save(tmp_path / "boards.json")
    known = Identities.load(tmp_path / "boards.json")
    assert (known.secrets, known.chips) == ({"lamp-7": SECRET}, {"lamp-7": "1a"})
    with pytest.raises(BenchError, match="the secret of lamp-7 belongs to the chip 1a, and this is the chip 2b"):
        known.with_board("lamp-7", "2b", None)
    renewed = known.with_board("lamp-7", "2b", None, renew=True)
    assert renewed.secrets["lamp-7"] != SECRET and renewed.chips == {"lamp-7": "2b"}


def test_a_file_without_chips_binds_them_as_they_come(identities_file: Path) -> None:
    """Files of before: the first chip that asks for a name has it."""
    known = Identities.load(identities_file).with_board("lamp-7", "1a", None)
    assert known.secrets["lamp-7"] == SECRET and known.chips == {"lamp-7": "1a"}


@pytest.mark.parametrize("entry", [
    {"secret": "00" * 32}, {"secret": "00" * 32, "chip": "1a", "x": 1}, {"secret": 5, "chip": "1a"},
    {"secret": "00" * 32, "chip": 5.5}, {"secret": "00" * 32, "chip": "lamp"}, {"secret": "00" * 32, "chip": ""}], ids=str)
def test_an_entry_that_is_none_is_refused(tmp_path: Path, entry: dict[str, object]) -> None:
    (tmp_path / "boards.json").write_text(json.dumps({"lamp-7": entry}))
    with pytest.raises(BenchError, match="of lamp-7 is not"):
        Identities.load(tmp_path / "boards.json")


def test_a_device_id_that_cannot_be_in_a_header_is_refused() -> None:
    for name in ("", 'a"b', "é", "a\nb", "x" * 65):
        with pytest.raises(BenchError, match="cannot be used as a device id: device_id in twoslot.json"):
            Identities({}).with_board(name, "1a", None)


@pytest.mark.parametrize("file", [None, b"", b"{}", b"5", b'{"secret": 5}', b'{"secret": "00"}'])
def test_a_damaged_secret_file_holds_no_secret(file: bytes | None) -> None:
    assert parse_secret(file) is None


@pytest.mark.parametrize(("url", "path"), [
    ("http://updates.lan/lamps", "/lamps"), ("http://updates.lan/lamps/", "/lamps"), ("http://updates.lan", ""),
    ("http://updates.lan/", "")])
def test_behind_a_proxy_the_boards_server_counts(
    tmp_path: Path, identities_file: Path, serving: Serving, url: str, path: str,
) -> None:
    """Not what the proxy makes of it. Nobody else says it: a header of a stranger's choice would let requests travel."""
    serving()
    boards = BoardAuthenticator(identities_file, require=True, public_url=url)
    client = create_app(tmp_path / "www", boards).test_client()
    board = BoardClient(client)
    board.get()
    board.nc = 1
    for host, told in (("updates.lan", path + HEAD), ("localhost", path + HEAD), ("updates.lan", "/x" + HEAD)):
        header = board.proof(told, host=host)
        forwarded = {"Authorization": header, "X-Forwarded-Host": host, "X-Forwarded-Prefix": "/x"}
        right = (host, told) == ("updates.lan", path + HEAD)
        assert client.get(HEAD, headers=forwarded).status_code == (200 if right else 403)


@pytest.mark.parametrize("url", ["updates.lan", "https://updates.lan", "http://", "http:///lamps", "http://a b"])
def test_a_url_that_no_board_can_have_is_refused(identities_file: Path, url: str) -> None:
    with pytest.raises(BenchError, match="is not a server of boards; give it as the boards have it: http://HOST/PATH"):
        BoardAuthenticator(identities_file, public_url=url)


def test_a_url_needs_a_file(slotbench: RunCommand, tmp_path: Path) -> None:
    ran = slotbench("serve", tmp_path, "--url", "http://updates.lan")
    assert ran.code == 2 and "--url needs --identities FILE" in ran.err
    ran = slotbench("serve", tmp_path, "--url", "https://updates.lan", "--identities", tmp_path / "boards.json")
    assert ran.code == 2 and "a board speaks plain HTTP" in ran.err


def test_require_identity_needs_a_file(slotbench: RunCommand, tmp_path: Path) -> None:
    ran = slotbench("serve", tmp_path, "--require-identity")
    assert ran.code == 2 and "--require-identity needs --identities FILE" in ran.err


def test_the_message_of_formats_md_byte_for_byte() -> None:
    """FORMATS, board authentication, byte for byte."""
    header = (
        'Twoslot id="lamp-7", nonce="00ff", nc=3, report="1/5", running="5", '
        'mac="f0e4dad8a8d3deb744f79fbbcc8d680007c158bc9bc40f0211415ce101fd2adc"')
    name, proof = identity.parse_authorization(header)
    assert name == "lamp-7"
    assert proof.message("GET", HOST, HEAD) == b"GET\nlocalhost\n/heads/sensor/stable.head\n00ff\n3\n1/5\n5"
    assert proof.matches(SECRET, "GET", HOST, HEAD) and not proof.matches(SECRET, "HEAD", HOST, HEAD)
    assert not proof.matches(SECRET, "GET", "evil.example", HEAD)
