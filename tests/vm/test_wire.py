"""What the VM writes to ask for something, and what the host reads in it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from slotbench.vboard.micropython.wire import parse, plain_request

NUMBERS = st.integers(-(1 << 31), (1 << 32) - 1)
ARGUMENTS = st.tuples() | st.lists(NUMBERS | st.none() | st.booleans() | st.text("',)({ 1", max_size=4), max_size=3).map(tuple)


@given(NUMBERS, st.text("abyz_019", min_size=1, max_size=9).filter(str.isidentifier))
def test_a_name_is_read_as_python_reads_it(number: int, name: str) -> None:
    line = f"({number}, {name!r})\n"
    assert plain_request(line) == parse(line, list) == (number, name)


@given(NUMBERS, ARGUMENTS, st.dictionaries(st.just("hz"), NUMBERS))
def test_a_call_is_read_as_python_reads_it_or_left_to_it(number: int, args: tuple[object, ...], named: dict[str, int]) -> None:
    line = f"({number}, {args!r}, {named!r})\n"
    plain = plain_request(line)
    assert plain in (None, parse(line, list))
    assert (plain is None) == bool(named or any(type(it) is not int for it in args))


def test_each_call_has_keywords_of_its_own() -> None:
    one, other = plain_request("(5, (1, -2), {})\n"), plain_request("(5, (1, -2), {})\n")
    assert one is not None and other is not None and one == (5, (1, -2), {}) == other
    assert one[2] is not other[2]


def test_what_needs_an_object_or_a_buffer_is_left_to_python() -> None:
    for line in "(5, (Far(3),), {})", "(5, (bytearray(b'1'),), {})", "(5, (1.5,), {})", "(5, 6)", "('OSError', (5,))":
        assert plain_request(line) is None
