"""Wi-Fi: networks are tried on the board, remembered by the SDK, and never left without a way back."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from slotbench.errors import BenchError
from slotbench.repl.wifi import WifiNetwork, WifiTrial, refusal, try_network, wifi_file
from slotbench.vboard.network.base import AccessPoint
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.signals import ChipReset
from slotbench.vboard.vm import CPythonVM
from support.device.board import DeviceBoard
from support.device.site import Site
from support.device.transport import OnBoard

HOME = WifiNetwork("home", "correct horse")
OLD = WifiNetwork("old", "old password")
NAMES = {
    "plain": HOME,
    "open": WifiNetwork("free"),
    "quotes": WifiNetwork("it's \"home\" \\ here", "pass'\"\\word"),
    "not ASCII": WifiNetwork("Café ☕ 東京", "geheim äöü 😀"),
    "63 characters": WifiNetwork("x" * 32, "p" * 63),
    "percent": WifiNetwork("100%s %d", "%s%%{0}pass"),
}


def access_point(network: WifiNetwork, **facts: bool) -> AccessPoint:
    return AccessPoint(network.ssid.encode(), network.password.encode(), **facts)


@pytest.fixture
def at_home(make_board: Callable[..., DeviceBoard], site: Site) -> Callable[..., DeviceBoard]:
    """A board among these access points, with these networks in its twoslot.wifi."""

    def made(*points: AccessPoint, known: Sequence[WifiNetwork] = ()) -> DeviceBoard:
        network = WsgiNetwork(site.app())
        network.access_points = points
        board = make_board(network)
        if known:
            board.files["/twoslot.wifi"] = wifi_file(known)
        return board

    return made


def tried(vm: CPythonVM, network: WifiNetwork) -> WifiTrial:
    return try_network(OnBoard(vm), network, "http://updates.test:8080", "port")


def station(vm: CPythonVM) -> Any:
    return vm.import_("network").WLAN(0)


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("network", NAMES.values(), ids=NAMES)
def test_a_network_is_joined_and_remembered(at_home: Callable[..., DeviceBoard], network: WifiNetwork, hidden: bool) -> None:
    board = at_home(access_point(network, hidden=hidden))
    assert tried(board.start(), network) == WifiTrial(5, "192.168.100.3", -60)
    again = board.start()
    board.soc.clock.advance_ms(4_000)
    assert station(again).isconnected(), "the SDK joins it at each start, without main.py"


def test_a_wrong_password_is_told_and_the_old_network_is_back(at_home: Callable[..., DeviceBoard]) -> None:
    board = at_home(access_point(HOME), access_point(OLD), known=[OLD])
    vm = board.start()
    trial = tried(vm, WifiNetwork("home", "correct hors"))
    assert trial.is_refused and "refuses the password of 'home'" in str(refusal(HOME, trial, "port"))
    board.soc.clock.advance_ms(4_000)
    assert station(vm).isconnected() and station(vm).config("essid") == "old"


def test_out_of_range_names_what_the_board_sees(at_home: Callable[..., DeviceBoard]) -> None:
    board = at_home(access_point(HOME, in_range=False), access_point(OLD), access_point(NAMES["not ASCII"], hidden=True))
    trial = tried(board.start(), HOME)
    said = str(refusal(HOME, trial, "port"))
    assert "does not find the network 'home'; it sees 'old'" in said and "2.4 GHz" in said


def test_a_server_out_of_reach_is_told(at_home: Callable[..., DeviceBoard]) -> None:
    trial = tried(at_home(access_point(HOME, reaches_server=False)).start(), HOME)
    assert trial.is_up and trial.server_error == 113


@pytest.mark.parametrize(("ssid", "password"), [
    ("", "password"), ("x" * 33, "password"), ("ä" * 17, "password"), ("home", "1234567"), ("home", "p" * 64)])
def test_what_no_network_has_is_refused_before_a_board_is_asked(ssid: str, password: str) -> None:
    with pytest.raises(BenchError) as refused:
        WifiNetwork(ssid, password)
    assert refused.value.exit_code == 2
    assert not password or password not in str(refused.value)


def test_no_password_is_in_what_is_printed() -> None:
    assert "correct" not in repr(HOME)


def failing(vm: CPythonVM, count: int, *, reached: bool = False, kind: str = "LinkError") -> None:
    """So many checks in a row fail."""
    schedule = vm.import_("twoslot.schedule").Schedule(3600, False, None, 30_000)
    error = getattr(vm.import_("twoslot.errors"), kind)(24, 0)
    vm.import_("twoslot")._agent = SimpleNamespace(
        state=0, stage=0, tries=0, source=None, interval_s=None, retry_after=0, accepted=reached, etag=None)
    for _ in range(count):
        vm.import_("twoslot.outcome").conclude(schedule, error, 0)


def test_the_fallback_is_taken_after_five_failures_and_the_first_again(at_home: Callable[..., DeviceBoard]) -> None:
    board = at_home(access_point(HOME), access_point(OLD), known=[HOME, OLD])
    vm = board.start()
    tried(vm, HOME)
    failing(vm, 4)
    assert station(vm).config("essid") == "home"
    failing(vm, 5)
    assert station(vm).config("essid") == "old"
    failing(vm, 5, kind="ReleaseError")
    assert station(vm).config("essid") == "home", "a captive portal answers, with no document of ours"
    assert not [name for name in vm.modules if name == "twoslot.wifi"], "it is dropped again"


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{}", b"[1, 2]", b"null", b"[[", wifi_file([HOME])])
def test_without_a_second_network_nothing_is_changed(at_home: Callable[..., DeviceBoard], content: bytes | None) -> None:
    board = at_home(access_point(HOME))
    if content is not None:
        board.files["/twoslot.wifi"] = content
    vm = board.start()
    tried(vm, HOME)
    failing(vm, 10)
    assert station(vm).config("essid") == "home"


def test_a_check_that_reached_the_server_changes_no_network(at_home: Callable[..., DeviceBoard]) -> None:
    board = at_home(access_point(HOME), access_point(OLD), known=[HOME, OLD])
    vm = board.start()
    tried(vm, HOME)
    failing(vm, 10, reached=True)
    assert station(vm).config("essid") == "home"


def update(board: DeviceBoard, minutes: int) -> bool:
    """Let the program call tick() for so long; whether a release was installed meanwhile."""
    vm = board.start()
    vm.exec("import time, twoslot")
    try:
        for _ in range(minutes * 60):
            vm.exec("twoslot.tick()\ntime.sleep_ms(1000)")
    except ChipReset:
        return True
    return False


@pytest.mark.parametrize("facts", [{"in_range": False}, {"reaches_server": False}, {}], ids=["gone", "no way on", "right"])
def test_a_change_over_the_air_never_loses_the_board(at_home: Callable[..., DeviceBoard], facts: dict[str, bool]) -> None:
    """A program of the board changes the network; through one of the two the board gets its update."""
    board = at_home(access_point(HOME, **facts), access_point(OLD), known=[OLD])
    vm = board.start()
    tried(vm, OLD)
    change = f"from twoslot import wifi\nprint('changed', wifi.change({HOME.ssid!r}, {HOME.password!r}))"
    vm.exec(change + "\n" + change)
    assert "changed True\nchanged False\n" in vm.output, "it may be called at each start"
    assert json.loads(board.files["/twoslot.wifi"]) == [["home", HOME.password], ["old", OLD.password]]
    assert "/twoslot.wifi.part" not in board.files
    assert update(board, 10)


def test_three_networks_are_kept(at_home: Callable[..., DeviceBoard]) -> None:
    board = at_home(access_point(HOME), known=[HOME])
    vm = board.start()
    vm.exec("from twoslot import wifi\nfor n in range(5):\n    wifi.change('net%d' % n, 'password')")
    assert [name for name, _ in json.loads(board.files["/twoslot.wifi"])] == ["net4", "net3", "net2"]


def test_a_board_without_a_known_network_is_not_changed(at_home: Callable[..., DeviceBoard]) -> None:
    """There would be no way back."""
    board = at_home(access_point(HOME))
    vm = board.start()
    vm.exec("from twoslot import wifi\ntry:\n    wifi.change('a', 'password')\nexcept OSError as e:\n    print(e)")
    assert "no twoslot.wifi" in vm.output and "/twoslot.wifi" not in board.files
