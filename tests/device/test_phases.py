"""Code costs heap: each phase of an update loads its modules and lets go of them before the next."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

import pytest

from slotbench.formats.journal import SlotState
from slotbench.formats.rtc import BootReason
from slotbench.mpy import built, sources
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.signals import ChipReset
from slotbench.vboard.vm import CPythonVM
from support.device.board import BOARD, DeviceBoard
from support.device.decision import first
from support.device.site import (
    ACTIVATE,
    DONE,
    DOWNLOAD,
    HEAD,
    IMAGE,
    RELEASE,
    SCAN,
    TABLE,
    VERIFY,
    Site,
    Updater,
    files_app,
)

RESIDENT = {"schedule"}
AGENT = {"agent", "errors"}
BOOT = AGENT | {"flash", "boot.control"}
REQUEST = AGENT | {"http.request", "http.lines", "http.response"}
VERIFY_DOCUMENT = AGENT | {"trust.verify"}
BEGIN = AGENT | {"attempt", "modules", "settings"}
FACTS = BOOT | {"boot.facts"}
RESOLVE = AGENT | {"http.documents", "resolver"}
ASK = REQUEST | {"http.documents"}
KEYRING = VERIFY_DOCUMENT | {"trust.keyring"}
READ = VERIFY_DOCUMENT | {"trust.rsa", "trust.document"}
JUDGE = VERIFY_DOCUMENT | {"trust.policy", "trust.fields", "settings"}
NEWS = BOOT | {"boot.head"}
HOOK = AGENT | {"hook_line"}
SPARE = BOOT | {"boot.spare", "boot.window_log"}
ACTIVATE_SPARE = BOOT | {"boot.spare", "retained"}
REQUEST_IMAGE = REQUEST | {"image.request", "flash"}
IMAGE_TABLE = AGENT | {"image.table", "image.download", "flash", "http.response"}
SCANS = AGENT | {"image.scan", "flash", "http.response"}
CONFIRM = NEWS | {"boot.trial", "boot.window_log", "retained"}
PHASES = [
    BEGIN, FACTS, RESOLVE, ASK, KEYRING, READ, JUDGE, NEWS, HOOK, SPARE, REQUEST_IMAGE, IMAGE_TABLE, SCANS,
    ACTIVATE_SPARE]
"""What is loaded together at most, in the order of an update. The download itself is less than the table."""
BETWEEN = AGENT | {"flash", "http.response"}
STAYS = {
    HEAD: AGENT, RELEASE: AGENT, TABLE: AGENT, SCAN: BETWEEN, DOWNLOAD: BETWEEN, VERIFY: BETWEEN, ACTIVATE: AGENT,
    DONE: AGENT,
}
"""What is loaded when a state has just begun."""
TWO_TICKS = "twoslot.tick()\ntwoslot.tick()"
"""The first ones after a boot: one loads what makes the schedule, the other makes it."""


def as_built(files: dict[str, bytes]) -> dict[str, bytes]:
    """A board's files, with the package as boards get it: modules that are always loaded together are one."""
    others = {path: content for path, content in files.items() if not path.startswith("/twoslot/")}
    return others | {f"/twoslot/{path}": content for path, content in built(sources()).items()}


class Watched(dict[str, bytes]):
    """The board's files; notes what was loaded, and what is still alive, whenever a module is loaded."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(files)
        self.vm: CPythonVM | None = None
        self.together: list[set[str]] = []
        self.held: list[set[str]] = []

    def __getitem__(self, path: str) -> bytes:
        if self.vm and path.startswith("/twoslot/"):
            self.together.append(loaded(self.vm))
            self.held.append(alive(self.vm) - self.together[-1])
        return super().__getitem__(path)


def loaded(vm: CPythonVM) -> set[str]:
    """Modules of the package in the board's sys.modules, without its folders."""
    return {
        name.removeprefix("twoslot.") for name, module in vm.modules.items()
        if name.startswith("twoslot.") and "__path__" not in vars(module)}


def folders(vm: CPythonVM) -> set[str]:
    """Folders of the package in the board's sys.modules."""
    return {name for name, module in vm.modules.items() if name.startswith("twoslot.") and "__path__" in vars(module)}


