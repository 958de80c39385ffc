"""Which files of a folder become a bundle, what is refused with what cure, and what they are compiled to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from slotbench.application.compiling import compile_files
from slotbench.application.gather import Sources, gather
from slotbench.errors import BenchError

MakeFolder = Callable[[Mapping[str, str | bytes]], Path]
LAMP = "import lamp\nlamp.shine()\n"


@pytest.fixture
def folder(tmp_path: Path) -> MakeFolder:
    """Makes a program's folder with these files, and a main.py."""

    def make(files: Mapping[str, str | bytes]) -> Path:
        for path, content in {"main.py": LAMP, **files}.items():
            place = tmp_path / "app" / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content.encode() if isinstance(content, str) else content)
        return tmp_path / "app"

    return make


def compiled(sources: Sources, *, as_source: bool = False, mpy_abi: int = 6, micropython: str | None = "1.26.0") -> (
        dict[str, bytes]):
    return compile_files(sources, mpy_abi=mpy_abi, micropython=micropython, as_source=as_source)


def test_what_editors_and_systems_leave_stays_at_home(folder: MakeFolder) -> None:
    found = gather(folder({
        "lamp.py": "", "www/index.html": "<p>", ".git/config": "", "__pycache__/lamp.pyc": b"", "lamp.py~": "",
        ".DS_Store": b"", "www/#index.html#": "", "lamp.pyi": "", "pycache/x.txt": ""}))
    assert list(found.files) == ["lamp.py", "main.py", "pycache/x.txt", "www/index.html"]
    assert found.left_out == (
        ".DS_Store", ".git/", "__pycache__/", "lamp.pyi", "lamp.py~", "www/#index.html#")


def test_slotignore_names_what_else_is_left_out(folder: MakeFolder) -> None:
    found = gather(folder({
        ".slotignore": "# not for the board\ntests/\n*.md\n/www/draft.*\nnotes\n\n", "tests/test_lamp.py": "x",
        "README.md": "", "www/draft.html": "", "draft.html": "", "www/notes": "", "sub/tests/a.txt": "", "tests.py": "",
    }))
    assert list(found.files) == ["draft.html", "main.py", "tests.py"]


def test_a_line_of_slotignore_that_is_no_pattern_is_named(folder: MakeFolder) -> None:
    with pytest.raises(BenchError, match=r"!keep.md is no pattern: .*\.slotignore:2; write a name"):
        gather(folder({".slotignore": "*.md\n!keep.md\n"}))


def test_files_are_in_the_order_of_the_list(folder: MakeFolder) -> None:
    """By the parts of their paths, so that a file and a folder of one name are neighbours."""
    assert list(gather(folder({"a/x": "", "a-b": "", "a.py": "", "B": ""})).files) == [
        "B", "a/x", "a-b", "a.py", "main.py"]


@pytest.mark.parametrize(("path", "words"), [
    ("boot.py", "boot.py belongs to the board, not to a program: .*; put what your program does at its start into"),
    ("webrepl_cfg.py", "belongs to the board.*; leave it on the board, where WebREPL looks for it"),
    ("twoslot/agent.py", "of twoslot, and lies on the board outside of the program"),
    ("twoslot.json", "of twoslot, and lies on the board outside of the program"),
    ("gr\u00fcn.py", "not printable ASCII without a backslash: .*gr\u00fcn.py; rename it"),
    ("a\\b.py", "not printable ASCII without a backslash"),
    ("a\n.txt", r"not printable ASCII without a backslash: .*a\\n.txt"),
    ("a .txt /b", "begins or ends with a space"),
    ("x" * 60 + "/" + "y" * 36, "path has 97 characters, not 1-96"),
    ("LAMP.py", "LAMP.py and lamp.py differ only in capital letters: .*; rename one"),
    ("Lib/x.py", "Lib and lib differ only in capital letters"),
    ("big.bin", "longer than 1048576 bytes: .*big.bin; make it smaller"),
    ("slotbench.toml", "slotbench.toml is in it, so keys and site may be too: .*; put main.py and what"),
])
@pytest.mark.skipif(os.name == "nt", reason="such names cannot be made there")
def test_what_a_bundle_must_not_have_is_named_with_a_cure(folder: MakeFolder, path: str, words: str) -> None:
    content = bytes(1048577) if path == "big.bin" else b""
    with pytest.raises(BenchError, match=words) as refused:
        gather(folder({"lamp.py": "", "lib/y.py": "", path: content}))
    assert refused.value.exit_code == 2 and refused.value.cure
    assert str(refused.value).isprintable()


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_and_pipes_are_refused_unless_left_out(folder: MakeFolder) -> None:
    place = folder({"lamp.py": ""})
    (place / "other.py").symlink_to("lamp.py")
    with pytest.raises(BenchError, match="this is a link: .*other.py; put the file itself there, or name it in"):
        gather(place)
    (place / "other.py").unlink()
    os.mkfifo(place / "pipe")
    with pytest.raises(BenchError, match="this is no ordinary file: .*pipe"):
        gather(place)
    (place / ".slotignore").write_text("pipe\n")
    assert list(gather(place).files) == ["lamp.py", "main.py"]


