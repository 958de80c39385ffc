"""device/native/patch.c does what twoslot.patch.interpreted does, stays in its bounds, and is what boards get."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slotbench.mpy.native import NATIVE_MODULE, native_code, native_source
from support.cross_build import build_with_make, require_same_bytes, stack_frames
from support.device.board import DeviceBoard
from support.native_patch import DEVICE, N, Update, as_module, drawn_state, made_piece, watched_code

CODE_BYTES_MAX = 960
"""Of some 1,450 that the firmware leaves to native code."""
STATES = 400


@pytest.fixture(scope="module")
def watched() -> Iterator[Update]:
    with watched_code() as update:
        yield update


def test_the_code_is_built_byte_for_byte(tmp_path: Path) -> None:
    built = build_with_make(DEVICE / "native", tmp_path, "patch")
    require_same_bytes(DEVICE / "native", built, "patch")
    assert sum(stack_frames(built).values()) <= 128


def test_the_code_leaves_room_for_the_program() -> None:
    code, entry = native_code()
    assert len(code) <= CODE_BYTES_MAX and len(code) % 4 == 0 and entry % 4 == 0


def test_its_numbers_are_those_of_the_interpreter() -> None:
    header = (DEVICE / "native" / "patch.h").read_text(encoding="ascii")
    fields = header.split("struct numbers {")[1].split("}")[0].replace("i32", "").replace(";", ",")
    names = [name.strip().removesuffix("[]").upper() for name in fields.split(",") if name.strip()]
    assert [N[f"N_{name}"] for name in names] == list(range(len(names)))
    events = header.split("enum { ")[1].split(" }")[0].split(", ")
    assert events == ["PIECE", "INPUT", "READ", "UNUSABLE"]
    assert [N[name] for name in ("PIECE_MADE", "INPUT_WANTED", "CHUNK_WANTED", "UNUSABLE")] == [0, 1, 2, 3]


def test_any_state_ends_as_interpreted_and_within_bounds(
    make_board: Callable[..., DeviceBoard], watched: Update,
) -> None:
    interpreter = make_board().start().import_("twoslot.patch.interpreted").Interpreter
    rng, ends = random.Random(22), set()
    for number in range(STATES):
        state = drawn_state(rng)
        wanted = made_piece(interpreter(state[0]).update, state)
        assert made_piece(watched, state) == wanted, f"state {number} of seed 22"
        ends.add(wanted[0])
    assert ends == {N["PIECE_MADE"], N["UNUSABLE"]}


def test_it_stays_in_memory_once_it_was_loaded(make_board: Callable[..., DeviceBoard], watched: Update) -> None:
    """The chip does not take the room of native code back: loaded anew each time, it would be used up."""
    vm = make_board().start()
    twoslot = vm.import_("twoslot")
    vm.modules["twoslot.native"] = as_module(watched)
    twoslot.unload()
    twoslot.drop("patch")
    assert "twoslot.native" in vm.modules and vm.import_("twoslot.native").update is watched


def test_what_stays_in_memory_is_named_whole() -> None:
    """unload() keeps what is in one text without spaces: no other module's name may be in it by chance."""
    text = re.findall(r'not in "(\w+)"', (DEVICE / "twoslot" / "__init__.py").read_text(encoding="utf-8"))
    parts = {path.relative_to(DEVICE / "twoslot").parts[0].removesuffix(".py") for path in DEVICE.glob("twoslot/**/*.py")}
    kept = {part for part in parts if part in text[0]}
    assert kept == {"schedule", "sleep", "button", "mqtt", "ntp", "push", "recovery", "services", "telemetry"}


def test_the_module_is_an_assembler_function_with_the_code_as_data() -> None:
    text = native_source().decode()
    code, _ = native_code()
    words = [int(word, 16) for part in text.split("data(4, ")[1:] for word in part.split(")")[0].split(", ")]
    assert b"".join(word.to_bytes(4, "little") for word in words) == code
    compile(text, NATIVE_MODULE, "exec")