def alive(vm: CPythonVM) -> set[str]:
    """Modules of this VM's package whose functions are still referenced by anything."""
    gc.collect()
    own = vars(vm.modules["__main__"])["__builtins__"]
    functions = (thing for thing in gc.get_objects() if isinstance(thing, FunctionType))
    names = {
        str(f.__globals__.get("__name__")) for f in functions if f.__globals__.get("__builtins__") is own}
    return {name.removeprefix("twoslot.") for name in names if name.startswith("twoslot.")}


@pytest.fixture
def board(make_board: Callable[..., DeviceBoard], site: Site) -> Iterator[DeviceBoard]:
    made = make_board(WsgiNetwork(site.app()))
    made.files = Watched(as_built(made.files))
    # The collector looks at what comes from here on, and not at all that pytest has.
    gc.collect()
    gc.freeze()
    yield made
    gc.unfreeze()


def test_each_phase_holds_what_it_needs_and_nothing_else(board: DeviceBoard) -> None:
    vm = board.start()
    updater = Updater(board, vm)
    seen = {HEAD: AGENT}
    updater.agent.begin()
    while updater.agent.state != DONE:
        updater.agent.step()
        seen.setdefault(updater.agent.state, loaded(vm))

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


def test_no_two_phases_share_the_heap(board: DeviceBoard) -> None:
    """Checked whenever a module is loaded, so nothing within a step is missed."""
    vm, files = watch(board)
    updater = Updater(board, vm)
    del files.together[:], files.held[:]
    assert updater.run() == DONE

    assert most(files.together) == PHASES
    assert not any(files.held), f"dropped, and still alive: {files.held}"


def test_a_trial_is_confirmed_in_the_same_phases(board: DeviceBoard) -> None:
    board.put_trial(spent=first(1))
    vm, files = watch(board, 1, BootReason.TRIAL, trial=True, left=2, counter=6)
    updater = Updater(board, vm)
    del files.together[:], files.held[:]
    updater.run()

    assert board.newest().state_b == SlotState.CONFIRMED
    assert most(files.together) == [BEGIN, FACTS, RESOLVE, ASK, KEYRING, READ, JUDGE, CONFIRM]
    assert not any(files.held), f"dropped, and still alive: {files.held}"


def test_the_first_thing_after_a_boot_leaves_only_the_schedule(board: DeviceBoard) -> None:
    board.put_trial(spent=first(3))
    vm, files = watch(board, 0, BootReason.FALLBACK)
    run(vm, TWO_TICKS)

    begin = BOOT - {"agent"} | {"startup", "settings", "schedule", "retained"}
    assert most(files.together) == [begin | {"boot.decision"}]
    assert loaded(vm) == RESIDENT and alive(vm) <= RESIDENT and not folders(vm)
    assert not any(files.held)


def test_nothing_of_the_download_is_loaded_when_the_slot_is_activated(board: DeviceBoard) -> None:
    """Also when the block table came and nothing behind it was missing."""
    board.flash.poke(BOARD.slots[1].image.start, IMAGE)
    vm, files = watch(board)
    updater = Updater(board, vm)
    assert updater.run(until=ACTIVATE) == ACTIVATE
    del files.together[:], files.held[:]
    assert updater.go_on() == DONE

    assert most(files.together) == [ACTIVATE_SPARE]
    assert not any(files.held), f"dropped, and still alive: {files.held}"


def watch(board: DeviceBoard, *boot: Any, **options: Any) -> tuple[CPythonVM, Watched]:
    """Start the board, and note from here on what it loads."""
    files = board.files
    assert isinstance(files, Watched)
    files.vm = board.start(*boot, **options)
    return files.vm, files


def most(together: list[set[str]]) -> list[set[str]]:
    """Those that are part of no other, in the order in which they came."""
    found: list[set[str]] = []
    for modules in together:
        if modules not in found and not any(modules < other for other in together):
            found.append(modules)
    return found


def run(vm: CPythonVM, source: str) -> None:
    try:
        vm.exec("import twoslot\n" + source)
    except ChipReset:
        pass


@pytest.mark.parametrize(
    "source",
    [
        "twoslot.status()", "twoslot.check()", TWO_TICKS, "twoslot.rollback()", "twoslot.confirm()",
        "for i in range(3): twoslot.check()", "twoslot.log()",
    ])
