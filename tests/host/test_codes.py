"""`formats.codes`: every error code of FORMATS has words and an advice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from slotbench.errors import BenchError
from slotbench.formats.codes import CODES, Kind, explain
from support.guides.page import section

FORMATS = Path(__file__).parents[2] / "device" / "FORMATS.md"


def test_the_table_is_that_of_formats_md() -> None:
    text = section(FORMATS, "Error codes")
    rows = re.findall(r"^\| (\d+) \| ([\w-]+) \| (\w+) \| (.+?) \| (.+?) \|$", text, re.MULTILINE)

    ours = [(str(c.code), c.word, c.kind.value, c.meaning, c.where) for c in CODES]
    assert ours == rows
    assert len(rows) > 40


def test_every_code_has_one_entry_and_an_advice() -> None:
    assert len({code.code for code in CODES}) == len(CODES)
    assert all(code.advice.endswith(".") and len(code.advice) > 20 for code in CODES)


def test_explain() -> None:
    code = explain(31)

    assert (code.kind, code.meaning, code.where) == (Kind.RELEASE, "filesystem starts elsewhere", "its start")


def test_explain_unknown() -> None:
    with pytest.raises(BenchError, match="no error has the code 99; `slotbench explain`") as caught:
        explain(99)

    assert caught.value.exit_code == 2