def test_without_main_the_place_of_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no such folder"):
        gather(tmp_path / "nowhere")
    (tmp_path / "src").mkdir()
    with pytest.raises(BenchError, match="main.py is missing: .*; give the folder that main.py is in"):
        gather(tmp_path)
    (tmp_path / "src" / "main.py").write_text("")
    with pytest.raises(BenchError, match="main.py is missing: .*; give .*src"):
        gather(tmp_path)
    (tmp_path / "main.mpy").write_bytes(b"M\x06\x00\x1f")
    with pytest.raises(BenchError, match="MicroPython starts main.py, never main.mpy: .*; rename its source, and"):
        gather(tmp_path)


def test_modules_become_bytecode_and_main_stays_what_it_is(folder: MakeFolder) -> None:
    made = compiled(gather(folder({"lamp.py": "def shine():\n    pass\n", "lib/a/__init__.py": "", "www/i.html": "<p>"})))
    assert list(made) == ["lamp.mpy", "lib/a/__init__.mpy", "main.py", "www/i.html"]
    assert made["main.py"] == LAMP.encode() and made["lamp.mpy"][:2] == b"M\x06"
    assert b"lamp.py" in made["lamp.mpy"], "tracebacks name the source"
    again = compiled(gather(folder({})))
    assert again == made and list(again) == list(made), "the same bytes at each run"


def test_source_leaves_all_as_it_is(folder: MakeFolder) -> None:
    sources = gather(folder({"lamp.py": "x = 1\n"}))
    assert compiled(sources, as_source=True) == sources.files


@pytest.mark.parametrize("as_source", [False, True])
@pytest.mark.parametrize("path", ["main.py", "lib/lamp.py"])
def test_a_syntax_error_has_file_and_line(folder: MakeFolder, path: str, as_source: bool) -> None:
    sources = gather(folder({path: "x = 1\n\ndef f(:\n"}))
    with pytest.raises(BenchError, match="SyntaxError") as refused:
        compiled(sources, as_source=as_source)
    assert refused.value.where == f"{sources.folder / path}:3"


def test_a_byte_order_mark_is_refused(folder: MakeFolder) -> None:
    with pytest.raises(BenchError, match=r"byte order mark, .*main.py:1; save it as UTF-8 without BOM"):
        compiled(gather(folder({"main.py": b"\xef\xbb\xbfx = 1\n"})))


def test_one_module_twice_is_refused(folder: MakeFolder) -> None:
    with pytest.raises(BenchError, match="lamp.py and lamp.mpy are the same module: .*; remove one"):
        compiled(gather(folder({"lamp.py": "", "lamp.mpy": b"M\x06\x00\x1f"})))


@pytest.mark.parametrize(("data", "words"), [
    (b"nothing", "this is no .mpy file"), (b"M\x06", "this is no .mpy file"),
    (b"M\x05\x00\x1f", "its .mpy version is 5, and the firmware imports 6: .*lamp.mpy; give its .py instead"),
    (b"M\x06\x2b\x1f", "its native code is for another processor"),
    (b"M\x06\x26\x1f", "its native code needs MicroPython 1.23 or later"),
])
def test_modules_that_no_board_imports_are_refused(folder: MakeFolder, data: bytes, words: str) -> None:
    with pytest.raises(BenchError, match=words):
        compiled(gather(folder({"lamp.mpy": data})))


def test_native_code_goes_to_firmware_that_runs_it(folder: MakeFolder) -> None:
    sources = gather(folder({"lamp.py": "import micropython\n@micropython.viper\ndef f(x: int) -> int:\n    return x\n"}))
    assert compiled(sources, micropython="1.23.0")["lamp.mpy"][2] == 0x27
    with pytest.raises(BenchError, match="needs MicroPython 1.23 or later, and the firmware is 1.22.1: .*; use --source"):
        compiled(sources, micropython="1.22.1")
    assert compiled(sources, micropython="1.22.1", as_source=True) == sources.files
    with pytest.raises(BenchError, match="its .mpy version is 6, and the firmware imports 5: .*; use --source"):
        compiled(sources, mpy_abi=5)
