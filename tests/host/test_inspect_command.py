"""The commands `slotbench inspect` and `slotbench status`: what they print, and what they refuse."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slotbench import boards
from slotbench.cli import status as status_command
from slotbench.errors import BenchError
from slotbench.formats.application_record import ApplicationRecord, Folder, FolderState
from slotbench.inspection import dump
from slotbench.vboard.factory import factory_flash
from slotbench.vboard.flash.littlefs import FlashFiles
from slotbench.vboard.flash.nor import NorFlash
from support.live.flash import trial_under_way
from support.vboard.flash import generic, image

BOARD = generic()
OLD, NEW = image("1.0.0"), image("2.0.0", size=56 * 1024)
A, B = BOARD.slots


@pytest.fixture
def flash() -> NorFlash:
    return trial_under_way()


def data(flash: NorFlash) -> bytes:
    return flash.peek(0, flash.size)


@pytest.fixture
def path(flash: NorFlash, tmp_path: Path) -> Path:
    flash.dump(tmp_path / "flash.bin")
    return tmp_path / "flash.bin"


def test_the_command(path: Path, slotbench: Any) -> None:
    before = path.read_bytes()
    ran = slotbench("inspect", path)
    assert (ran.code, ran.err) == (0, "")
    first = ran.out.splitlines()[0]
    assert first == f"{path}: flash of generic_4m (the map of d1_mini, d1_mini_dev, nodemcu too), 4194304 bytes"
    assert path.read_bytes() == before


def test_json_has_the_same_facts(path: Path, slotbench: Any) -> None:
    facts = json.loads(slotbench("inspect", path, "--json").out)["result"]
    assert set(facts) == {
        "board", "size", "regions", "header", "phy", "journal", "slots", "window", "filesystem", "forecast"}
    assert facts["journal"]["newest"] == 17 and len(facts["journal"]["pages"]) == 32
    newest = facts["journal"]["pages"][17]
    assert (newest["state"], newest["cell"]["state_b"]) == ("valid", "ready")
    assert newest["cell"]["spent"] == [True, *[False] * 7] and newest["cell"]["ended"] == [None] * 8
    assert facts["slots"][1]["descriptor"]["sha256"] == hashlib.sha256(NEW).hexdigest()
    assert facts["window"]["matches"]["1"] == {"sectors": 5, "differing": []}
    assert (facts["forecast"]["why"], facts["forecast"]["words"]) == ("trial", ["ended[0]", "spent[1]"])


def test_status(path: Path, slotbench: Any) -> None:
    ran = slotbench("status", "--dump", path)
    assert ran.code == 0
    said = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert "slot and why are what the loader would do next" in said[0]
    assert said[1:] == [
        "slot B", "version 2, counter 2", "why 2 (trial)", "confirmed no", "spare 1", "floor 1", "bad none",
        "head seq 4", "report 0 (nothing)", "next slot B"]
    assert json.loads(slotbench("status", "--dump", path, "--json").out)["result"] == {
        "slot": "B", "version": "2", "counter": 2, "why": 2, "confirmed": False, "spare": "1", "floor": 1,
        "bad": 0, "head": 4, "report": 0, "next": "B", "hook": None, "twoslot": None, "hook_version": None}


@pytest.mark.parametrize("verb", [("inspect",), ("status", "--dump")])
def test_what_is_no_dump_is_refused_in_one_line(
    verb: tuple[str, ...], path: Path, tmp_path: Path, slotbench: Any,
) -> None:
    whole = path.read_bytes()
    (tmp_path / "short.bin").write_bytes(whole[:-1])
    (tmp_path / "firmware.bin").write_bytes(OLD)
    (tmp_path / "noise.bin").write_bytes(hashlib.sha256(b"noise").digest() * (len(whole) // 32))
    (tmp_path / "huge.bin").write_bytes(bytes(dump.DUMP_BYTES_MAX + 1))
    for name, options, code, what in (
        ("short.bin", (), 1, "the dump has 4194303 bytes, no board has a flash of that size"),
        ("short.bin", ("--board", "nodemcu"), 1, "the dump has 4194303 bytes, the flash of nodemcu has 4194304"),
        ("firmware.bin", ("--board", "d1_mini"), 1, "the flash of d1_mini has 4194304"),
        ("noise.bin", (), 1, "not a dump of generic_4m"),
        ("huge.bin", (), 1, "file is longer than"),
        ("missing.bin", (), 2, "cannot read (No such file or directory)"),
        (".", (), 2, "cannot read (Is a directory)"),
        ("flash.bin", ("--board", "toaster"), 2, "no such board: toaster"),
    ):
        ran = slotbench(*verb, tmp_path / name, *options)
        assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1), ran.err
        assert what in ran.err


def test_an_erased_chip_is_explained(tmp_path: Path, slotbench: Any) -> None:
    NorFlash(BOARD.chip_bytes).dump(tmp_path / "erased.bin")
    ran = slotbench("inspect", tmp_path / "erased.bin")
    assert ran.code == 0 and "Nothing boots" in ran.out
    ran = slotbench("status", "--dump", tmp_path / "erased.bin")
    assert ran.code == 1 and "nothing boots from this flash" in ran.err


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, boards.BoardProfile]:
    """The boards that come with the bench; a test may add some."""
    known = {name: boards.load(name) for name in boards.names()}
    monkeypatch.setattr(boards, "names", lambda: sorted(known))
    monkeypatch.setattr(boards, "load", lambda name: known[name])
    return known


def test_boards_of_one_map_count_as_one(flash: NorFlash, known: dict[str, boards.BoardProfile]) -> None:
    assert dump.identify_board(data(flash), "flash.bin").name == "generic_4m"
    assert dump.boards_with_same_map(known["d1_mini"]) == ["d1_mini", "d1_mini_dev", "generic_4m", "nodemcu"]
    known["swapped"] = replace(BOARD, name="swapped", slots=(B, A))
    assert dump.boards_with_same_map(known["swapped"]) == ["swapped"]


def test_the_board_is_asked_for_when_two_maps_fit(
    flash: NorFlash, known: dict[str, boards.BoardProfile],
) -> None:
    known["swapped"] = replace(BOARD, name="swapped", slots=(B, A))
    with pytest.raises(BenchError, match="2 flash maps fit") as refused:
        dump.identify_board(data(flash), "flash.bin")
    assert (refused.value.exit_code, refused.value.cure) == (2, "name the board with --board")
    assert "generic_4m, swapped" in str(refused.value)
    assert dump.identify_board(data(flash), "flash.bin", "swapped") is known["swapped"]


@pytest.mark.parametrize(
    "other",
    [
        replace(BOARD, name="a_nibble", size_nibble=4),
        replace(BOARD, name="a_place", journal=BOARD.filesystem, slots=(
            replace(A, descriptor=BOARD.identity), replace(B, descriptor=BOARD.sdk))),
    ], ids=["header", "sealed pages"])
def test_the_one_that_the_dump_contradicts_least(
    flash: NorFlash, known: dict[str, boards.BoardProfile], other: boards.BoardProfile,
) -> None:
    known[other.name] = other
    assert dump.identify_board(data(flash), "flash.bin").name == "generic_4m"


def test_the_applications_of_a_board_are_named(tmp_path: Path, slotbench: Any) -> None:
    """The newest record in its filesystem says what /app_a and /app_b hold."""
    confirmed = Folder(state=FolderState.CONFIRMED, counter=4, mpy_abi=6)
    older = ApplicationRecord(sequence=2, active=0, folders=(confirmed, Folder()))
    ready = Folder(state=FolderState.READY, counter=5, firmware_low=2)
    newer = ApplicationRecord(sequence=3, active=1, folders=(confirmed, ready), attempts=3, bad_counter=3)
    chip = factory_flash(BOARD, [])
    place = BOARD.filesystem
    chip.poke(place.start, b"\xff" * place.size)
    files = FlashFiles(chip, place)
    files.start({"/twoslot.app0": older.pack(), "/twoslot.app1": newer.pack()})
    files.mount()
    chip.dump(tmp_path / "flash.bin")
    said = slotbench("inspect", tmp_path / "flash.bin", "--board", "generic_4m").out
    assert "\n".join([
        "Applications", "  /app_a: counter 4, confirmed", "  /app_b: counter 5, ready, for firmware from counter 2, active",
        "  counter 3 and below are bad"]) in said
    found = json.loads(slotbench("inspect", tmp_path / "flash.bin", "--board", "generic_4m", "--json").out)
    record = found["result"]["filesystem"]["applications"]
    assert (record["active"], record["folders"][1]["counter"], record["sequence"]) == (1, 5, 3)


def test_a_status_with_keys_of_a_newer_twoslot_is_shown(monkeypatch: pytest.MonkeyPatch, slotbench: Any) -> None:
    told = {
        "slot": "A", "version": "1", "counter": 1, "why": 1, "confirmed": True, "spare": None, "floor": 0, "bad": 0,
        "head": 4, "report": 0, "next": "A", "weather": "mild"}
    monkeypatch.setattr(status_command, "query_status", lambda port, without_main: told)
    assert "  weather    mild\n" in slotbench("status", "--port", "x").out
    assert json.loads(slotbench("status", "--port", "x", "--json").out)["result"]["weather"] == "mild"
    del told["floor"]
    ran = slotbench("status", "--port", "x")
    assert ran.code == 1 and "the board's status lacks a key; use the slotbench version of" in ran.err
