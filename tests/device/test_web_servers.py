"""A board updates from the web servers and caches that people have: nginx, Apache, lighttpd, Caddy, HAProxy, Varnish."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from slotbench.release.identities import Identities
from slotbench.server import BackgroundServer, BoardAuthenticator, create_app
from slotbench.vboard.network.loopback import LoopbackNetwork
from slotbench.vboard.network.wsgi import WsgiNetwork
from support.device.board import BOARD, DeviceBoard, refusal, signing_key
from support.device.site import BLOCKS, DONE, IMAGE, Site, Updater
from support.mqtt.brokers import free_port
from support.web_servers.debian import PREFIX, SERVERS, nginx_before, serving

Make = Callable[..., DeviceBoard]
SECRET = bytes(range(32))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = Site(tmp_path_factory.mktemp("published"))
    site.publish()
    return site


@pytest.fixture(params=SERVERS)
def url(request: pytest.FixtureRequest, published: Site) -> Iterator[str]:
    with serving(request.param, published.root) as url:
        yield url


def test_a_board_updates(make_board: Make, url: str) -> None:
    """Documents, table and image, from the root of a server."""
    board = make_board(LoopbackNetwork(), server=url)
    it = Updater(board, board.start())
    assert it.run() == DONE
    assert it.slot() == IMAGE


def test_a_board_takes_only_what_it_lacks(make_board: Make, url: str) -> None:
    """The site lies under a path. Half of the blocks are in place, every second one: each run is a range."""
    board = make_board(LoopbackNetwork(), server=url + PREFIX)
    start = BOARD.slots[1].image.start
    for block in range(0, BLOCKS, 2):
        board.flash.poke(start + block * 4096, IMAGE[block * 4096:(block + 1) * 4096])
    it = Updater(board, board.start())
    assert it.run() == DONE
    assert it.slot() == IMAGE
    assert it.written_blocks() == list(range(1, BLOCKS, 2))


def test_no_newer_keys_are_told_as_what_the_head_is_refused_for(make_board: Make, url: str) -> None:
    """Each server has a page of its own for what is not there."""
    board = make_board(LoopbackNetwork(), server=url)
    online, other = (base64.b64encode(signing_key(name).modulus) for name in ("online", "stranger"))
    board.files["/twoslot.keys"] = board.files["/twoslot.keys"].replace(online, other)
    it = Updater(board, board.start())
    with refusal(it.vm, "ReleaseError", 21, 0):
        it.run()


@pytest.mark.parametrize("told", [True, False], ids=["with --url", "without"])
def test_who_asks_is_known_behind_a_proxy_under_a_path(
    make_board: Make, published: Site, tmp_path: Path, told: bool,
) -> None:
    """The MAC covers host and path as the board has them, and the proxy changes both: the server must be told."""
    identities = tmp_path / "boards.json"
    Identities({"lamp-7": SECRET}).save(identities)
    with ExitStack() as stack:
        port = free_port()
        proxy = stack.enter_context(nginx_before(f"http://127.0.0.1:{port}", tmp_path))
        boards = BoardAuthenticator(identities, require=True, public_url=proxy + PREFIX if told else None)
        stack.enter_context(BackgroundServer(create_app(published.root, boards), port=port))
        board = make_board(LoopbackNetwork(), server=proxy + PREFIX, device_id="lamp-7")
        board.files["/twoslot.secret"] = json.dumps({"secret": SECRET.hex()}).encode()
        it = Updater(board, board.start())
        if not told:
            with refusal(it.vm, "LinkError", 46, 403):
                it.run()
            return
        assert it.run() == DONE and it.slot() == IMAGE
        assert {name: known["running"] for name, known in boards.list_boards().items()} == {"lamp-7": 5}


def test_a_range_that_begins_earlier_is_read_from_where_it_is_wanted(make_board: Make, published: Site) -> None:
    """A cache may answer with a range of its own, and says so: what was not asked for is read past."""
    site = published.app()

    def earlier(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", environ.get("HTTP_RANGE", ""))
        if asked:
            start = max(0, int(asked[1]) - 5000)
            environ["HTTP_RANGE"] = f"bytes={start}-{asked[2]}"
        return site(environ, start_response)

    board = make_board(WsgiNetwork(earlier))
    start = BOARD.slots[1].image.start
    for block in range(0, BLOCKS, 2):
        board.flash.poke(start + block * 4096, IMAGE[block * 4096:(block + 1) * 4096])
    it = Updater(board, board.start())
    assert it.run() == DONE
    assert it.slot() == IMAGE
    assert it.written_blocks() == list(range(1, BLOCKS, 2))
