"""The folder that the real VM has for its root, in step with the board's files."""

from __future__ import annotations

from slotbench.mpy import compile_package, sources
from slotbench.vboard.micropython.tree import FileTree


def test_bytecode_put_over_a_compiled_module_takes_its_sources_place() -> None:
    package = {f"/twoslot/{name}": content for name, content in sources().items()}
    files = {**package, "/main.py": b"pass\n"}
    tree = FileTree(files)
    other = b"M\x06\x00\x1f another version"
    (tree.root / "twoslot" / "agent.mpy").write_bytes(other)
    tree.read(tuple)

    assert files["/twoslot/agent.mpy"] == other and "/twoslot/agent.py" not in files
    tree.write()
    assert (tree.root / "twoslot" / "agent.mpy").read_bytes() == other
    tree.remove()


def test_modules_are_there_as_bytecode_and_stay_source_in_the_files() -> None:
    files = {f"/twoslot/{name}": content for name, content in sources().items()}
    tree = FileTree(files)
    root = tree.root / "twoslot"
    there = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.mpy")}
    assert there == {name.replace(".py", ".mpy"): mpy for name, mpy in compile_package(sources()).items()}
    tree.read(tuple)
    assert set(files) == {f"/twoslot/{name}" for name in sources()}
    tree.remove()
