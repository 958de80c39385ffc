"""The ROM's division, 64-bit and floating point helpers against the host's own arithmetic, on seeded random values."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.chip.rom_calls import RomCalls, RomFailure

ROUNDS = 400
WORD = 0xFFFFFFFF
LONG = 0xFFFFFFFFFFFFFFFF
NAN_32, NAN_64 = 0x7FC00000, 0x7FF8000000000000
EDGES_32 = [0, 1, 2, 3, 7, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFF, 0x10000, 0xFFFFFFFE, WORD]
EDGES_64 = [0, 1, 2, 0xFFFFFFFF, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 63) + 1, LONG]
FLOAT_EDGES = [
    0, 1, 2, 0x7FFFFF, 0x800000, 0x800001, 0x3F800000, 0x3F7FFFFF, 0x40000000, 0x7F7FFFFF, 0x7F800000, NAN_32, 0x7F800001]
DOUBLE_EDGES = [
    0, 1, (1 << 52) - 1, 1 << 52, 0x3FF0000000000000, 0x3FEFFFFFFFFFFFFF, 0x4000000000000000, 0x7FEFFFFFFFFFFFFF,
    0x7FF0000000000000, NAN_64, 0x7FF0000000000001, 0x41E0000000000000, 0x41EFFFFFFFE00000, 0x36A0000000000000]


pytestmark = pytest.mark.usefixtures("core")


@pytest.fixture(scope="module")
def rom(core: Path) -> RomCalls:
    return RomCalls()


def signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


def sized(noise: random.Random, bits: int) -> int:
    """A value of any length."""
    return noise.getrandbits(bits) >> noise.randrange(bits)


def pairs(seed: str, edges: list[int], bits: int, draw: Callable[[random.Random], int] | None = None) -> Iterator[tuple[int, int]]:
    """All pairs of edges, then random ones."""
    print("seed:", seed)
    noise = random.Random(seed)
    yield from ((a, b) for a in edges for b in edges)
    for _ in range(ROUNDS):
        one = draw or (lambda source: sized(source, bits))
        yield one(noise), one(noise)


def words(value: int) -> tuple[int, int]:
    return value & WORD, value >> 32


def truncated(a: int, b: int) -> int:
    """Division towards zero, as C has it."""
    quotient = abs(a) // abs(b)
    return -quotient if (a < 0) != (b < 0) else quotient


def test_words_are_divided(rom: RomCalls) -> None:
    for a, b in pairs("divide 32", EDGES_32, 32):
        if b == 0:
            continue
        assert rom.call("__udivsi3", a, b) == a // b, (a, b)
        assert rom.call("__umodsi3", a, b) == a % b, (a, b)
        assert rom.call("__divsi3", a, b) == truncated(signed(a, 32), signed(b, 32)) & WORD, (a, b)


@pytest.mark.parametrize("name", ["__udivsi3", "__umodsi3", "__divsi3", "__udivdi3", "__umoddi3", "__divdi3"])
def test_division_by_zero_is_the_known_illegal_instruction(name: str) -> None:
    """Crash reports of firmware look for this address."""
    rom = RomCalls()
    with pytest.raises(RomFailure):
        rom.call(name, 7, 0, 0, 0, limit_us=100_000)
    exception = rom.machine.last_exception()
    assert exception is not None and (exception.cause, exception.pc) == (0, 0x4000DCE5)


def test_double_words_are_multiplied_and_divided(rom: RomCalls) -> None:
    for a, b in pairs("divide 64", EDGES_64, 64):
        assert rom.call_64("__muldi3", *words(a), *words(b)) == a * b & LONG, (a, b)
        assert rom.call_64("__umulsidi3", a & WORD, b & WORD) == (a & WORD) * (b & WORD), (a, b)
        if b == 0:
            continue
        assert rom.call_64("__udivdi3", *words(a), *words(b)) == a // b, (a, b)
        assert rom.call_64("__umoddi3", *words(a), *words(b)) == a % b, (a, b)
        assert rom.call_64("__divdi3", *words(a), *words(b)) == truncated(signed(a, 64), signed(b, 64)) & LONG, (a, b)


# Floating point: the host computes in double precision, which holds sums and products of single precision exactly enough to be
# rounded once more without a difference (53 >= 2 * 24 + 2).


def as_float(bits: int) -> float:
    return float(struct.unpack("<f", struct.pack("<I", bits))[0])


def float_bits(value: float) -> int:
    """Rounded to single precision; what is too large is infinite."""
    try:
        return int(struct.unpack("<I", struct.pack("<f", value))[0])
    except OverflowError:
        return 0x7F800000 | (0x80000000 if value < 0 else 0)


def as_double(bits: int) -> float:
    return float(struct.unpack("<d", struct.pack("<Q", bits))[0])


def double_bits(value: float) -> int:
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


def is_nan_32(bits: int) -> bool:
    return bits & 0x7FFFFFFF > 0x7F800000


def is_nan_64(bits: int) -> bool:
    return bits & (LONG >> 1) > 0x7FF0000000000000


def near_float(noise: random.Random) -> int:
    """Exponents close together, so that operands meet; now and then any bits."""
    if noise.random() < 0.2:
        return noise.getrandbits(32)
    return noise.getrandbits(1) << 31 | noise.choice((noise.randrange(100, 150), 0, 1, 2)) << 23 | noise.getrandbits(23)


def near_double(noise: random.Random) -> int:
    if noise.random() < 0.2:
        return noise.getrandbits(64)
    exponent = noise.choice((noise.randrange(980, 1060), 0, 1, 2))
    return noise.getrandbits(1) << 63 | exponent << 52 | noise.getrandbits(52)


def with_signs(edges: list[int], bits: int) -> list[int]:
    return [*edges, *(it | 1 << (bits - 1) for it in edges)]


def divide(a: float, b: float) -> float:
    if math.isnan(a) or math.isnan(b) or (b == 0 and a == 0):
        return math.nan
    if b == 0:
        return math.copysign(math.inf, a) * math.copysign(1, b)
    return a / b


def test_single_precision_agrees_with_the_host(rom: RomCalls) -> None:
    functions: dict[str, Callable[[float, float], float]] = {
        "__addsf3": lambda a, b: a + b, "__subsf3": lambda a, b: a - b, "__mulsf3": lambda a, b: a * b}
    for a, b in pairs("single", with_signs(FLOAT_EDGES, 32), 32, near_float):
        for name, function in functions.items():
            got, wanted = rom.call(name, a, b), function(as_float(a), as_float(b))
            right = is_nan_32(got) if math.isnan(wanted) else got == float_bits(wanted)
            assert right, (name, hex(a), hex(b), hex(got))


def test_double_precision_agrees_with_the_host(rom: RomCalls) -> None:
    functions: dict[str, Callable[[float, float], float]] = {
        "__adddf3": lambda a, b: a + b, "__subdf3": lambda a, b: a - b, "__muldf3": lambda a, b: a * b, "__divdf3": divide}
    for a, b in pairs("double", with_signs(DOUBLE_EDGES, 64), 64, near_double):
        for name, function in functions.items():
            got, wanted = rom.call_64(name, *words(a), *words(b)), function(as_double(a), as_double(b))
            right = is_nan_64(got) if math.isnan(wanted) else got == double_bits(wanted)
            assert right, (name, hex(a), hex(b), hex(got))


def test_words_become_floating_point(rom: RomCalls) -> None:
    for a, _ in pairs("from words", EDGES_32, 32):
        assert rom.call("__floatunsisf", a) == float_bits(float(a)), a
        assert rom.call("__floatsisf", a) == float_bits(float(signed(a, 32))), a
        assert rom.call_64("__floatunsidf", a) == double_bits(float(a)), a
        assert rom.call_64("__floatsidf", a) == double_bits(float(signed(a, 32))), a


def test_floating_point_becomes_words(rom: RomCalls) -> None:
    """Inside the range of the result; outside, C says nothing."""
    for a, _ in pairs("to words", with_signs(DOUBLE_EDGES, 64), 64, near_double):
        value = as_double(a)
        if math.isfinite(value) and -2**31 <= int(value) < 2**31:
            assert rom.call("__fixdfsi", *words(a)) == int(value) & WORD, hex(a)
        if math.isfinite(value) and 0 <= int(value) < 2**32:
            assert rom.call("__fixunsdfsi", *words(a)) == int(value), hex(a)
    for a, _ in pairs("single to words", with_signs(FLOAT_EDGES, 32), 32, near_float):
        value = as_float(a)
        if math.isfinite(value) and 0 <= int(value) < 2**32:
            assert rom.call("__fixunssfsi", a) == int(value), hex(a)


def test_precisions_are_converted(rom: RomCalls) -> None:
    for a, _ in pairs("extend", with_signs(FLOAT_EDGES, 32), 32, near_float):
        got = rom.call_64("__extendsfdf2", a)
        assert is_nan_64(got) if is_nan_32(a) else got == double_bits(as_float(a)), hex(a)
    for a, _ in pairs("truncate", with_signs(DOUBLE_EDGES, 64), 64, near_double):
        got = rom.call("__truncdfsf2", *words(a))
        assert is_nan_32(got) if is_nan_64(a) else got == float_bits(as_double(a)), hex(a)
