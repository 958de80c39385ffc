"""README and guides: every command runs as printed, in the order of the page, and prints what the page says."""

from __future__ import annotations

from pathlib import Path

import pytest

from slotbench.vboard import firmware
from support.guides.page import Block, blocks, pages
from support.guides.reader import Reader

NOT_RUN = {
    ". .venv/bin/activate": "the tests run inside it",
}
"""Commands that no test types, and why."""
PAGES = [page for page in pages() if any(block.language == "sh" for block in blocks(page))]


def no_board() -> str:
    pytest.fail("no board on USB is meant for this page")


def no_broker() -> str:
    pytest.fail("no broker is meant for this page")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a reader types: a folder with a firmware.bin in it."""
    (tmp_path / "firmware.bin").write_bytes(firmware.build("2.0.0", size=96 * 1024))
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_do_what_it_says(page: str, folder: Path) -> None:
    with Reader(folder, usb=no_board, broker=no_broker, skipped=tuple(NOT_RUN)) as reader:
        reader.read(blocks(page))


@pytest.mark.parametrize(
    ("command", "told"),
    [("slotbench fly", ""), ("slotbench release show --loud x", ""), ("tools/no-such-tool", ""),
     ("slotbench explain 30", "30 (release): something else")])
def test_the_reader_notices_what_is_not_so(command: str, told: str, folder: Path) -> None:
    page = [Block("p.md", "s", 1, "sh", command + "\n"), Block("p.md", "s", 4, "text", told + "\n")]
    with Reader(folder, usb=no_board, broker=no_broker) as reader, pytest.raises(AssertionError):
        reader.read(page)
