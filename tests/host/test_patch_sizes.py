"""How large patches are: builds of one program, made by the chip's compiler, beside other ways."""

from __future__ import annotations

import io
from dataclasses import dataclass
from importlib.util import find_spec
from statistics import median

import pytest

from slotbench.benchmark.built import CROSS, has_compiler
from slotbench.benchmark.inputs import built_pairs
from slotbench.formats.image import parse_e9
from slotbench.formats.patch import apply_patch
from slotbench.patch import make_patch
from support.bsdiff import bsdiff_bytes

BUILDS = 7
SMALL = ("a constant", "a line", "a text", "a table")


@dataclass(frozen=True)
class SizeRow:
    """Bytes of an update."""

    what: str
    raw: int
    predicted: int
    edited: int
    bsdiff: int


@pytest.fixture(scope="module")
def rows() -> list[SizeRow]:
    if not has_compiler():
        pytest.skip(f"no {CROSS}gcc: Debian's gcc-xtensa-lx106 and binutils-xtensa-lx106 are not installed")
    found = []
    for pair in built_pairs(BUILDS, modules=4):
        parse_e9(pair.new)
        patch = make_patch(pair.old, pair.new)
        assert apply_patch(pair.old, patch) == pair.new, pair.name
        edited = make_patch(pair.old, pair.new, predict=False)
        found.append(SizeRow(
            pair.name, len(pair.new), len(patch), len(edited), bsdiff_bytes(pair.old, pair.new)))
    return found


def test_a_patch_is_no_larger_than_bsdiff_makes_it(rows: list[SizeRow]) -> None:
    """In the median, and without prediction within a tenth of it."""
    assert median(row.predicted / row.bsdiff for row in rows) < 0.6, rows
    assert median(row.edited / row.bsdiff for row in rows) < 1.1, rows
    assert all(row.predicted < row.bsdiff for row in rows), rows


def test_small_changes_take_a_hundredth_of_the_image(rows: list[SizeRow]) -> None:
    """And never half of what a way takes that spends a byte for 64 equal ones, as detools with heatshrink does."""
    small = [row for row in rows if row.what.partition(": ")[2] in SMALL]
    assert len(small) == len(SMALL)
    for row in small:
        assert row.predicted < row.raw / 100 and row.predicted < row.raw / 64 / 2, row


@pytest.mark.skipif(find_spec("detools") is None, reason="detools is not installed: pip install 'twoslot[bench]'")
def test_small_changes_take_a_third_of_what_detools_takes() -> None:
    import detools

    found = {}
    for pair in built_pairs(3, modules=4):
        if pair.name.partition(": ")[2] in SMALL:
            other = io.BytesIO()
            detools.create_patch(io.BytesIO(pair.old), io.BytesIO(pair.new), other, compression="heatshrink")
            found[pair.name] = len(make_patch(pair.old, pair.new)) / len(other.getvalue())
    assert len(found) == 3 and max(found.values()) < 1 / 3, found


def test_successive_updates_are_small_in_sum(rows: list[SizeRow]) -> None:
    assert sum(row.predicted for row in rows) < 0.03 * sum(row.raw for row in rows)
