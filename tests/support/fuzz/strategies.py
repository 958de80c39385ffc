"""Strategies of hypothesis that make wrong bytes out of right ones, as flash, wires and editors do."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

_BLANK = b"\xff"


@st.composite
def flipped(draw: DrawFn, data: bytes, most: int = 6) -> bytes:
    """Some bits are the other way."""
    bits = draw(st.lists(st.integers(0, 8 * len(data) - 1), min_size=1, max_size=most, unique=True))
    out = bytearray(data)
    for bit in bits:
        out[bit >> 3] ^= 1 << (bit & 7)
    return bytes(out)


@st.composite
def torn(draw: DrawFn, data: bytes) -> bytes:
    """A write that was cut: a prefix is there, then some of the bits that fall, then erased flash."""
    cut = draw(st.integers(0, len(data)))
    end = min(len(data), cut + draw(st.integers(0, 16)))
    noise = draw(st.binary(min_size=end - cut, max_size=end - cut))
    middle = bytes(byte | chance for byte, chance in zip(data[cut:end], noise, strict=True))
    return data[:cut] + middle + _BLANK * (len(data) - end)


@st.composite
def overwritten(draw: DrawFn, data: bytes, step: int = 1) -> bytes:
    """A span is zeros, erased or something else; at multiples of `step`."""
    start = draw(st.integers(0, (len(data) - 1) // step)) * step
    length = min(len(data) - start, draw(st.integers(1, max(1, len(data) // step))) * step)
    content = draw(st.sampled_from([b"\0" * length, _BLANK * length]) | st.binary(min_size=length, max_size=length))
    return data[:start] + content + data[start + length :]


def bent(data: bytes) -> SearchStrategy[bytes]:
    """The same number of bytes, somehow wrong; sometimes right all the same."""
    return st.one_of(st.just(data), flipped(data), torn(data), overwritten(data), overwritten(data, 4))


@st.composite
def edited(draw: DrawFn, data: bytes, inserts: Sequence[bytes] = (b"\0", b" ", b"\n", b"\xff")) -> bytes:
    """Bytes are put in (also such as `inserts`), taken out, doubled or exchanged: the length changes too."""
    out = data
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(out)))
        end = min(len(out), start + draw(st.integers(1, 40)))
        new = draw(st.sampled_from(inserts) | st.binary(min_size=1, max_size=20))
        way = draw(st.sampled_from(["insert", "insert", "delete", "double", "exchange"]))
        if way == "insert":
            end = start
        elif way == "delete":
            new = b""
        elif way == "double":
            new = out[start:end] * 2
        out = out[:start] + new + out[end:]
    return out
