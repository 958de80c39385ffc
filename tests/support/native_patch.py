"""device/native/patch.c on this computer under sanitizers, on the emulated chip, and the interpreted twin of both."""

from __future__ import annotations

import functools
import random
import shutil
import struct
import subprocess
import tempfile
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

from slotbench.mpy.inline import constants
from slotbench.mpy.native import native_code
from support.chip.rom_calls import FREE, RomCalls

DEVICE: Final = Path(__file__).parents[2] / "device"
_LAYOUT: Final = DEVICE / "twoslot" / "patch" / "layout.py"
N: Final[dict[str, Any]] = constants("patch/layout.py", _LAYOUT.read_text(encoding="utf-8"))
"""The places in the array of numbers, and what an update() returns, by their names."""
CHUNK: Final = int(N["CHUNK"])
_PIECE: Final = 512
_BLOCK: Final = 4096
_IRAM: Final = 0x40106000
_GUARD: Final = b"\xa5" * 64
_CALLS_MAX: Final = 50_000
Update = Callable[[Any, Any, Any, Any], int]


_folder = tempfile.TemporaryDirectory(prefix="slotbench-native-")
"""For as long as this process lives."""


@functools.cache
def _harness() -> Path:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    program = Path(_folder.name) / "patch"
    subprocess.run(
        [compiler, "-std=c11", "-O1", "-fno-strict-aliasing", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
         "-fno-sanitize=shift", "-Wall", "-Wextra", "-Werror", f"-I{DEVICE / 'native'}", "-o", program,
         Path(__file__).with_suffix(".c"), DEVICE / "native" / "patch.c"], check=True)
    return program


@contextmanager
def watched_code() -> Iterator[Update]:
    """update() of the C code in a process of its own, which ends at the first access outside of what it was given."""
    with subprocess.Popen([_harness()], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        given, answer = process.stdin, process.stdout

        def update(numbers: Any, piece: Any, chunk: Any, data: Any) -> int:
            raw = numbers.tobytes()
            given.write(struct.pack("<2I", len(raw), len(data)) + raw + bytes(piece) + bytes(chunk) + bytes(data))
            given.flush()
            size = 4 + len(raw) + _PIECE + CHUNK
            out = answer.read(size)
            assert len(out) == size, "the native code went outside"
            numbers[:] = array("i", out[4:4 + len(raw)])
            piece[:], chunk[:] = out[-_PIECE - CHUNK:-CHUNK], out[-CHUNK:]
            return int.from_bytes(out[:4], "little")

        yield update
        given.close()


def code_on_chip(calls: RomCalls) -> Update:
    """update() of the machine code that boards get, on the emulated chip. Nothing around its buffers may change."""
    code, entry = native_code()
    for at in range(0, len(code), 4):
        calls.machine.write_word(_IRAM + at, int.from_bytes(code[at:at + 4], "little"))

    def update(numbers: Any, piece: Any, chunk: Any, data: Any) -> int:
        parts = [numbers.tobytes(), bytes(piece), bytes(chunk), bytes(data)]
        places, memory = [], _GUARD
        for part in parts:
            places.append(FREE + len(memory))
            memory += part + bytes(-len(part) % 4) + _GUARD
        calls.put(memory)
        result = calls.call(_IRAM + entry, *places)
        after = calls.get(FREE, len(memory))
        found = [after[place - FREE:place - FREE + len(part)] for place, part in zip(places, parts)]
        for place, part, now in zip(places, parts, found):
            at = place - FREE
            after = after[:at] + part + after[at + len(now):]
        assert after == memory and found[3] == parts[3], "the native code wrote outside"
        numbers[:] = array("i", found[0])
        piece[:], chunk[:] = found[1], found[2]
        return result

    return update


def as_module(update: Update) -> ModuleType:
    """What the device imports as twoslot.native."""
    module = ModuleType("twoslot.native")
    vars(module)["update"] = update
    return module


def drawn_state(rng: random.Random) -> tuple[Any, bytes, bytes]:
    """Numbers in the midst of a piece, the stream behind them, and the old image: what no honest patch needs to be."""
    count = rng.choice((0, 1, 5, 128))
    old = rng.randbytes(rng.choice((1, 511, 512, 513, 5000)))
    if rng.random() < 0.7:
        old = bytes(rng.choice((5, 0x45, 0x85, 0xC5, 0x40, 0x3F, 0xFE, 0, byte)) for byte in old)
    data = bytes(rng.choice((0, 1, 2, 3, 4, 7, 127, 128, 255, byte)) for byte in rng.randbytes(rng.randrange(129)))
    numbers = array("i", bytes(4 * (N["N_MAP"] + 2 * count)))
    keys = sorted(rng.choice((rng.randrange(1 << 24), 0x200000 + rng.randrange(6000))) for _ in range(count))
    shifts = [rng.choice((rng.randrange(-400, 400) * 4, rng.randrange(1 - (1 << 24), 1 << 24))) for _ in keys]
    numbers[N["N_MAP"]:] = array("i", [*keys, *shifts])
    first = rng.randrange(0, 3 * _BLOCK, _PIECE)
    end = rng.choice((1, 511, _PIECE, _PIECE))
    at = rng.randrange(end + 1)
    copy = rng.choice((0, 0, rng.randrange(len(old) + 1)))
    values = {
        "COPY": copy, "LITERALS": rng.choice((0, rng.randrange(600))), "OLD": rng.randrange(len(old) - copy + 1),
        "EDITS": rng.choice((0, 0, 1, rng.randrange(1 << 28))), "RUN": rng.choice((0, 1, rng.randrange(1 << 28))),
        "SPOT": rng.choice((at, rng.randrange(at + 1), at + rng.randrange(1 << 26))), "AT": at, "END": end,
        "START": 0, "LAST": len(data), "DRY": rng.randrange(2), "MISSING": rng.choice((0, 1, 1)), "FIRST": first,
        "LENGTH": first + end + rng.choice((0, 3, 5000)), "OLD_LENGTH": len(old), "BASE": -1, "COUNT": count,
    }
    for name, value in values.items():
        numbers[N[f"N_{name}"]] = value
    return numbers, data, old


def made_piece(update: Update, state: tuple[Any, bytes, bytes]) -> tuple[int, bytes, list[int]]:
    """What comes of a state: what update() says at its end, the piece, and the numbers but those of the chunk."""
    numbers, data, old = array("i", state[0]), memoryview(state[1]), state[2]
    piece, chunk = memoryview(bytearray(_PIECE)), bytearray(CHUNK)
    for _ in range(_CALLS_MAX):
        wanted = update(numbers, piece, chunk, data)
        if wanted == N["CHUNK_WANTED"]:
            at = numbers[N["N_OLD"]]
            numbers[N["N_BASE"]] = base = at & -CHUNK
            numbers[N["N_DELTA"]] = numbers[N["N_FIRST"]] + numbers[N["N_AT"]] - at
            numbers[N["N_FLAGS"]] = 4 | (base // CHUNK + len(data)) % 4
            chunk[:] = old[base:base + CHUNK].ljust(CHUNK, b"\xff")
        elif wanted == N["INPUT_WANTED"] and not numbers[N["N_DRY"]]:
            numbers[N["N_DRY"]] = 1
        else:
            break
    else:
        raise AssertionError("an endless piece")
    if wanted == N["UNUSABLE"]:
        return wanted, b"", []
    missing = numbers[N["N_MISSING"]]
    return wanted, bytes(piece) if missing else b"", list(numbers[:N["N_BASE"]])
