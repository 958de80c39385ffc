"""Code costs heap: each phase of an update loads its modules and lets go of them before the next."""

from __future__ import annotations

import gc
from collections.abc import Callable
from types import FunctionType
from typing import Any

import pytest

from slotbench.vboard.signals import ChipReset
from slotbench.vboard.vm import CPythonVM
from slotbench.vboard.wsgi import WsgiNetwork
from support.device_board import DeviceBoard
from support.device_site import ARM, DONE, FETCH, RELEASE, SURVEY, TABLE, VERIFY, Site, Updater, files_app

RESIDENT = {"errors", "port", "schedule"}
AGENT = {"agent", "decide", "errors", "journal", "port", "settings", "slots", "swap"}
JUDGE, TRANSFER = {"release", "seal"}, {"fetch", "answer", "writer"}
STAYS = {
    RELEASE: AGENT | {"offer"}, TABLE: AGENT | {"offer"}, SURVEY: AGENT | {"offer"} | TRANSFER,
    FETCH: AGENT | {"offer"} | TRANSFER, VERIFY: AGENT | {"offer", "writer"},
    ARM: AGENT | {"offer", "writer"}, DONE: AGENT | {"offer"},
}


class Watched(dict[str, bytes]):
    """The board's files; notes what else was loaded whenever a module is."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(files)
        self.vm: CPythonVM | None = None
        self.together: list[set[str]] = []

    def __getitem__(self, path: str) -> bytes:
        if self.vm and path.startswith("/twoslot/"):
            self.together.append(loaded(self.vm))
        return super().__getitem__(path)


def loaded(vm: CPythonVM) -> set[str]:
    """Modules of the package in the board's sys.modules."""
    return {name.removeprefix("twoslot.") for name in vm.modules if name.startswith("twoslot.")}


def alive(vm: CPythonVM) -> set[str]:
    """Modules of this VM's package whose functions are still referenced by anything."""
    gc.collect()
    own = vars(vm.modules["__main__"])["__builtins__"]
    functions = (thing for thing in gc.get_objects() if isinstance(thing, FunctionType))
    names = {
        str(f.__globals__.get("__name__")) for f in functions if f.__globals__.get("__builtins__") is own}
    return {name.removeprefix("twoslot.") for name in names if name.startswith("twoslot.")}


@pytest.fixture
def board(make_board: Callable[..., DeviceBoard], site: Site) -> DeviceBoard:
    made = make_board(WsgiNetwork(site.app()))
    made.files = Watched(made.files)
    return made


def test_each_phase_holds_what_it_needs_and_nothing_else(board: DeviceBoard) -> None:
    vm = board.start()
    updater = Updater(board, vm)
    seen: dict[int, set[str]] = {}
    updater.agent.begin()
    while updater.agent.state != DONE:
        updater.agent.step()
        seen.setdefault(updater.agent.state, set()).update(loaded(vm))

    assert seen == STAYS


def test_what_is_dropped_is_really_gone(board: DeviceBoard) -> None:
    """An object keeps its class and a class its module: nothing that outlives a phase may belong to it."""
    vm = board.start()
    updater = Updater(board, vm)
    updater.agent.begin()
    state = updater.agent.state
    while updater.agent.state != DONE:
        updater.agent.step()
        if updater.agent.state != state:
            state = updater.agent.state
            assert alive(vm) <= STAYS[state], f"held in state {state}"


def test_judging_and_transferring_never_share_the_heap(board: DeviceBoard) -> None:
    files = board.files
    assert isinstance(files, Watched)
    vm = files.vm = board.start()
    updater = Updater(board, vm)
    assert updater.run() == DONE

    assert files.together, "no import was seen"
    for modules in files.together:
        assert not (modules & JUDGE and modules & TRANSFER), f"loaded together: {sorted(modules)}"


def run(vm: CPythonVM, source: str) -> None:
    try:
        vm.exec("import twoslot\n" + source)
    except ChipReset:
        pass


@pytest.mark.parametrize(
    "source",
    [
        "twoslot.status()", "twoslot.check()", "twoslot.tick()", "twoslot.rollback()", "twoslot.confirm()",
        "for i in range(3): twoslot.check()", "twoslot.log()",
    ])
def test_after_each_verb_only_the_countdown_stays(board: DeviceBoard, source: str) -> None:
    vm = board.start()
    run(vm, source)

    assert loaded(vm) <= RESIDENT
    assert alive(vm) <= RESIDENT, "a verb left something that holds a module"
    kept: Any = vm.modules["twoslot"]
    held = {"agent", "swap", "hand", "journal", "release"} & set(vars(kept))
    assert not held, "an attribute of the package holds a module"


@pytest.mark.parametrize("fault", ["offline", "no head", "forged", "worn", "memory"])
def test_after_a_refusal_in_tick_only_the_countdown_stays(board: DeviceBoard, fault: str) -> None:
    vm = board.start()
    run(vm, "twoslot.tick()")
    if fault == "offline":
        board.net.online = False
    elif fault == "no head":
        board.net.app = files_app({})  # type: ignore[attr-defined]
    elif fault == "forged":
        board.files["/twoslot.keys"] = board.files["/twoslot.keys"].replace(b'"online":"', b'"online":"AAAA')
    elif fault == "worn":
        for sector in (1, 2):
            board.flash.set_stuck(sector)
    else:
        vm.exec("import twoslot.schedule\ndef full(): raise MemoryError\ntwoslot.load = full")
    board.chip.clock.advance_ms(60_000)
    run(vm, "twoslot.tick()")

    assert vm.eval("len(twoslot._log)") == 1, "nothing was refused"
    assert loaded(vm) <= RESIDENT
    assert alive(vm) <= RESIDENT


def test_ctrl_c_in_a_verb_lets_go_of_everything(board: DeviceBoard) -> None:
    vm = board.start()
    vm.interrupt_at(board.chip.clock.ms + 900)
    with pytest.raises(KeyboardInterrupt):
        vm.exec("import twoslot\ntwoslot.update()")
    vm.interrupt_at(None)

    assert loaded(vm) <= RESIDENT
    assert alive(vm) <= RESIDENT
    with pytest.raises(ChipReset):
        vm.exec("twoslot.update()")
    assert board.newest().active == 1
