"""Side by side with the methods of hobby updaters: who has a program after a cut of power."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from slotbench import cli
from slotbench.prove.updaters.measure import TWOSLOT
from slotbench.prove.updaters.methods import METHODS, program
from slotbench.prove.updaters.recording import files_at
from slotbench.prove.updaters.twoslot import PROGRAM_MAIN, ApplicationBench
from slotbench.repl.development import DevelopmentBundle
from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.flash.place import filesystem_place
from slotbench.vboard.signals import BenchViolation
from support.vboard.flash import generic


@pytest.fixture(scope="module")
def shared(micropython: None, tmp_path_factory: pytest.TempPathFactory) -> ApplicationBench:
    return ApplicationBench(tmp_path_factory.mktemp("bench"))


def test_the_table(micropython: None, capsys: pytest.CaptureFixture[str]) -> None:
    """A sample; without --every it tries every operation."""
    assert cli.run(["prove", "updaters", "--every", "30", "--no-heap", "--json"]) == 0
    *methods, own = json.loads(capsys.readouterr().out)["result"]
    assert [each["name"] for each in methods] == [method.name for method in METHODS]
    for each in methods:
        assert 0 < each["survived"] <= each["cuts"] > 2 and each["wire"] > 3_000, "whole files for one line"
    assert sum(each["cuts"] - each["survived"] for each in methods) > 2
    assert (own["name"], own["survived"]) == (TWOSLOT, own["cuts"]) and own["cuts"] > 10


def test_a_board_whose_files_are_mixed_is_no_survivor(micropython: None, shared: ApplicationBench) -> None:
    """The judge is no rubber stamp: half of an application, with the record that says that it is whole."""
    bench = shared
    recording, _ = bench.record_update()
    last = list(recording.cuts(len(recording.operations)))[-1].flash
    assert bench.starts_whole_program(last.clone())
    place = filesystem_place(generic().filesystem.start, generic().visible_bytes)
    files = files_at(last, place)
    assert files is not None and "/app_b/lamp.py" in files
    at = last.peek(place.start, place.size).find(files["/app_b/lamp.py"][-13:])
    assert at > 0, "VERSION = 2"
    last.poke(place.start + at + 12 - 2, b"\x00")
    assert not bench.starts_whole_program(last)


def test_after_a_cut_boards_come_to_rest(micropython: None, shared: ApplicationBench) -> None:
    """Whole boards with their server, to the fallback: `slotbench prove powercut --vm micropython` cuts everywhere."""
    recording, _ = shared.record_update(crashes=True)
    *_, middle, last = recording.cuts(len(recording.operations) // 2)
    assert shared.bring_to_rest(middle.flash) >= 1
    place = filesystem_place(generic().filesystem.start, generic().visible_bytes)
    found = files_at(last.flash, place)
    assert found is not None
    at = last.flash.peek(place.start, place.size).find(found["/data/readings"][:40])
    last.flash.poke(place.start + at, b"\x00")
    with pytest.raises(BenchViolation, match="is not what the user put there"):
        shared.bring_to_rest(last.flash)


class TypedBoard:
    """The prompt of a virtual board, as `slotbench watch` uses one."""

    name = "board"

    def __init__(self, board: VirtualBoard) -> None:
        self._board = board

    def stop_program(self, *, frees_heap: bool = True) -> None:
        """`run_line` presses Ctrl-C by itself."""

    def run_script(self, script: str) -> str:
        said = self._board.run_line(script)
        assert "Traceback" not in said, said
        return said

    def put_files(self, folder: str, files: Mapping[str, bytes], progress: object = None) -> None:
        for name, data in files.items():
            self.run_script(f"f = open({folder + '/' + name!r}, 'wb'); f.write({data!r}); f.close()")

    def restart(self) -> None:
        """What the flash has now is enough."""

    start_program = restart

    def listen(self) -> bytes:
        return b""


def test_a_cut_while_a_development_bundle_comes_and_goes(micropython: None, shared: ApplicationBench) -> None:
    """`watch` fills the folder that the release does not use, and takes it away again."""
    bench = shared
    board, recording = bench.settled_board()
    bundle = DevelopmentBundle(TypedBoard(board))
    sent = bundle.send({"main.py": PROGRAM_MAIN, **program(2)})
    assert sent.count == 6
    filled, sent_flash = len(recording.operations), board.flash.clone()
    assert bundle.end() and not bundle.end()
    board.power_off()
    versions = [bench.started_version(point.flash) for point in recording.cuts(24)]
    assert 0 not in versions and (versions[0], bench.started_version(sent_flash), versions[-1]) == (1, 2, 1)
    assert filled > 20 and len(recording.operations) > filled + 5


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name.replace(" ", "-"))
def test_a_method_is_a_boot_file_that_compiles(method: object) -> None:
    compile(method.boot, "boot.py", "exec")  # type: ignore[attr-defined]
