"""Applications from `ship`'s parts to the board: unpacked, on trial, confirmed, back by themselves; on both VMs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from slotbench.application.bundle import Bundle, build_bundle
from slotbench.formats.application_record import FILES, FOLDERS, ApplicationRecord, FolderState, newest_record
from slotbench.formats.head import Head
from slotbench.formats.journal import Report
from slotbench.images.frozen import MAIN
from slotbench.release.application_patches import with_patches
from slotbench.release.applications import build_application
from slotbench.release.heads import Rollout
from slotbench.release.publish import publish_offer
from slotbench.vboard import facades
from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.firmware import Behaviour
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.vm import CPythonVM, DeviceVM
from support.testbed import BUSY_MAIN, HOURS_MS, NOW, PRODUCT, TestBed, make_testbed

PROGRAM = {"main.py": "import lamp\n" + BUSY_MAIN, "lamp.py": "shade = 1\n", "www/index.html": "<p>" * 100}


@pytest.fixture
def testbed(tmp_path: Path, vm: Callable[..., DeviceVM]) -> TestBed:
    return make_testbed(tmp_path, vm=vm, main=BUSY_MAIN)


class Recorder:
    """The server of a test bed, which notes the paths that it was asked for."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app
        self.paths: list[str] = []

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        self.paths.append(environ["PATH_INFO"])
        return self._app(environ, start)

    def files(self) -> list[str]:
        return [path for path in self.paths if path.startswith("/files/")]

    def patches(self) -> list[str]:
        return [path for path in self.paths if path.startswith("/patches/")]


def program(testbed: TestBed, files: Mapping[str, str]) -> Bundle:
    folder = testbed.publisher.folder / "app"
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return build_bundle(folder, as_source=testbed.vm is CPythonVM)  # which runs no bytecode


def offer(
    testbed: TestBed, counter: int, files: Mapping[str, str], *, release: int | None = None,
    rollout: Rollout = Rollout(), does: Behaviour = Behaviour.HEALTHY, patches: int = 0, **fields: Any,
) -> Head:
    """Publish an application with this counter, alone or together with the release `release`, with patches from so
    many before it.
    """
    publisher, bundle = testbed.publisher, program(testbed, files)
    made = build_application(
        bundle, product=PRODUCT, boards=[testbed.profile], version=f"app-{counter}", counter=counter,
        created=NOW + counter, firmware_low=release or 0, **fields)
    made = with_patches(made, bundle, patches, (publisher.site, publisher.keys))
    path = publisher.folder / f"app-{counter}.application"
    path.write_bytes(publisher.offline.sign(made.to_payload()).pack())
    with_release = None
    if release is not None:
        image = testbed.images[release] = testbed.firmware(f"{release}.0.0", does)
        built, _ = publisher.build(
            image, [testbed.profile], version=f"{release}.0.0", counter=release, now=NOW + counter)
        with_release = built, [image] if isinstance(image, bytes) else image
    return publish_offer(
        publisher.site, publisher.keys_path, publisher.online, NOW + counter, release=with_release,
        application=(path, bundle), rollout=rollout)


def record(board: VirtualBoard) -> ApplicationRecord | None:
    return newest_record(board.files[f"/{name}"] for name in FILES if f"/{name}" in board.files)


def running(board: VirtualBoard) -> tuple[int, FolderState]:
    """The counter and the state of the active application; 0 and EMPTY while /main.py runs."""
    found = record(board)
    if found is None or found.active > 1:
        return 0, FolderState.EMPTY
    folder = found.folders[found.active]
    return folder.counter, folder.state


def update_to(board: VirtualBoard, counter: int, *, hours: int = 4) -> None:
    """Run the board until this application is confirmed."""
    board.run(hours * HOURS_MS, until=lambda: running(board) == (counter, FolderState.CONFIRMED))
    assert running(board) == (counter, FolderState.CONFIRMED), record(board)


def content(board: VirtualBoard) -> dict[str, bytes]:
    """The files of the active application."""
    found = record(board)
    assert found is not None
    prefix = f"/{FOLDERS[found.active]}/"
    files = {path.removeprefix(prefix): data for path, data in board.files.items() if path.startswith(prefix)}
    return {path: data for path, data in files.items() if not path.startswith("twoslot.")}


