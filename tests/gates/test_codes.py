"""Gate `codes`: one table of error codes in three places."""

from __future__ import annotations

import pytest
from checks import codes

FORMATS = """# FORMATS
| 99 | link | no code: another section | 0 |
## Error codes
| code | kind | meaning | where |
|---|---|---|---|
| 1 | link | not connected | 0 |
| 20 | release | document cannot be read | byte |
| 60 | flash | a sector does not hold it | address |
## Something else
"""
HOST = """
class Code:
    def __init__(self, *fields): self.code, self.kind, self.meaning, self.where = fields
CODES = [Code(1, "link", "not connected", "0"), Code(20, "release", "document cannot be read", "byte"),
         Code(60, "flash", "a sector does not hold it", "address")]
"""
DEVICE = """
from micropython import const
from twoslot.errors import FlashError, LinkError, ReleaseError
_READ = const(20)
def f(x, at):
    if x:
        raise LinkError(1, 0)
    raise FlashError(60 if at else 60, at)
def g():
    raise ReleaseError(_READ, 0)
"""


@pytest.fixture
def planted(tree):
    tree.write("device/FORMATS.md", FORMATS)
    tree.write("host/slotbench/__init__.py", "")
    tree.write("host/slotbench/formats/__init__.py", "")
    tree.write("host/slotbench/formats/codes.py", HOST)
    tree.write("device/twoslot/agent.py", DEVICE)
    return tree


def test_the_three_agree(planted):
    report = planted.report(codes.run)

    assert report.findings == []
    assert report.lines == []


@pytest.mark.parametrize(("old", "new", "expected"), [
    ("LinkError(1, 0)", "LinkError(2, 0)", "agent.py:7: code 2 is not in device/FORMATS.md"),
    ("LinkError(1, 0)", "ReleaseError(1, 0)", "ReleaseError with code 1, which is of kind link"),
    ("LinkError(1, 0)", "LinkError(x, 0)", "LinkError without a code that can be read here"),
    ("LinkError(1, 0)", "LinkError(1)", "LinkError without a code that can be read here"),
    ("LinkError(1, 0)", "TwoslotError(1, 0)", "raises TwoslotError itself"),
    ("60 if at else 60", "60 if at else 61", "code 61 is not in"),
    ("const(20)", "const(21)", "code 21 is not in"),
])
def test_device_differs(planted, old, new, expected):
    planted.write("device/twoslot/agent.py", DEVICE.replace(old, new))

    found = planted.run(codes.run)

    assert len(found) == 1, found
    assert expected in found[0]


@pytest.mark.parametrize(("old", "new", "expected"), [
    ("not connected", "connected", "code 1 is link | not connected | 0, in device/FORMATS.md link |"),
    ("| 60 | flash | a sector", "| 60 | flesh | a sector", "flesh is no kind"),
    ("| 60 | flash | a sector does not hold it | address |\n", "", "code 60 is not in device/FORMATS.md"),
    ("## Some", "| 61 | flash | more | 0 |\n## Some", "code 61 (more) is missing"),
    ("## Some", "| 60 | flash | a sector does not hold it | address |\n## Some", "code 60 twice"),
    ("## Some", "| 61 | flash | not connected | 0 |\n## Some", "'not connected' has two codes"),
    ("Error codes", "Errors", "no table of error codes"),
])
def test_document_differs(planted, old, new, expected):
    planted.write("device/FORMATS.md", FORMATS.replace(old, new))

    assert any(expected in line for line in planted.run(codes.run))


def test_a_code_that_nothing_raises_is_named(planted):
    planted.write("device/twoslot/agent.py", DEVICE.replace("raise LinkError(1, 0)", "pass"))

    report = planted.report(codes.run)

    assert report.findings == []
    assert report.lines == ["code 1 (not connected) is raised nowhere on the device"]


def test_host_table_that_cannot_be_read(planted):
    planted.write("host/slotbench/formats/codes.py", "CODES = [")

    assert "host/slotbench/formats/codes.py: cannot be read: SyntaxError" in planted.run(codes.run)[0]
