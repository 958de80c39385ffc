"""Ports of the board that listen: socket.bind, listen and accept, over real loopback sockets, on both VMs."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.network.loopback import LoopbackNetwork
from slotbench.vboard.soc import Soc
from slotbench.vboard.vm import DeviceVM

OPEN = """\
import socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("0.0.0.0", 8267))
s.listen(1)
s.settimeout(0)
"""
TRY = """\
def errno(call):
    try:
        call()
    except OSError as e:
        return e.args[0]
"""


@pytest.fixture
def network() -> LoopbackNetwork:
    return LoopbackNetwork()


@pytest.fixture
def board(vm: Callable[..., DeviceVM], network: LoopbackNetwork) -> Iterator[DeviceVM]:
    soc = Soc(NorFlash(0x400000))
    running = vm(soc, {}, network)
    soc.clock.advance_ms(5000)
    running.exec(TRY)
    yield running
    running.close()


def test_who_connects_is_accepted_and_heard(board: DeviceVM, network: LoopbackNetwork) -> None:
    board.exec(OPEN)
    with socket.create_connection(network.place(8267), 5) as client:
        client.sendall(b"hello")
        board.exec("c = s.accept()[0]\nc.settimeout(5)\nb = bytearray(5)\nn = c.readinto(b)")
        assert (board.eval("n"), board.eval("b")) == (5, bytearray(b"hello"))
        board.exec("c.write(b'there')\nc.close()")
        assert client.recv(10) == b"there"


def test_nobody_is_eagain_and_takes_no_time(board: DeviceVM) -> None:
    board.exec(OPEN)
    before = board.runtime.clock.us
    assert board.eval("errno(s.accept)") == 11
    assert board.runtime.clock.us - before < 1000


def test_with_a_time_limit_nobody_is_a_timeout_in_virtual_time(board: DeviceVM) -> None:
    board.exec(OPEN + "s.settimeout(3)")
    before = board.runtime.clock.us
    assert board.eval("errno(s.accept)") == 110
    assert 3_000_000 <= board.runtime.clock.us - before < 3_100_000


def test_a_board_without_an_address_is_not_reached(board: DeviceVM, network: LoopbackNetwork) -> None:
    board.exec(OPEN)
    network.online = False
    with socket.create_connection(network.place(8267), 5):
        assert board.eval("errno(s.accept)") == 11
        network.online = True
        board.exec("c = s.accept()")


@pytest.mark.parametrize("use", ["socket.socket().listen(1)", "socket.socket().accept()"])
def test_a_socket_that_is_not_bound_does_not_listen(use: str, board: DeviceVM) -> None:
    board.exec("import socket")
    assert board.eval(f"errno(lambda: {use})") == 22


def test_a_closed_one_accepts_nobody_and_refuses_who_connects(board: DeviceVM, network: LoopbackNetwork) -> None:
    place = network.place(8267)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(place, 5)
    board.exec(OPEN + "s.close()")
    assert board.eval("errno(s.accept)") == 9
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(place, 5)
    assert network.places == {8267: f"127.0.0.1:{place[1]}"}, "and the place stays the same"


def test_a_reset_closes_what_listened(board: DeviceVM, network: LoopbackNetwork) -> None:
    board.exec(OPEN)
    board.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(network.place(8267), 5)