def test_a_board_takes_a_program_and_of_the_next_one_what_changed(testbed: TestBed) -> None:
    recorder = Recorder(testbed.app)
    offer(testbed, 2, PROGRAM)
    board = testbed.board(WsgiNetwork(recorder))
    kept = dict(board.files)
    board.power_on()
    update_to(board, 2)
    assert content(board) == dict(program(testbed, PROGRAM).files)
    assert len(recorder.files()) == 3
    recorder.paths.clear()
    changed = {**PROGRAM, "lamp.py": "shade = 2\n"}
    offer(testbed, 3, changed)
    update_to(board, 3)
    assert content(board) == dict(program(testbed, changed).files)
    assert len(recorder.files()) == 1, recorder.files()
    assert {path: data for path, data in board.files.items() if path in kept} == kept, "the user's files are as they were"


UP_TO_DATE = 28
LINES = "".join(f"line_{n:02d} = 'what a program says, number {n:02d}'\n" for n in range(22))
LARGER = {**PROGRAM, "lamp.py": LINES + "shade = 1\n", "lib/dim.py": LINES + "least = 4\n"}
BRIGHTER = {**LARGER, "lamp.py": LINES + "shade = 2\n", "fan.py": "speed = 1\n"}


def start_with_patches(testbed: TestBed, recorder: Recorder) -> VirtualBoard:
    """A board that took LARGER with the patch from nothing, and is offered BRIGHTER."""
    offer(testbed, 2, LARGER, patches=3)
    board = testbed.board(WsgiNetwork(recorder))
    board.power_on()
    update_to(board, 2)
    assert content(board) == dict(program(testbed, LARGER).files)
    assert not recorder.files() and len(recorder.patches()) == 1, "the whole program came in one response"
    recorder.paths.clear()
    (testbed.publisher.folder / "app" / "lib" / "dim.py").unlink()
    offer(testbed, 3, {path: text for path, text in BRIGHTER.items() if path != "lib/dim.py"}, patches=3)
    return board


def log(board: VirtualBoard) -> list[tuple[int, int]]:
    """(code, place) of what the board remembers."""
    return [(code, where) for _, code, where in board.evaluate("__import__('twoslot')._log")]


def test_changed_files_come_as_one_patch(tmp_path: Path) -> None:
    """On the real VM: tests/vm/test_application_patches.py."""
    testbed = make_testbed(tmp_path, vm=CPythonVM, main=BUSY_MAIN)
    recorder = Recorder(testbed.app)
    board = start_with_patches(testbed, recorder)
    update_to(board, 3)
    assert "lib/dim.py" not in content(board) and content(board) == dict(program(testbed, {}).files)
    assert not recorder.files() and {code for code, _ in log(board)} <= {UP_TO_DATE}
    asked, = recorder.patches()
    assert (testbed.publisher.site.root / asked[1:]).stat().st_size < 100 < len(LINES)


@pytest.mark.parametrize(("spoil", "code"), [
    (lambda data: None, 7), (lambda data: data[:-9], 50), (lambda data: data + bytes(40_000), 50),
], ids=["missing", "cut", "longer than the files"])
def test_what_a_patch_does_not_bring_comes_as_files(
    tmp_path: Path, spoil: Callable[[bytes], bytes | None], code: int,
) -> None:
    """One request is lost, and said; the update goes on in the same attempt."""
    testbed = make_testbed(tmp_path, vm=CPythonVM, main=BUSY_MAIN)
    recorder = Recorder(testbed.app)
    board = start_with_patches(testbed, recorder)
    for path in (testbed.publisher.site.root / "patches").glob("*.files"):
        data = spoil(path.read_bytes())
        path.unlink() if data is None else path.write_bytes(data)
    board.run(4 * HOURS_MS, until=lambda: bool(recorder.files()))
    assert log(board)[-1][0] == code, log(board)
    update_to(board, 3)
    assert content(board) == dict(program(testbed, {}).files)
    assert len(recorder.patches()) == 1 and len(recorder.files()) == 2


def test_the_list_comes_once_where_there_is_room_to_keep_it(tmp_path: Path) -> None:
    """It is a block, beside six that stay free. With less the next program fits in the place of a larger one before,
    and the list comes twice.
    """
    testbed = make_testbed(tmp_path, vm=CPythonVM, main=BUSY_MAIN)
    larger = {f"part_{n:02d}.txt": "" for n in range(12)}
    free, fetched = 0, []
    for first, spare in ((2, 0), (5, 8), (8, 7)):
        recorder = Recorder(testbed.app)
        readings = {"/data/readings": bytes((free - spare) * 4088)} if spare else {}
        board = testbed.board(WsgiNetwork(recorder), edit=lambda files: files.update(readings))
        board.power_on()
        for counter, more in ((first, larger), (first + 1, larger), (first + 2, {})):
            recorder.paths.clear()
            for path in larger.keys() - more.keys():
                (testbed.publisher.folder / "app" / path).unlink()
            offer(testbed, counter, {**PROGRAM, **more, "lamp.py": f"shade = {counter}\n"})
            update_to(board, counter)
            if more and not spare:
                free = board.evaluate("(lambda s: s[3] * s[0] // 4096)(__import__('os').statvfs('/'))")
        fetched.append(len([path for path in recorder.paths if path.startswith("/lists/")]))
        assert "/twoslot.list.part" not in board.files
    assert fetched == [1, 1, 2]


