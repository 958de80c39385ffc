"""twoslot.http.identity: the board authenticates with a secret that never travels; without one it costs nothing."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from slotbench.formats import identity as host
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.vm import CPythonVM
from support.device.applications import put_application, put_record, trial_record, with_folder
from support.device.board import SERVER, DeviceBoard, refusal
from support.device.site import DONE, TABLE, Site, Updater

SECRET = bytes(range(32))
NONCE = "0123456789abcdef" * 3
Make = Callable[..., DeviceBoard]
HOST = SERVER.removeprefix("http://")
Asked = list[tuple[str, str | None]]

# RFC 4231, 4.2 to 4.5: key, data, HMAC-SHA-256. (Cases 6 and 7 have keys that are longer than a block.)
RFC_4231 = [
    (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    (b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    (bytes(range(1, 26)), b"\xcd" * 50, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
]


@pytest.mark.parametrize(("key", "data", "mac"), RFC_4231, ids=["1", "2", "3", "4"])
def test_hmac_is_that_of_rfc_4231(shared_vm: CPythonVM, key: bytes, data: bytes, mac: str) -> None:
    assert shared_vm.import_("twoslot.hmac").digest(key, data).hex() == mac == host.compute_mac(key, data)


def guarded(site: Site, asked: Asked, answer: Callable[[str | None], str | None]) -> WsgiNetwork:
    """The site behind a check of Authorization: `answer` gives the status of a refusal, or None."""
    app = site.app()

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        header = environ.get("HTTP_AUTHORIZATION")
        asked.append((environ["PATH_INFO"], header))
        status = answer(header)
        if status is None:
            return app(environ, start_response)
        start_response(status, [("WWW-Authenticate", f'Twoslot nonce="{NONCE}"'), ("Content-Length", "0")])
        return [b""]

    return WsgiNetwork(serve)


def challenging(header: str | None) -> str | None:
    """401 for a board without a challenge."""
    return None if header and "nonce" in header else "401 UNAUTHORIZED"


@pytest.fixture
def asked() -> Asked:
    return []


def start(make_board: Make, network: WsgiNetwork, secret: bytes | None = SECRET, **settings: Any) -> Updater:
    board = make_board(network, **settings)
    if secret is not None:
        board.files["/twoslot.secret"] = json.dumps({"secret": secret.hex()}).encode()
    return Updater(board, board.start())


def test_every_request_of_an_update_is_proven(make_board: Make, site: Site, asked: Asked) -> None:
    """One challenge serves all requests of the connection; each request is counted."""
    it = start(make_board, guarded(site, asked, challenging), device_id="lamp-7")
    assert it.run() == DONE
    assert asked[0][1] == 'Twoslot id="lamp-7"'
    assert it.network.connections <= 3
    for number, (path, header) in enumerate(asked[1:], 1):
        assert header is not None
        name, proof = host.parse_authorization(header) or ("", None)
        assert name == "lamp-7" and proof is not None
        assert (proof.nonce, proof.nc, proof.running, proof.report) == (NONCE, number, 5, 0)
        assert proof.matches(SECRET, "GET", HOST, path)
        assert not proof.matches(SECRET, "GET", HOST, path + "x") and not proof.matches(bytes(32), "GET", HOST, path)
        assert not proof.matches(SECRET, "GET", "another.example", path)
    text = repr(asked)
    assert SECRET.hex() not in text and hashlib.sha256(SECRET).hexdigest() not in text


def test_without_a_device_id_a_board_uses_its_chip_id(make_board: Make, site: Site, asked: Asked) -> None:
    it = start(make_board, guarded(site, asked, challenging))
    it.run(download=False)
    assert asked[0][1] == f'Twoslot id="{it.board.soc.unique_id.hex()}"'


def test_the_report_of_the_journal_is_sent(make_board: Make, site: Site, asked: Asked) -> None:
    it = start(make_board, guarded(site, asked, challenging))
    it.board.put_cell(1, it.board.newest().__class__(**{
        **{name: getattr(it.board.newest(), name) for name in ("state_a", "state_b", "counter_a", "floor")},
        "sequence": 9, "report": 2, "report_counter": 4}))
    it.run(download=False)
    assert 'report="2/4", running="5"' in (asked[1][1] or "")


def test_a_board_with_applications_says_what_became_of_them(make_board: Make, site: Site, asked: Asked) -> None:
    it = start(make_board, guarded(site, asked, challenging))
    put_record(it.board, with_folder(trial_record(active=0, attempts=0, report=2, report_counter=2), 0, counter=9))
    put_application(it.board, 0)
    it.run(download=False)
    path, header = asked[1]
    _, proof = host.parse_authorization(header or "") or ("", None)
    assert proof is not None and proof.app == (9, 2, 2)
    assert proof.matches(SECRET, "GET", HOST, path)
    assert not replace(proof, app=(8, 2, 2)).matches(SECRET, "GET", HOST, path)
    assert not replace(proof, app=None).matches(SECRET, "GET", HOST, path)


def test_a_board_without_a_secret_says_nothing_and_loads_nothing(make_board: Make, site: Site, asked: Asked) -> None:
    it = start(make_board, guarded(site, asked, lambda header: None), None)
    loaded: list[str] = []
    original = it.vm._load
    it.vm._load = lambda name, *rest: loaded.append(name) or original(name, *rest)  # type: ignore[method-assign, func-returns-value]
    assert it.run() == DONE
    assert {header for _, header in asked} == {None}
    assert "twoslot.http.request" in loaded and "twoslot.http.identity" not in loaded


def test_a_server_without_authentication_costs_nothing(make_board: Make, site: Site, asked: Asked) -> None:
    """A static host ignores the header, and no request is made twice."""
    it = start(make_board, guarded(site, asked, lambda header: None))
    assert it.run() == DONE
    paths = [path for path, _ in asked]
    assert len(paths) == len(set(paths))


@pytest.mark.parametrize(("secret", "status"), [
    (None, "401 UNAUTHORIZED"), (SECRET, "401 UNAUTHORIZED"), (SECRET, "403 FORBIDDEN")])
def test_a_server_that_refuses_every_proof_is_a_refusal(
    make_board: Make, site: Site, asked: Asked, secret: bytes | None, status: str,
) -> None:
    it = start(make_board, guarded(site, asked, lambda header: status), secret)
    with refusal(it.vm, "LinkError", 46, int(status[:3])):
        it.run()
    assert len(asked) <= 2, "one more request, and not more"


def test_a_challenge_that_is_over_is_replaced(make_board: Make, site: Site, asked: Asked) -> None:
    """During the download: one request more."""
    worn: list[str] = []

    def answer(header: str | None) -> str | None:
        if header and "nc=4" in header and not worn:
            worn.append(header)
            return "401 UNAUTHORIZED"
        return challenging(header)

    it = start(make_board, guarded(site, asked, answer))
    assert it.run() == DONE and worn
    counts = [int((re.findall(r"nc=(\d+)", header or "") or ["0"])[0]) for _, header in asked]
    assert counts[:6] == [0, 1, 2, 3, 4, 1] and counts == [*counts[:6], *range(2, len(counts) - 4)]
    assert asked[4][0] == asked[5][0], "the refused request is made again"


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"secret": 5}', b'{"secret": "00"}', b'{"secret": "zz"}'])
def test_an_unreadable_secret_is_reported_and_stops_nothing(
    make_board: Make, site: Site, asked: Asked, text: bytes,
) -> None:
    """The server may still serve the board, so the check goes on."""
    it = start(make_board, guarded(site, asked, lambda header: None), None)
    it.board.files["/twoslot.secret"] = text
    assert it.run() == DONE
    assert [code for _, code, _ in it.vm.import_("twoslot")._log] == [74]
    assert {header for _, header in asked} == {None}


def test_another_server_hears_nothing_of_the_secret(make_board: Make, site: Site, asked: Asked) -> None:
    """A release may name its parts by whole URLs: that server is asked as by a board without a secret."""
    it = start(make_board, guarded(site, asked, challenging))
    it.agent.begin()
    while it.agent.state != TABLE:
        it.agent.step()
    known = len(asked)
    it.agent.plan["blocks_url"] = "http://cdn.example/" + it.agent.plan["blocks_url"]
    with refusal(it.vm, "LinkError", 46, 401):
        while it.agent.state == TABLE:
            it.agent.step()
    assert all(header for _, header in asked[:known]), "its own server knows it"
    assert {header for _, header in asked[known:]} == {None}


@pytest.mark.parametrize("nonce", ["", "xyz", "ABCD", "0" * 65, "00\rX-Evil: 1", "00\x00", "0 0"], ids=repr)
def test_a_challenge_that_is_not_hex_is_not_sent_back(make_board: Make, site: Site, asked: Asked, nonce: str) -> None:
    """It would stand in a header of the next request."""
    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        asked.append((environ["PATH_INFO"], environ.get("HTTP_AUTHORIZATION")))
        start_response("401 UNAUTHORIZED", [("WWW-Authenticate", f'Twoslot nonce="{nonce}"'), ("Content-Length", "0")])
        return [b""]

    it = start(make_board, WsgiNetwork(serve))
    with refusal(it.vm, "LinkError", 6, 2):
        it.run()
    assert [header for _, header in asked] == [f'Twoslot id="{it.board.soc.unique_id.hex()}"']