def test_after_each_command_only_the_schedule_stays(board: DeviceBoard, source: str) -> None:
    vm = board.start()
    run(vm, source)

    assert loaded(vm) <= RESIDENT
    assert alive(vm) <= RESIDENT, "a command left something that holds a module"
    kept: Any = vm.modules["twoslot"]
    held = {path.removeprefix("/twoslot/").removesuffix(".py") for path in board.files} & set(vars(kept))
    assert held <= RESIDENT, "an attribute of the package holds a module"


@pytest.mark.parametrize("fault", ["offline", "no head", "forged", "worn", "memory"])
def test_after_a_refusal_in_tick_only_the_schedule_stays(board: DeviceBoard, fault: str) -> None:
    vm = board.start()
    run(vm, TWO_TICKS)
    if fault == "offline":
        board.network.online = False
    elif fault == "no head":
        board.network.app = files_app({})  # type: ignore[attr-defined]
    elif fault == "forged":
        board.files["/twoslot.keys"] = board.files["/twoslot.keys"].replace(b'"online":"', b'"online":"AAAA')
    elif fault == "worn":
        for sector in (1, 2):
            board.flash.set_stuck(sector)
    else:
        vm.exec("def full(): raise MemoryError\ntwoslot.load_agent = full")
    board.soc.clock.advance_ms(60_000)
    for _ in range(100):
        if not vm.eval("len(twoslot._log)"):
            run(vm, "twoslot.tick()")

    assert vm.eval("len(twoslot._log)") == 1, "nothing was refused"
    assert loaded(vm) <= RESIDENT
    assert alive(vm) <= RESIDENT


def test_ctrl_c_in_a_command_unloads_everything(board: DeviceBoard) -> None:
    vm = board.start()
    vm.interrupt_at(board.soc.clock.ms + 900)
    with pytest.raises(KeyboardInterrupt):
        vm.exec("import twoslot\ntwoslot.update()")
    vm.interrupt_at(None)

    assert loaded(vm) <= RESIDENT
    assert alive(vm) <= RESIDENT
    with pytest.raises(ChipReset):
        vm.exec("twoslot.update()")
    assert board.newest().active == 1


@pytest.fixture
def nested(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str]]:
    """Which module of the package was loaded by an import at the top of which other one."""
    found: set[tuple[str, str]] = set()
    loading: list[str] = []
    real = CPythonVM._load_file

    def load_file(vm: CPythonVM, name: str, parent: ModuleType | None) -> ModuleType:
        if not name.startswith("twoslot."):
            return real(vm, name, parent)
        if loading:
            found.add((loading[-1], name))
        loading.append(name)
        try:
            return real(vm, name, parent)
        finally:
            loading.pop()

    monkeypatch.setattr(CPythonVM, "_load_file", load_file)
    return found


def test_an_import_inside_another_is_noticed(board: DeviceBoard, nested: set[tuple[str, str]]) -> None:
    board.start().import_("twoslot.image.table")
    assert ("twoslot.image.table", "twoslot.errors") in nested


@pytest.mark.parametrize("source", [
    "twoslot.status()", "twoslot.check()", "twoslot.rollback()", "twoslot.confirm()", "twoslot.update()",
    "import time\nwhile True:\n    twoslot.tick()\n    time.sleep_ms(100)",
])
def test_no_import_runs_inside_another(
    make_board: Callable[..., DeviceBoard], site: Site, nested: set[tuple[str, str]], source: str,
) -> None:
    """Each one inside another costs 688 bytes of the chip's C stack. A folder is loaded by the first module in it."""
    board = make_board(WsgiNetwork(site.app()))
    board.files = as_built(board.files)
    run(board.start(), source)

    assert nested == set()


def test_no_import_runs_inside_another_in_a_trial(
    make_board: Callable[..., DeviceBoard], site: Site, nested: set[tuple[str, str]],
) -> None:
    board = make_board(WsgiNetwork(site.app()))
    board.files = as_built(board.files)
    board.put_trial(spent=first(1))
    vm = board.start(1, BootReason.TRIAL, trial=True, left=2, counter=6)
    run(vm, "import time\nfor i in range(300):\n    twoslot.tick()\n    time.sleep_ms(100)")

    assert board.newest().state_b == SlotState.CONFIRMED
    assert nested == set()
