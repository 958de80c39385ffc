"""Gate `codes`: one table of error codes in three places."""

from __future__ import annotations

import pytest
from checks import codes

FORMATS = """# FORMATS
| 99 | no-code | link | another section | 0 |
## Error codes
| code | word | kind | meaning | where |
|---|---|---|---|---|
| 1 | not-connected | link | not connected | 0 |
| 20 | unreadable | release | document cannot be read | byte |
| 60 | flash-mismatch | flash | a sector does not hold it | address |
## Something else
"""
HOST = """
class Code:
    def __init__(self, *fields): self.code, self.word, self.kind, self.meaning, self.where = fields
CODES = [Code(1, "not-connected", "link", "not connected", "0"),
         Code(20, "unreadable", "release", "document cannot be read", "byte"),
         Code(60, "flash-mismatch", "flash", "a sector does not hold it", "address")]
"""
NAMES = """
from micropython import const
NOT_CONNECTED = const(1)
UNREADABLE = const(20)
FLASH_MISMATCH = const(60)
"""
WORDS = """
_WORDS = b",1 not-connected,20 unreadable,60 flash-mismatch,"
"""
DEVICE = """
from micropython import const
from twoslot import codes
from twoslot.errors import FlashError, LinkError, ReleaseError
_TRIES = const(3)
def f(x, at):
    if x:
        raise LinkError(codes.NOT_CONNECTED, 0)
    raise FlashError(codes.FLASH_MISMATCH if at else codes.FLASH_MISMATCH, at)
def g():
    raise ReleaseError(codes.UNREADABLE, 0)
"""


@pytest.fixture
def planted(tree):
    tree.write("device/FORMATS.md", FORMATS)
    tree.write("host/slotbench/__init__.py", "")
    tree.write("host/slotbench/formats/__init__.py", "")
    tree.write("host/slotbench/formats/codes.py", HOST)
    tree.write("device/twoslot/codes.py", NAMES)
    tree.write("device/twoslot/words.py", WORDS)
    tree.write("device/twoslot/agent.py", DEVICE)
    return tree


def test_all_of_them_agree(planted):
    report = planted.report(codes.run)

    assert report.findings == []
    assert report.lines == []


@pytest.mark.parametrize(("old", "new", "expected"), [
    ("LinkError(codes.NOT_CONNECTED, 0)", "LinkError(1, 0)", "agent.py:8: LinkError without a code by name"),
    ("LinkError(codes.NOT_CONNECTED, 0)", "LinkError(codes.OTHER, 0)", "LinkError without a code by name"),
    ("LinkError(codes.NOT_CONNECTED, 0)", "ReleaseError(codes.NOT_CONNECTED, 0)",
     "ReleaseError with code 1, which is of kind link"),
    ("LinkError(codes.NOT_CONNECTED, 0)", "LinkError(codes.NOT_CONNECTED)", "LinkError without a code by name"),
    ("LinkError(codes.NOT_CONNECTED, 0)", "TwoslotError(codes.NOT_CONNECTED, 0)", "raises TwoslotError itself"),
    ("if at else codes.FLASH_MISMATCH", "if at else 60", "FlashError without a code by name"),
])
def test_device_differs(planted, old, new, expected):
    planted.write("device/twoslot/agent.py", DEVICE.replace(old, new))

    found = planted.run(codes.run)

    assert len(found) == 1, found
    assert expected in found[0]


@pytest.mark.parametrize(("file", "old", "new", "expected"), [
    ("codes.py", "NOT_CONNECTED", "OFFLINE", "code 1 is offline, in device/FORMATS.md not-connected"),
    ("codes.py", "FLASH_MISMATCH", "X = const(61)\nFLASH_MISMATCH", "code 61 is not in device/FORMATS.md"),
    ("words.py", "1 not-connected", "1 offline", "words.py: code 1 is offline, in device/twoslot/codes.py not-connected"),
    ("words.py", "20 unreadable,", "", "words.py: code 20 is None, in device/twoslot/codes.py unreadable"),
])
def test_names_and_words_differ(planted, file, old, new, expected):
    text = {"codes.py": NAMES, "words.py": WORDS}[file]
    planted.write(f"device/twoslot/{file}", text.replace(old, new))

    assert any(expected in line for line in planted.run(codes.run))


@pytest.mark.parametrize(("line", "found"), [("_TRIES = const(3)", 1), ("TRIES = const(3)", 1), ("_TRIES = const(4)", 0)])
def test_a_constant_is_defined_once(planted, line, found):
    planted.write("device/twoslot/image/writer.py", f"from micropython import const\n{line}\n")

    lines = planted.run(codes.run)
    assert len(lines) == found
    assert all("writer.py:2: TRIES is defined in device/twoslot/agent.py too" in each for each in lines)


@pytest.mark.parametrize(("old", "new", "expected"), [
    ("| not connected |", "| connected |", "code 1 is not-connected | link | not connected | 0, in device/FORMATS.md not-connected |"),
    ("| flash | a sector", "| flesh | a sector", "flesh is no kind"),
    ("| 60 | flash-mismatch | flash | a sector does not hold it | address |\n", "", "code 60 is not in device/FORMATS.md"),
    ("## Some", "| 61 | more | flash | more | 0 |\n## Some", "code 61 (more) is missing"),
    ("## Some", "| 60 | x | flash | a sector does not hold it | address |\n## Some", "code 60 twice"),
    ("## Some", "| 61 | x | flash | not connected | 0 |\n## Some", "'not connected' has two codes"),
    ("Error codes", "Errors", "no table of error codes"),
])
def test_document_differs(planted, old, new, expected):
    planted.write("device/FORMATS.md", FORMATS.replace(old, new))

    assert any(expected in line for line in planted.run(codes.run))


def test_a_code_that_nothing_raises_is_named(planted):
    planted.write("device/twoslot/agent.py", DEVICE.replace("raise LinkError(codes.NOT_CONNECTED, 0)", "pass"))

    report = planted.report(codes.run)

    assert report.findings == []
    assert report.lines == ["code 1 (not connected) is raised nowhere on the device"]


def test_host_table_that_cannot_be_read(planted):
    planted.write("host/slotbench/formats/codes.py", "CODES = [")

    assert "host/slotbench/formats/codes.py: cannot be read: SyntaxError" in planted.run(codes.run)[0]
