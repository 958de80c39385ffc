"""Every command that takes a firmware asks `slotbench.images.identify`: all refuse the same files, in the same words."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import slotbench as package
from slotbench.images import identify
from slotbench.vboard import firmware
from support.commands import RunCommand
from support.micropython_images import micropython_image

FILES = {
    "fat": micropython_image("1.10", user_start=0x98000, drivers=("VfsFat",)),
    "no filesystem": micropython_image(user_start=0x7B000, frozen=("_boot.py",), drivers=()),
    "too old": micropython_image("1.19.1"),
    "linked elsewhere": micropython_image(user_start=0xD4000, link=0x40245000),
    "no evidence": micropython_image(calls_it=False),
    "without MD5": micropython_image(md5=False),
    "flipped": micropython_image()[:70_000] + b"\0" + micropython_image()[70_001:],
    "text": b"import machine\n",
    "a truncated user image": firmware.build_user("1.0.0", irom_address=0x40201010, size=50_000)[:-1],
}
VERBS = {
    "release build": ("release", "build", "FILE", "--product", "lamp", "--board", "d1_mini", "--counter", "1"),
    "push": ("push", "127.0.0.1", "FILE", "--key", "none.pem", "--secret", "board.secret"),
    "flash": ("flash", "--port", "/dev/ttyNOWHERE", "--image", "FILE"),
    "unflash": ("unflash", "--port", "/dev/ttyNOWHERE", "--image", "FILE"),
    "board new": ("board", "new", "lamp1", "--image", "FILE"),
    "demo": ("demo", "--fast", "--image", "FILE"),
    "preflight": ("preflight", "FILE"),
}
READERS = {
    "images", "formats", "prove", "vboard",  # the last two break or load images, and choose none
}


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "board.secret").write_text('{"secret": "%s"}' % ("00" * 32))
    return tmp_path / "firmware.bin"


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("name", FILES)
def test_every_verb_refuses_what_identify_refuses(
    slotbench: RunCommand, path: Path, verb: str, name: str,
) -> None:
    path.write_bytes(FILES[name])
    found = identify(FILES[name])
    ran = slotbench(*(str(path) if word == "FILE" else word for word in VERBS[verb]))

    assert found.problem is not None and found.cure
    assert ran.code in (1, 2) and ran.err.count("\n") == 1
    assert found.problem in ran.err and str(path) in ran.err and ran.err.endswith(f"; {found.cure}\n")


@pytest.mark.parametrize("verb", ["release build", "board new", "flash", "demo"])
def test_every_verb_refuses_a_filesystem_in_another_place(slotbench: RunCommand, path: Path, verb: str) -> None:
    path.write_bytes(micropython_image(user_start=0xB0000))
    ran = slotbench(*(str(path) if word == "FILE" else word for word in VERBS[verb]))

    assert ran.code == 1 and "starts at 0xb1000, that of " in ran.err


@pytest.mark.parametrize("name", FILES)
def test_inspect_and_show_say_the_same(slotbench: RunCommand, path: Path, name: str) -> None:
    path.write_bytes(FILES[name])
    found = identify(FILES[name])

    said = " ".join(slotbench("inspect", path).out.split())
    assert f"kind {found.title} " in said and f"refused {found.problem}; {found.cure}" in said
    ran = slotbench("release", "show", path)
    assert f"{path}: {found.title}\n" in ran.out or found.title in ran.err


def test_no_other_module_looks_into_an_image() -> None:
    """Only these parts parse images; the others ask `identify`."""
    root = Path(package.__file__).parent
    parsers = {"parse_e9", "parse_ea"}
    found = {
        path.relative_to(root).parts[0]
        for path in root.rglob("*.py") if any(name in path.read_text(encoding="utf-8") for name in parsers)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and parsers & {alias.name for alias in node.names}
    }

    assert found <= READERS
