"""Every firmware file that is here: a table of verdicts, and each verdict as the file's pinned entry says.

The files come from tools/get-images, or lie in the folder that TWOSLOT_IMAGES names. None is in the repository.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from slotbench import boards
from slotbench.boards.images import fitting_slots
from slotbench.images import Family, identify
from support.chip.firmware_images import folder, missing

BINS = sorted(folder().glob("*.bin"))

VERDICTS = Path(__file__).with_name("image_verdicts.tsv")
"""The first half of a file's SHA-256, what the file is, and how its refusal begins ("-": it is not refused)."""


def pinned() -> dict[str, tuple[str, str]]:
    """Title and beginning of the refusal, by the first half of the SHA-256."""
    rows = [line.split("\t") for line in VERDICTS.read_text().splitlines()[1:]]
    return {digest: (title, refusal) for digest, title, refusal in rows}


def row(path: Path) -> tuple[str, str, str, str]:
    """Name, title, the boards that it fits, and the reason of a refusal."""
    data = path.read_bytes()
    found = identify(data)
    fitting = [name for name in ("generic_4m", "native_1m", "native_512k") if fitting_slots(data, boards.load(name))]
    return path.name, found.title, ", ".join(fitting) or "-", found.problem or ""


def test_the_table_of_verdicts(capsys: pytest.CaptureFixture[str]) -> None:
    """Printed with -s. A file that is refused fits no board, and one that fits is not refused."""
    if not BINS:
        pytest.skip("no .bin is there")
    rows = [row(path) for path in BINS]
    with capsys.disabled():
        print()
        for name, title, fits, problem in rows:
            print(f"{name[:44]:44}  {title[:70]:70}  {fits:10}  {problem[:60]}")
    for name, title, fits, problem in rows:
        assert title and (not problem or fits == "-"), name


@pytest.mark.parametrize("path", BINS, ids=lambda path: path.name)
def test_the_verdict_on_a_pinned_file(path: Path) -> None:
    data = path.read_bytes()
    verdict = pinned().get(hashlib.sha256(data).hexdigest()[:32])
    if verdict is None:
        pytest.skip("not pinned: it is in the table only")
    found = identify(data)

    assert found.title == verdict[0]
    assert (found.problem or "-").startswith(verdict[1])


@pytest.mark.parametrize("change", [
    lambda data: data[:-1], lambda data: data[:-16], lambda data: data + b"\xff", lambda data: data + bytes(4096),
    lambda data: data[:300_000] + bytes([data[300_000] ^ 1]) + data[300_001:],
    lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:],
    lambda data: data[:0x8FFC] + b"\xff" * 4 + data[0x9000:],
], ids=["short", "without MD5", "longer", "a block longer", "irom flipped", "RAM flipped", "no length word"])
def test_a_changed_official_image_is_refused(change: Callable[[bytes], bytes]) -> None:
    usable = [data for data in (path.read_bytes() for path in BINS) if is_usable(data)]
    if not usable:
        pytest.skip(missing("an official MicroPython image"))
    found = identify(change(usable[0]))

    assert found.problem is not None and found.title.startswith("MicroPython")


def is_usable(data: bytes) -> bool:
    """Whether an image is MicroPython that can become a release."""
    found = identify(data)
    return found.family is Family.MICROPYTHON and found.problem is None