def test_a_board_that_skipped_four_applications_asks_for_no_patch(tmp_path: Path) -> None:
    """There is none from what it runs, and it knows that by the document."""
    testbed = make_testbed(tmp_path, vm=CPythonVM, main=BUSY_MAIN)
    recorder = Recorder(testbed.app)
    offer(testbed, 2, LARGER)
    board = testbed.board(WsgiNetwork(recorder))
    board.power_on()
    update_to(board, 2)
    for counter in range(3, 7):
        offer(testbed, counter, {**LARGER, "lamp.py": LINES + f"shade = {counter}\n"}, patches=3)
    recorder.paths.clear()
    update_to(board, 6)
    assert not recorder.patches() and len(recorder.files()) == 1


def test_a_firmware_without_inflater_asks_for_no_patch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As MicroPython before 1.21."""
    monkeypatch.delitem(facades._BUILDERS, "deflate")
    testbed = make_testbed(tmp_path, vm=CPythonVM, main=BUSY_MAIN)
    recorder = Recorder(testbed.app)
    offer(testbed, 2, LARGER, patches=3)
    board = testbed.board(WsgiNetwork(recorder))
    board.power_on()
    update_to(board, 2)
    assert not recorder.patches() and len(recorder.files()) == 4 and {code for code, _ in log(board)} <= {UP_TO_DATE}


def test_a_program_that_crashes_falls_back_and_a_better_one_is_taken(testbed: TestBed) -> None:
    offer(testbed, 2, PROGRAM)
    board = testbed.board()
    board.power_on()
    update_to(board, 2)
    before = content(board)
    offer(testbed, 3, {**PROGRAM, "lamp.py": "raise ValueError('burnt out')\n"})
    board.run(4 * HOURS_MS, until=lambda: (found := record(board)) is not None and found.report_counter == 3)
    found = record(board)
    assert found is not None and found.report in (Report.BAD, Report.UNPROVEN) and found.report_counter == 3
    assert running(board) == (2, FolderState.CONFIRMED) and content(board) == before
    offer(testbed, 4, {**PROGRAM, "lamp.py": "shade = 4\n"})
    update_to(board, 4)


def test_firmware_and_program_switch_together_and_fall_back_together(testbed: TestBed) -> None:
    offer(testbed, 2, PROGRAM, release=2)
    board = testbed.board()
    board.power_on()
    update_to(board, 2)
    assert board.result is not None and board.result.counter == 2
    offer(testbed, 3, {**PROGRAM, "lamp.py": "shade = 3\n"}, release=3, does=Behaviour.CRASH)
    board.run(2 * HOURS_MS)
    assert board.result is not None and board.result.counter == 2
    found = record(board)
    assert found is not None
    here = board.evaluate("__import__('os').getcwd()")
    assert {f"/{name}": folder.counter for name, folder in zip(FOLDERS, found.folders)}[here] == 2


@pytest.mark.parametrize("rollout", [Rollout(percent=0), Rollout(paused=True), Rollout(percent=0, cohorts=("lab",))])
def test_a_board_outside_of_the_rollout_takes_none(testbed: TestBed, rollout: Rollout) -> None:
    recorder = Recorder(testbed.app)
    offer(testbed, 2, PROGRAM, rollout=rollout)
    board = testbed.board(WsgiNetwork(recorder))
    board.power_on()
    board.run(HOURS_MS)
    assert running(board) == (0, FolderState.EMPTY) and not recorder.files()


def test_a_firmware_with_a_frozen_main_takes_no_application(tmp_path: Path, vm: Callable[..., DeviceVM]) -> None:
    testbed = make_testbed(tmp_path, vm=vm, frozen=(MAIN,))
    offer(testbed, 1, PROGRAM)
    board = testbed.board()
    board.power_on()
    board.run(90_000)

    assert board.evaluate("__import__('twoslot')._log[-1][1]") == 85
    assert not [path for path in board.files if path.startswith("/app_")]
