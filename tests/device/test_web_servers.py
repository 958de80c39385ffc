"""A board updates from the web servers and caches that people have: nginx, Apache, lighttpd, Caddy, HAProxy, Varnish."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator

import pytest

from slotbench.vboard.network.loopback import LoopbackNetwork
from support.device.board import BOARD, DeviceBoard, refusal, signing_key
from support.device.site import BLOCKS, DONE, IMAGE, Site, Updater
from support.web_servers.debian import PREFIX, SERVERS, serving

Make = Callable[..., DeviceBoard]


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
    assert it.erased_blocks() == list(range(1, BLOCKS, 2))


def test_no_newer_keys_are_told_as_what_the_head_is_refused_for(make_board: Make, url: str) -> None:
    """Each server has a page of its own for what is not there."""
    board = make_board(LoopbackNetwork(), server=url)
    online, other = (base64.b64encode(signing_key(name).modulus) for name in ("online", "stranger"))
    board.files["/twoslot.keys"] = board.files["/twoslot.keys"].replace(online, other)
    it = Updater(board, board.start())
    with refusal(it.vm, "ReleaseError", 21, 0):
        it.run()
